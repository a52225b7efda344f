"""The documentation's pages that are made from the code, and that no other is forgotten."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from napari_dinomed.finish import TOOLS
from napari_dinomed.io.registry import FORMATS
from napari_dinomed.plugin.keymap import KEYMAP
from napari_dinomed.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location(
        "reference", ROOT / "resources/reference.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages_in(nav):
    for entry in nav:
        for page in entry.values():
            yield from [page] if isinstance(page, str) else pages_in(page)


def test_every_page_is_in_the_site(reference):
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = set(pages_in(site["nav"]))
    written = {str(path.relative_to(DOCS).as_posix()) for path in DOCS.rglob("*.md")}
    assert listed == written | set(reference.PAGES)


def test_the_reference_has_all_that_there_is(reference):
    keys, formats = reference.keys(), reference.formats()
    assert all(f"`{key.shown}`" in keys for key in KEYMAP.values())
    assert all(f"| {each.name} |" in formats for each in FORMATS)
    assert all(f"`{tool.key}`" in reference.options() for tool in TOOLS)
    settings = reference.settings()
    for name in Settings.__dataclass_fields__:
        (line,) = [row for row in settings.splitlines() if row.startswith(f"| `{name}` |")]
        assert not line.endswith("|  |"), f"{name} is not described"


def test_the_reference_has_every_command_as_it_explains_itself(reference):
    commands = reference.commands()
    for words in ("segment", "replay", "volumes fit", "bench report", "weights add"):
        assert f"\n## {words}\n" in commands
    assert "Usage: napari-dinomed replay" in commands
    assert "--threshold" in commands

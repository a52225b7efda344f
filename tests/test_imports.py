"""Who may import whom: the rooms of the package, and no torch in the window's process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_dinomed

ROOT = Path(napari_dinomed.__file__).parent
OUTER = {"napari", "qtpy", "superqt", "magicgui", "vispy", "PyQt6", "PySide6"}
# What each room may not import: rooms further out, and libraries that belong elsewhere.
FORBIDDEN = {
    "volume": OUTER
    | {
        "torch",
        "timm",
        "zarr",
        "annotation",
        "io",
        "features",
        "segment",
        "engine",
        "taught",
        "batch",
        "session",
        "plugin",
        "bench",
        "cli",
    },
    "io": OUTER
    | {
        "torch",
        "timm",
        "annotation",
        "features",
        "segment",
        "engine",
        "taught",
        "batch",
        "session",
        "plugin",
        "bench",
        "cli",
    },
    "features": OUTER
    | {"annotation", "segment", "taught", "engine", "batch", "session", "adapt"}
    | {"plugin", "bench", "cli"},
    "segment": OUTER
    | {"timm", "zarr", "io", "taught", "engine", "batch", "session", "plugin"}
    | {"bench", "cli"},
    "finish": OUTER
    | {"torch", "timm", "zarr", "io", "features", "taught", "engine", "batch", "whole"}
    | {"session", "plugin", "bench", "cli"},
    "taught": OUTER
    | {"timm", "zarr", "engine", "batch", "session", "plugin", "bench", "cli"},
    "engine": OUTER | {"batch", "session", "plugin", "bench", "cli"},
    "batch": OUTER | {"session", "plugin", "bench", "cli"},
    "adapt": OUTER | {"batch", "session", "plugin", "bench", "cli"},
    "whole": OUTER | {"batch", "session", "plugin", "bench", "cli"},
    "session": OUTER | {"torch", "timm", "zarr", "batch", "plugin", "bench", "cli"},
    "bench": OUTER | {"plugin", "cli"},
    "doctor": (OUTER - {"qtpy"})
    | {"io", "segment", "taught", "engine", "batch", "session", "plugin", "bench", "cli"},
    "cli": OUTER,
    "plugin": {"torch", "timm", "zarr", "batch", "bench", "cli"},
}
# What a room may import at all, beside itself and Python's own library.
ALLOWED = {"annotation": {"numpy", "pydantic", "volume", "errors"}}
TORCH_FREE = (
    "napari_dinomed.engine.client",
    "napari_dinomed.session.session",
    "napari_dinomed.session.written",
    "napari_dinomed.annotation.document",
    "napari_dinomed.segment.defaults",
    "napari_dinomed.segment.instances",
    "napari_dinomed.finish",
    "napari_dinomed.io",
    "napari_dinomed.volume.phantom",
    "napari_dinomed.cli",
    "napari_dinomed.report",
)


def _imports(path: Path) -> set[str]:
    """First names of libraries, and rooms of the package, that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    parts = (name.split(".") for name in names)
    return {p[1] if p[0] == "napari_dinomed" and len(p) > 1 else p[0] for p in parts}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_point_inwards(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not _imports(path) & FORBIDDEN[room], path.relative_to(ROOT)


@pytest.mark.parametrize("room", ALLOWED)
def test_some_rooms_need_hardly_anything(room):
    allowed = {room, *ALLOWED[room], *sys.stdlib_module_names}
    for path in (ROOT / room).rglob("*.py"):
        assert _imports(path) <= allowed, path.relative_to(ROOT)


def test_every_room_has_its_rule():
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert rooms == {*FORBIDDEN, *ALLOWED}


@pytest.fixture(scope="module")
def first_with_torch() -> str:
    """Of what must not import torch, the first in order that does; empty if none."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n"
        "        sys.exit(print(name))\n"
    )
    command = [sys.executable, "-c", code, *TORCH_FREE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", TORCH_FREE)
def test_no_torch(module, first_with_torch):
    assert module != first_with_torch


def test_an_engine_starts_without_the_libraries_of_all_formats():
    code = (
        "import sys, napari_dinomed.engine.server, napari_dinomed.engine.engine\n"
        "sys.exit(any(n in sys.modules for n in ('nibabel', 'h5py', 'nrrd', 'pydicom')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_qt_outside_the_plugin():
    code = (
        "import sys, napari_dinomed.session.session, napari_dinomed.headless\n"
        "sys.exit(any(n in sys.modules for n in ('napari', 'qtpy', 'PyQt6', 'PySide6')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Pages of the documentation that are made from the code, while mkdocs builds the site.

A hook of mkdocs (see ``mkdocs.yml``): the command line from its commands, keys from the key
map, settings and options from their dataclasses, formats from the registry. ``python
resources/reference.py FOLDER`` writes the same pages to a folder, to be looked at.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from napari_dinomed.cli import app
from napari_dinomed.finish import TOOLS
from napari_dinomed.io.registry import FORMATS
from napari_dinomed.plugin.keymap import KEYMAP, LABEL_KEYS, MOUSE
from napari_dinomed.segment.all_alike.options import Options, Trust
from napari_dinomed.segment.defaults import Defaults, defaults_for
from napari_dinomed.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import typer

MODALITIES = ("CT", "MR", "PET", "EM", "other")
_PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?:\n\n[A-Z][a-z]+\n-+|\Z)", re.M | re.S)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    first, *rest = ["| " + " | ".join(_cell(c) for c in line) + " |" for line in lines]
    return "\n".join([first, "|" + "---|" * len(lines[0]), *rest])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()


def told(kind: type[Any]) -> dict[str, str]:
    """What a class' docstring says of each of its fields."""
    found = _PARAMETERS.search(inspect.cleandoc(kind.__doc__ or ""))
    said: dict[str, str] = {}
    names: list[str] = []
    for line in (found[1] if found else "").splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.split(",")]
        for name in names:
            if line.startswith(" "):
                said[name] = f"{said.get(name, '')} {line.strip()}".strip()
    return said


def fields_of(kind: type[Any]) -> str:
    said = told(kind)
    rows = [
        (f"`{f.name}`", f"`{_default(f)}`", said.get(f.name, "").replace("``", "`"))
        for f in dataclasses.fields(kind)
    ]
    return table(("name", "default", "what it is"), rows)


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    made = field.default_factory
    return made() if made is not dataclasses.MISSING else "required"


def commands() -> str:
    lines = ["# Commands", "Made from the program itself: what `--help` says."]
    for words in _commands_of(app):
        said = _help(words)
        lines += [f"## {' '.join(words)}", f"```text\n{said}\n```"]
    return "\n\n".join(lines)


def _commands_of(group: typer.Typer, above: tuple[str, ...] = ()) -> Iterator[list[str]]:
    for command in group.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        yield [*above, name]
    for inner in group.registered_groups:
        yield from _commands_of(inner.typer_instance, (*above, str(inner.name)))


def _help(words: list[str]) -> str:
    """What a command says of itself, without frames and colours."""
    usual, app.rich_markup_mode = app.rich_markup_mode, None
    wide = {"COLUMNS": "92", "TERMINAL_WIDTH": "92"}
    done = CliRunner(env=wide).invoke(app, [*words, "--help"], prog_name="napari-dinomed")
    app.rich_markup_mode = usual
    if done.exit_code:
        sys.exit(f"{' '.join(words)} --help fails: {done.output}")
    return done.output.strip()


def keys() -> str:
    rows = [
        (f"`{key.shown}`", key.does, "everywhere" if key.is_everywhere else "on the layers")
        for key in KEYMAP.values()
    ]
    numbers = f"`{LABEL_KEYS[0]}` … `{LABEL_KEYS[-1]}`"
    rows.insert(1, (numbers, "aim at the first to ninth label", "on the layers"))
    mouse = [(f"`{act}`", does) for act, does in MOUSE.items()]
    return "\n\n".join(
        (
            "# Keys and mouse",
            "*On the layers*: while *Segmentation*, *Scribbles* or *Prompts* is selected.",
            table(("key", "what it does", "where"), rows),
            table(("mouse", "what it does on the three layers"), mouse),
        )
    )


def settings() -> str:
    return "\n\n".join(
        (
            "# Settings",
            "Kept in `settings.json` in the user's data folder, which the environment "
            "variable `NAPARI_DINOMED_HOME` moves, with cache and documents. "
            "`HF_HUB_OFFLINE=1` or `--offline` forbids the network.",
            fields_of(Settings),
        )
    )


def formats() -> str:
    rows = [
        (
            one.name,
            ", ".join(f"`{suffix}`" for suffix in one.suffixes) or "folders",
            ", ".join(f"`{suffix}`" for suffix in one.writes) or "no",
            f"{one.highest:,}" if one.writes else "",
        )
        for one in FORMATS
    ]
    head = ("format", "is read", "labels are written", "highest label")
    return "\n\n".join(
        (
            "# Formats",
            "What decides is the first bytes of a file, then its name. More in "
            "[files](../files.md).",
            table(head, rows),
        )
    )


def options() -> str:
    rows = [(kind, *dataclasses.astuple(defaults_for(kind))) for kind in MODALITIES]
    names = [f.name for f in dataclasses.fields(Defaults)]
    tools = [
        (
            f"`{tool.key}`",
            tool.does,
            ", ".join(f"`{one.typed}`" for one in tool.shown) or "none",
        )
        for tool in TOOLS
    ]
    return "\n\n".join(
        (
            "# Options",
            "## By modality",
            fields_of(Defaults),
            table(("modality", *names), rows),
            "## Finishing tools",
            table(("tool", "what it does", "`--set`"), tools),
            "## All that looks alike",
            "Numbers of the method, as they are. They are no settings: who measures with "
            "others makes `Options` of their own.",
            fields_of(Options),
            "### How far a cut is trusted",
            fields_of(Trust),
        )
    )


PAGES = {
    "reference/commands.md": commands,
    "reference/keys.md": keys,
    "reference/settings.md": settings,
    "reference/formats.md": formats,
    "reference/options.md": options,
}


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: the pages, among those that are written by hand."""
    from mkdocs.structure.files import File

    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def main() -> None:
    folder = Path(sys.argv[1])
    for name, make in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(make() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What is tried once on a machine, and then the same in every process.

A trial is decided by a few milliseconds, and two processes could decide otherwise; but what
one of them has begun, another may go on with, to the same bytes.
"""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import torch

from napari_dinomed.settings import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Choice = TypeVar("Choice")


def remembered(
    what: str, of: str, choices: Mapping[str, Choice], find: Callable[[], Choice]
) -> Choice:
    """What was found first on this machine, by this torch.

    Parameters
    ----------
    what
        What was tried, a name for a folder.
    of
        What it was tried with: another is tried by itself.
    choices
        All that may be found, by the name that it is kept under.
    find
        The trial.
    """
    note = note_of(what, of)
    known = _read(note, choices)
    if known is not None:
        return choices[known]
    found = find()
    name = next(name for name, choice in choices.items() if choice == found)
    # Where nothing can be kept, or another process was first, which then holds.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open("x", encoding="utf-8") as file:
            file.write(name)
    return choices[_read(note, choices) or name]


def note_of(what: str, of: str) -> Path:
    """Where a choice is kept."""
    subject = f"{platform.node()} {platform.machine()} {torch.__version__} {of}"
    digest = hashlib.blake2b(subject.encode(), digest_size=12).hexdigest()
    return cache_folder() / what / digest


def _read(note: Path, choices: Mapping[str, Choice]) -> str | None:
    """What was found; None where nothing was, or it makes no sense."""
    with suppress(OSError, ValueError):
        name = note.read_text(encoding="utf-8")
        return name if name in choices else None
    return None

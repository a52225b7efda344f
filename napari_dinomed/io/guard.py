"""Results may not be written over what they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterable


def require_apart(path: Path, sources: Iterable[Path]) -> None:
    """Raise `WriteError` where writing to ``path`` would change one of the sources.

    Links are followed, hard ones too, and names that differ by case only are one name: on
    many disks they are.
    """
    place = _resolved(path)
    place_id, around_place = _identity(place), _identities(place.parents)
    seen: dict[Path, set[object]] = {}
    for source in map(_resolved, sources):
        if source.parent not in seen:
            seen[source.parent] = _identities((source.parent, *source.parent.parents))
        if _identity(source) == place_id or _is_one_name(place, source):
            _refuse(path, f"it is {source}, which was read", "another name")
        if _identity(source) in around_place:
            _refuse(path, f"it lies inside {source}, which was read", "another folder")
        if place_id in seen[source.parent]:
            _refuse(path, f"it holds {source}, which was read", "another name")


def is_same(first: Path, second: Path) -> bool:
    """Whether two paths lead to one file or folder, now or once it is there."""
    return _identity(_resolved(first)) == _identity(_resolved(second))


def _refuse(path: Path, reason: str, remedy: str) -> None:
    raise WriteError(
        f"Cannot write {path}: {reason} and stays as it is. Choose {remedy} for the result."
    )


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _is_one_name(first: Path, second: Path) -> bool:
    return first.name.casefold() == second.name.casefold() and _identity(
        first.parent
    ) == _identity(second.parent)


def _identities(paths: Iterable[Path]) -> set[object]:
    return {_identity(path) for path in paths}


def _identity(path: Path) -> object:
    """What tells one file from all others; its path where it is not there yet."""
    try:
        found = path.stat()
    except OSError:
        return path
    return (found.st_dev, found.st_ino) if found.st_ino else path

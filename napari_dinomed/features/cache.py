"""What lies in the cache: listed, bounded, deleted; other programs may be at it as well.

Each entry is judged alone, whatever it holds, and may be gone between two looks at it.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.settings import cache_folder
from napari_dinomed.small_file import read_small_json

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY = "entry.json"
# Seconds by which what is used now is younger than all else, where a clock went back.
_TICK = 0.001


@dataclass(frozen=True)
class CacheEntry:
    """Features of one volume on disk.

    Parameters
    ----------
    folder
        Where they lie.
    encoder
        Name of the encoder.
    shape
        Slices, channels, rows, columns.
    size
        Bytes on disk.
    used
        When they were last used, in seconds since 1970.
    """

    folder: Path
    encoder: str
    shape: tuple[int, ...]
    size: int
    used: float


def list_entries() -> list[CacheEntry]:
    """What the cache holds, least recently used first."""
    found = [_entry(folder) for folder in _children(features_folder())]
    return sorted((entry for entry in found if entry), key=lambda entry: entry.used)


def clear() -> int:
    """Delete everything in the cache; return the bytes freed."""
    before = _total()
    for path in _children(features_folder()):
        remove(path)
    return before - _total()


def evict(limit: int) -> None:
    """Delete the least recently used features until at most ``limit`` bytes remain."""
    entries = list_entries()
    size = sum(entry.size for entry in entries)
    for entry in entries:
        if size <= limit:
            return
        remove(entry.folder)
        size -= entry.size


def _entry(folder: Path) -> CacheEntry | None:
    """A folder of the cache; None where it has just gone, or is none."""
    try:
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    return CacheEntry(folder, *_described(folder), _size(folder), found.st_mtime)


def _described(folder: Path) -> tuple[str, tuple[int, ...]]:
    """Encoder and shape by an entry's own words, which may be anything."""
    try:
        values = read_small_json(folder / ENTRY)
        encoder, shape = values["encoder"], tuple(values["shape"])
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged", ()
    if not isinstance(encoder, str) or not all(isinstance(n, int) for n in shape):
        return "damaged", ()
    return encoder, shape


def _total() -> int:
    return sum(entry.size for entry in list_entries())


def _size(folder: Path) -> int:
    size = 0
    for path in everything_in(folder):
        with suppress(OSError):
            found = path.lstat()
            size += 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    return size


def features_folder() -> Path:
    """The folder of all entries."""
    return cache_folder() / "features"


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def everything_in(folder: Path) -> Iterator[Path]:
    """Files, folders and links in a folder, as far as they are still there."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))


def remove(path: Path) -> None:
    """Delete a folder, or a link and not what it leads to; as far as that can be done."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def touch(folder: Path) -> None:
    """Make an entry the one used last, whatever the clock says."""
    times = [time.time()]
    for path in _children(folder.parent):
        if path != folder:
            with suppress(OSError):
                times.append(path.lstat().st_mtime + _TICK)
    # Of a cache that can only be read, nobody needs to know.
    with suppress(OSError, OverflowError):
        os.utime(folder, (max(times), max(times)))

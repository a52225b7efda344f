"""Zips as a PACS exports them: unpacked with care, then read as what is inside."""

from __future__ import annotations

import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import psutil

from napari_dinomed.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FILES = 100_000
# How much larger than the zip its contents may be: DICOM shrinks by 2 to 10.
_MOST_SHRUNK = 200
_BLOCK = 1024**2


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a folder with the files of a zip; it is gone afterwards.

    Raises
    ------
    ReadError
        Where the zip is damaged, locked, names places outside of itself, or would grow
        beyond reason.
    """
    with tempfile.TemporaryDirectory(prefix="dinomed-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _require_sane(archive, path)
                for number, entry in enumerate(archive.infolist()):
                    if not entry.is_dir():
                        _unpack(archive, entry, Path(folder) / f"{number:06d}", path)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
            raise ReadError(
                f"{path.name} cannot be unpacked: {error}. It may be truncated or locked "
                "with a password; unpack it yourself and open the folder."
            ) from error
        yield Path(folder)


def _require_sane(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise ReadError(
                f"{path.name} holds a file that would land outside of it "
                f"({entry.filename!r}). It was not opened."
            )
    size = sum(entry.file_size for entry in entries)
    room = psutil.disk_usage(tempfile.gettempdir()).free
    limit = min(_MOST_SHRUNK * max(path.stat().st_size, 1), room)
    if size > limit or len(entries) > _MOST_FILES:
        raise ReadError(
            f"{path.name} would unpack to {size / 1e9:.3g} GB in {len(entries)} files, "
            f"more than the {limit / 1e9:.3g} GB that are plausible or free. It was not "
            "opened."
        )


def _unpack(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, path: Path
) -> None:
    """Write one file, no longer than it claims to be."""
    left = entry.file_size
    with archive.open(entry) as packed, target.open("wb") as file:
        while block := packed.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ReadError(f"{entry.filename!r} in {path.name} lies about its size.")
            file.write(block)

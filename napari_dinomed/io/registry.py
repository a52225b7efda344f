"""Which format a file is: by its first bytes, then by its name."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.nifti import Nifti
from napari_dinomed.io.nrrd import Nrrd
from napari_dinomed.io.tiff import Tiff

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.io.format import Format
    from napari_dinomed.volume import Volume

FORMATS: tuple[Format, ...] = (Nifti(), Nrrd(), Tiff())
_HEAD = 512


def volume_suffixes() -> tuple[str, ...]:
    """Every suffix that can be read, longest first."""
    return tuple(sorted((s for f in FORMATS for s in f.suffixes), key=len, reverse=True))


label_suffixes = volume_suffixes


def can_read(path: Path) -> bool:
    """Whether a format recognises the file; never raises, reads 512 bytes."""
    try:
        return path.is_file() and _recognise(path) is not None
    except OSError:
        return False


def read_volume(path: Path, frame: int | None = None) -> Volume:
    """Read a file as a volume.

    Parameters
    ----------
    path
        The file.
    frame
        Which volume of a 4-D series; the first if None.

    Raises
    ------
    ReadError
        Where the file is missing, a folder, of no known format, or damaged.
    VolumeError
        Where it holds something other than one grey volume.
    """
    if not path.exists():
        raise ReadError(f"There is no file {path}.")
    if path.is_dir():
        raise ReadError(f"Expected a file, got the folder {path}. Name a file in it.")
    try:
        found = _recognise(path)
    except OSError as error:
        raise ReadError(f"Cannot read {path}: {error.strerror or error}.") from error
    if found is None:
        known = ", ".join(format_.name for format_ in FORMATS)
        raise ReadError(f"Expected a {known} file; {path.name} is not one of these.")
    return found.read(path, frame)


def read_labels(path: Path) -> tuple[NDArray[np.int64], Volume]:
    """Read a file of whole-numbered labels.

    Returns
    -------
    tuple
        Labels (z, y, x) on the canonical grid, and the volume they were read from.

    Raises
    ------
    ReadError
        As `read_volume`, and where values are not whole numbers from 0.
    """
    volume = read_volume(path)
    labels = np.rint(volume.array).astype(np.int64)
    if labels.min() < 0 or not np.allclose(labels, volume.array):
        raise ReadError(f"Expected whole-numbered labels from 0 in {path.name}.")
    return labels, volume


def require_writable(path: Path) -> Format:
    """The format for a result's name.

    Raises
    ------
    WriteError
        Where no format has that suffix, or the folder is not there.
    """
    if not path.parent.is_dir():
        raise WriteError(f"Cannot write {path}: the folder {path.parent} is not there.")
    for format_ in FORMATS:
        if path.name.lower().endswith(format_.suffixes):
            return format_
    raise WriteError(
        f"Expected a name that ends in {', '.join(label_suffixes())}; got {path.name}."
    )


def write_labels(path: Path, labels: NDArray[Any], source: Volume) -> None:
    """Write labels (z, y, x) on exactly the grid of the file that ``source`` came from.

    Raises
    ------
    WriteError
        Where the name or folder will not do; an existing file stays as it was.
    """
    require_writable(path).write(path, labels, source)


def _recognise(path: Path) -> Format | None:
    head = _head(path)
    for format_ in FORMATS:
        if format_.sniff(head):
            return format_
    for format_ in FORMATS:
        if path.name.lower().endswith(format_.suffixes):
            return format_
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        with gzip.open(path) as unzipped:
            return unzipped.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""

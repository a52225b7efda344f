"""FreeSurfer's MGH and MGZ, through nibabel."""

from __future__ import annotations

import gzip
import io
import struct
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.claims import DEFLATED, RAW, require_memory, require_plausible
from napari_dinomed.io.format import (
    Contents,
    Format,
    drop_ones,
    from_kji,
    placed,
    require_patient,
    take_frame,
)
from napari_dinomed.io.label_values import as_labels
from napari_dinomed.io.legend import from_hex, to_hex
from napari_dinomed.volume import NamedLabel, Volume

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source


# Of FreeSurfer's tags behind the voxels, after five numbers about the scan.
_TABLE = 1
_FOOTER = 20
_MOST_ENTRIES = 2**20
_LONGEST = 255
# A million entries with names of sixty letters.
_LONGEST_TABLE = 2**26
# What the header calls them.
_TYPES = {0: np.uint8, 1: np.int32, 3: np.float32, 4: np.int16}


class Mgh(Format):
    """MGH images; the file's (i, j, k) array is taken as (k, j, i)."""

    name = "MGZ"
    suffixes = (".mgz", ".mgh.gz", ".mgh")
    writes = (".mgz", ".mgh")
    highest = 2**31 - 1

    def contents(self, source: Source) -> Contents:
        """A fourth axis is time."""
        shape = _open(source.path).shape
        return Contents(frames=shape[3] if len(shape) == 4 else 1)

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read voxels and grid."""
        image = _open(source.path)
        require_memory(image.shape, image.get_data_dtype(), source.name)
        array = take_frame(
            drop_ones(np.asanyarray(image.dataobj).T), pick.frame, source.name
        )
        matrix = from_kji(np.asarray(image.affine, dtype=np.float64))
        volume = placed(array, matrix, "mm", True, source.name)
        legend = _read_legend(source.path, image)
        return volume if legend is None else as_labels(volume, legend)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write with the source's grid; MGH has no unsigned 16-bit type.

        Names and colours are in FreeSurfer's own table behind the voxels.
        """
        require_patient(source.geometry, path.name)
        voxels = source.geometry.to_file_order(array).T
        if voxels.dtype not in (np.uint8, np.int16, np.int32, np.float32):
            voxels = voxels.astype(np.int32 if voxels.dtype.kind in "iu" else np.float32)
        image = nib.MGHImage(voxels, from_kji(source.geometry.file_affine))
        with replacing(path) as temporary:
            nib.save(image, temporary)
            if legend is not None:
                # What follows a zipped stream is unzipped as if it were a part of it.
                with _opener(path)(temporary, "ab") as file:
                    file.write(_table(legend))


def _open(path: Path) -> nib.MGHImage:
    """The image, its voxels unread; nibabel looks behind them at once."""
    is_zipped = _is_zipped(path)
    with (gzip.open if is_zipped else open)(path, "rb") as stream:
        _, *shape, kind = struct.unpack(">6i", stream.read(24))
    most = DEFLATED if is_zipped else RAW
    dtype = _TYPES.get(kind, np.uint8)
    require_plausible(shape, dtype, path.name, path.stat().st_size, most)
    return nib.freesurfer.MGHImage.from_filename(path)


def _is_zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _opener(path: Path) -> Any:
    return open if path.suffix.lower() == ".mgh" else gzip.open


def _table(legend: Legend) -> bytes:
    """FreeSurfer's colour table, version 2, as it follows the voxels of an MGH file."""
    labels = [label for label in legend if label.id < _MOST_ENTRIES]
    count = max((label.id for label in labels), default=0) + 1
    parts = [
        struct.pack(">3i", _TABLE, -2, count),
        _text("napari-dinomed"),
        struct.pack(">i", len(labels) + 1),
        struct.pack(">i", 0) + _text("Unknown") + struct.pack(">4i", 0, 0, 0, 255),
    ]
    for label in labels:
        color = bytes.fromhex(to_hex(label))
        parts.append(struct.pack(">i", label.id) + _text(label.name))
        parts.append(struct.pack(">4i", *color, 0))
    return b"".join(parts)


def _text(text: str) -> bytes:
    """A length, and a text that ends with a zero."""
    # A character that was cut in two goes.
    short = text.encode()[:_LONGEST].decode(errors="ignore").encode() + b"\0"
    return struct.pack(">i", len(short)) + short


def _read_legend(path: Path, image: nib.MGHImage) -> Legend | None:
    """Names and colours from the table behind the voxels; None where there is none."""
    size = int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    with (gzip.open if _is_zipped(path) else open)(path, "rb") as stream:
        stream.seek(image.header.get_data_offset() + size + _FOOTER)
        tail = stream.read(_LONGEST_TABLE)
    try:
        return _parsed(io.BytesIO(tail))
    except (struct.error, ValueError):
        return None


def _parsed(stream: BinaryIO) -> Legend | None:
    if _numbers(stream, 3)[:2] != (_TABLE, -2):
        return None
    _read_text(stream)
    legend = []
    for _ in range(_numbers(stream, 1)[0]):
        (number,) = _numbers(stream, 1)
        name = _read_text(stream)
        *color, _ = _numbers(stream, 4)
        if number > 0:
            digits = "".join(f"{part & 255:02x}" for part in color)
            legend.append(NamedLabel(number, name, from_hex(digits)))
    return tuple(legend)


def _numbers(stream: BinaryIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}i", stream.read(4 * count))


def _read_text(stream: BinaryIO) -> str:
    (length,) = _numbers(stream, 1)
    if not 0 <= length <= _LONGEST_TABLE:
        raise ValueError("no colour table")
    return stream.read(length).rstrip(b"\0").decode(errors="replace")

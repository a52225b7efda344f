"""MRC, REC and CCP4 maps of electron microscopy, through mrcfile."""

from __future__ import annotations

import bz2
import gzip
import io
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import mrcfile
import numpy as np
from mrcfile.mrcinterpreter import MrcInterpreter

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.claims import (
    DEFLATED,
    UNBOUND,
    read_exactly,
    require_memory,
    require_plausible,
    skip,
)
from napari_dinomed.io.format import Format, native, placed, require_upright, take_frame
from napari_dinomed.io.label_values import as_labels, unnamed
from napari_dinomed.io.legend import CREATOR, from_hex, to_hex
from napari_dinomed.io.pieces import lazy_if_large
from napari_dinomed.volume import NamedLabel, Volume
from napari_dinomed.volume.geometry import NANOMETRES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

_ZIPPED = (".gz", ".bz2")
# How compressed files begin, what opens them, and how much they may have shrunk.
_PACKED: tuple[tuple[bytes, Callable[[Path], Any], int], ...] = (
    (b"\x1f\x8b", gzip.open, DEFLATED),
    (b"BZh", bz2.open, UNBOUND),
)
_HEADER = 1024
# Where the header says how many bytes follow it in front of the voxels (NSYMBT).
_AHEAD = slice(92, 96)
# What the header says of labels, in lines of text.
_MARK = f"{CREATOR}: labels"
_LINES, _LINE = 10, 80
_PLAIN = " ()[],.:/+*='&!?#@<>"


class Mrc(Format):
    """Density maps in Å; the axes stay as in the file, wherever they lie in the world."""

    name = "MRC"
    suffixes = (
        *(f"{kind}{zipped}" for zipped in _ZIPPED for kind in (".mrc", ".map", ".rec")),
        *(".mrc", ".map", ".rec"),
    )
    writes = (".mrc", ".map", ".rec", ".mrc.gz")
    # Whole numbers that mode 2 holds exactly.
    highest = 2**24

    def sniff(self, head: bytes) -> bool:
        """MRC2014 and CCP4 write MAP into byte 208."""
        return head[208:211] == b"MAP"

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read densities, voxel size, origin and the order of the axes."""
        array, header = _load(source)
        if array.dtype.kind == "c":
            raise ReadError(f"{source.name} holds a Fourier transform, not a density map.")
        array = take_frame(array, pick.frame, source.name)
        volume = placed(array, *_place(header), False, source.name)
        legend = _legend(header)
        return volume if legend is None else as_labels(volume, legend, is_complete=False)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write labels in mode 0, 1, 6 or 2, images in their own, with size and origin.

        That they are labels is in the header's lines of text, with as many names and
        colours as these have room for.
        """
        voxels = source.geometry.to_file_order(array)
        if legend is not None:
            voxels = voxels.astype(_label_type(voxels))
        if voxels.dtype not in (np.int8, np.int16, np.uint16, np.float32, np.float16):
            voxels = voxels.astype(np.float32)
        angstrom = NANOMETRES["Å"]
        # Pixels without a size count as Å.
        factor = NANOMETRES.get(source.geometry.unit, angstrom) / angstrom
        matrix = source.geometry.file_affine * factor
        require_upright(matrix, path.name)
        axes = np.argmax(matrix[:3, :3], axis=0)
        with (
            replacing(path) as temporary,
            mrcfile.new(
                temporary, compression="gzip" if path.suffix == ".gz" else None
            ) as file,
        ):
            file.set_data(np.ascontiguousarray(voxels))
            file.set_volume()
            sizes = [0.0, 0.0, 0.0]
            for axis, world in enumerate(axes):
                sizes[world] = float(matrix[world, axis])
            header = file.header
            header.maps, header.mapr, header.mapc = (int(axis) + 1 for axis in axes)
            counts = [voxels.shape[list(axes).index(world)] for world in range(3)]
            header.mx, header.my, header.mz = counts
            file.voxel_size = tuple(sizes)
            header.origin.x, header.origin.y, header.origin.z = matrix[:3, 3]
            if legend is not None:
                lines = _lines(legend)
                header.label[: len(lines)] = [line.encode() for line in lines]
                header.label[len(lines) :] = b""
                header.nlabl = len(lines)


def _load(source: Source) -> tuple[Any, Any]:
    """Voxels and header; the voxels of a file that is not compressed stay there."""
    path = source.path
    with path.open("rb") as file:
        magic = file.read(3)
    with warnings.catch_warnings():
        # Old files lack the machine stamp and the like; what matters is checked here.
        warnings.simplefilter("ignore", RuntimeWarning)
        for mark, opener, most in _PACKED:
            if magic.startswith(mark):
                with opener(path) as stream:
                    return _load_packed(stream, path, most)
        with mrcfile.mmap(path, permissive=True) as file:
            if file.data is None:
                raise ReadError(
                    f"{source.name} has no voxels, or fewer than its header claims. It "
                    "may be truncated; copy or export it again."
                )
            array = lazy_if_large(file.data, source.name, Mrc.name)
            header = file.header.copy()
    return (native(array) if isinstance(array, np.ndarray) else array), header


def _load_packed(stream: Any, path: Path, most: int) -> tuple[Any, Any]:
    """Voxels and header of a compressed file; mrcfile would inflate all that there is."""
    head = stream.read(_HEADER)
    # Without its claim of what lies between header and voxels.
    plain = head[: _AHEAD.start] + bytes(4) + head[_AHEAD.stop :]
    header = MrcInterpreter(io.BytesIO(plain), permissive=True, header_only=True).header
    ahead = np.frombuffer(head[_AHEAD], header.nsymbt.dtype)[0]
    shape = mrcfile.utils.data_shape_from_header(header)
    dtype = mrcfile.utils.data_dtype_from_header(header)
    require_plausible(shape, dtype, path.name, path.stat().st_size, most)
    require_memory(shape, dtype, path.name)
    skip(stream, int(ahead), path.name)
    return native(read_exactly(stream, shape, dtype, path.name)), header


def _place(header: Any) -> tuple[NDArray[np.float64], str]:
    """4×4 matrix from (k, j, i, 1) to world, and the unit.

    The cell's lengths belong to X, Y and Z; which of them the sections, rows and columns
    run along is in the header too.
    """
    axes = [int(header[name]) - 1 for name in ("maps", "mapr", "mapc")]
    if sorted(axes) != [0, 1, 2]:
        axes = [2, 1, 0]
    lengths = [float(header.cella[name]) for name in "xyz"]
    counts = [int(header[name]) for name in ("mx", "my", "mz")]
    starts = [int(header[name]) for name in ("nzstart", "nystart", "nxstart")]
    sizes = [a / n if n > 0 else 0.0 for a, n in zip(lengths, counts, strict=True)]
    is_known = min(sizes) > 0 and bool(np.isfinite(sizes).all())
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for axis, world in enumerate(axes):
        matrix[world, axis] = sizes[world] if is_known else 1.0
        matrix[world, 3] = starts[axis] * matrix[world, axis]
    origin = np.array([float(header.origin[name]) for name in "xyz"])
    if np.isfinite(origin).all() and origin.any():
        matrix[:3, 3] = origin
    return matrix, "Å" if is_known else "px"


def _label_type(labels: NDArray[Any]) -> type[np.number[Any]]:
    highest = int(labels.max(initial=0))
    if highest > 65535:
        return np.float32
    return np.int8 if highest < 128 else np.int16 if highest < 32768 else np.uint16


def _lines(legend: Legend) -> list[str]:
    """The mark, then names and colours, of which none is cut: at most ten lines."""
    lines = [_MARK]
    for label in legend:
        if label == unnamed(label.id):
            continue
        entry = f"{label.id} {to_hex(label)} {quote(label.name, safe=_PLAIN)}"
        joined = f"{lines[-1]};{entry}"
        if len(lines) > 1 and len(joined) <= _LINE:
            lines[-1] = joined
        elif len(lines) < _LINES and len(entry) <= _LINE:
            lines.append(entry)
    return lines


def _legend(header: Any) -> Legend | None:
    """Names and colours from the lines of the header; None where it is no labels."""
    lines = [bytes(line).decode("latin-1").strip() for line in header.label]
    if _MARK not in lines:
        return None
    entries = ";".join(lines[lines.index(_MARK) + 1 :]).split(";")
    try:
        return tuple(
            NamedLabel(int(number), unquote(name), from_hex(digits))
            for number, digits, name in (e.split(" ", 2) for e in entries if e)
        )
    except ValueError:
        return ()

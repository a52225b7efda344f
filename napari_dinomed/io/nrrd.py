"""NRRD and 3D Slicer's ``.seg.nrrd``, through pynrrd."""

from __future__ import annotations

import bz2
import gzip
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nrrd
import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.claims import (
    DEFLATED,
    RAW,
    UNBOUND,
    read_exactly,
    require_memory,
    require_plausible,
    skip,
)
from napari_dinomed.io.format import Contents, Format, placed, take_frame
from napari_dinomed.io.label_values import as_labels
from napari_dinomed.io.legend import from_text, to_text
from napari_dinomed.io.pieces import lazy_if_large
from napari_dinomed.volume import Geometry, NamedLabel, Volume

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

# Signs that turn a patient space's axes into right-anterior-superior.
_SPACES = {
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}
_UNITS = {"mm": "mm", "um": "µm", "µm": "µm", "micron": "µm", "nm": "nm", "a": "Å"}
_KEY = "dinomed_labels"
# Encodings that are compressed, what opens them, and how much they may have shrunk.
_PACKED: dict[str, tuple[Any, int]] = {
    **dict.fromkeys(("gzip", "gz"), (gzip.open, DEFLATED)),
    **dict.fromkeys(("bzip2", "bz2"), (bz2.open, UNBOUND)),
}
_SKIPS = {"byte skip", "line skip"}
# Kinds of an axis along which there is something other than space.
_OTHER_KINDS = {"list", "time", "vector", "RGB-color", "point", "scalar"}


class Nrrd(Format):
    """NRRD images with attached data; the file's (i, j, k) array is taken as (k, j, i)."""

    name = "NRRD"
    suffixes = (".seg.nrrd", ".nrrd")
    writes = (".seg.nrrd", ".nrrd")

    def sniff(self, head: bytes) -> bool:
        """NRRD starts with its own name."""
        return head.startswith(b"NRRD000")

    def contents(self, source: Source) -> Contents:
        """A fourth axis is time."""
        with source.path.open("rb") as file:
            header = _read_header(file, source)
        axis = _frame_axis(header)
        return Contents(frames=1 if axis is None else int(header["sizes"][axis]))

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read voxels, grid and space; of a Slicer segmentation also names and colours."""
        with source.path.open("rb") as file:
            header = _read_header(file, source)
            voxels = _voxels(header, file, source.path)
        legend = None
        if _is_segmentation(header):
            voxels, legend = _flatten_segments(voxels, header, source.name)
        elif (axis := _frame_axis(header)) is not None:
            voxels = np.moveaxis(voxels, axis, -1)
        array = take_frame(voxels.T, pick.frame, source.name)
        signs = _SPACES.get(str(header.get("space", "")).lower())
        patient = signs is not None
        matrix = _matrix(header, signs or (1.0, 1.0, 1.0))
        volume = placed(array, matrix, _unit(header, patient), patient, source.name)
        own = from_text(str(header.get(_KEY)))
        legend = own if legend is None else _with_accents(legend, own or ())
        return volume if legend is None else as_labels(volume, legend)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write on the source's grid, compressed.

        Names and colours are in a field of the header; in ``.seg.nrrd`` also where Slicer
        looks for them.
        """
        voxels = source.geometry.to_file_order(array).T
        header = _header(source.geometry)
        if legend is not None:
            header[_KEY] = to_text(legend)
            if path.name.lower().endswith(".seg.nrrd"):
                header |= _segment_fields(legend, voxels)
        with replacing(path) as temporary:
            nrrd.write(str(temporary), voxels, header)


def _read_header(file: BinaryIO, source: Source) -> dict[str, Any]:
    header: dict[str, Any] = nrrd.read_header(file)
    if "data file" in header or "datafile" in header:
        raise ReadError(
            f"{source.name} keeps its voxels in another file. Save it as one file "
            "(attached data) and open that."
        )
    return header


def _voxels(header: dict[str, Any], file: BinaryIO, path: Path) -> Any:
    """The (i, j, k) array; a large one that is not compressed stays in the file."""
    dtype: np.dtype[Any] = np.dtype(nrrd.reader._determine_datatype(header))
    shape = tuple(int(n) for n in header["sizes"])
    opener, most = _PACKED.get(header["encoding"], (None, DEFLATED))
    is_plain = header["encoding"] == "raw" and not _SKIPS & set(header)
    stored = path.stat().st_size
    require_plausible(shape, dtype, path.name, stored, RAW if is_plain else most)
    if is_plain:
        mapped = np.memmap(path, dtype, "r", file.tell(), shape, order="F")
        planes = (*shape[:2], *(1,) * (len(shape) - 2))
        return lazy_if_large(mapped, path.name, Nrrd.name, planes)
    require_memory(shape, dtype, path.name)
    if opener is None:
        return nrrd.read_data(header, file)
    for _ in range(header.get("line skip", 0)):
        file.readline()
    # What is to be skipped lies inside of what is compressed. From its end (-1) is for
    # files that begin with something else, which has no place here.
    with opener(file) as stream:
        skip(stream, header.get("byte skip", 0), path.name)
        return read_exactly(stream, shape[::-1], dtype, path.name).T


def _frame_axis(header: dict[str, Any]) -> int | None:
    """Which of four axes is not of space."""
    if header.get("dimension") != 4 or _is_segmentation(header):
        return None
    kinds = header.get("kinds") or ["domain"] * 4
    others = [axis for axis, kind in enumerate(kinds) if kind in _OTHER_KINDS]
    return others[0] if others else 3


def _unit(header: dict[str, Any], patient: bool) -> str:
    units = header.get("space units") or header.get("units") or [""]
    return _UNITS.get(str(units[-1]).lower(), "mm" if patient else "px")


def _matrix(header: dict[str, Any], signs: tuple[float, ...]) -> NDArray[np.float64]:
    """4×4 matrix from (k, j, i, 1) to world."""
    matrix = np.eye(4)
    if "space directions" in header:
        directions = np.array(
            [
                row
                for row in header["space directions"]
                if row is not None and np.isfinite(row).all()
            ]
        )
        origin = header.get("space origin", np.zeros(3))
    else:
        spacings = np.nan_to_num(header.get("spacings", np.ones(3)), nan=1.0)
        directions, origin = np.diag(spacings[:3]), np.zeros(3)
    if directions.shape != (3, 3):
        return np.full((4, 4), np.nan)
    matrix[:3, :3] = (directions * signs)[::-1].T
    matrix[:3, 3] = np.asarray(origin) * signs
    return matrix


def _header(geometry: Geometry) -> dict[str, Any]:
    matrix = geometry.file_affine
    signs = np.array(_SPACES["lps"] if geometry.patient else (1.0, 1.0, 1.0))
    header: dict[str, Any] = {
        "space directions": matrix[:3, 2::-1].T * signs,
        "space origin": matrix[:3, 3] * signs,
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }
    if geometry.patient:
        return header | {"space": "left-posterior-superior"}
    # The header is ASCII.
    unit = {"Å": "A", "µm": "um"}.get(geometry.unit, geometry.unit)
    return header | {"space dimension": 3, "space units": [unit] * 3}


def _is_segmentation(header: dict[str, Any]) -> bool:
    return "Segment0_ID" in header or "Segment0_Name" in header


def _flatten_segments(
    voxels: NDArray[Any], header: dict[str, Any], name: str
) -> tuple[NDArray[Any], Legend]:
    """One array of labels of Slicer's layers, and what its numbers stand for.

    Segments that overlap lie in layers of their own, along the first axis; in one array
    the later one has what both claim. Numbers of different layers are kept apart.
    """
    fields = _segments(header)
    if voxels.ndim == 3:
        values = [int(segment.get("LabelValue", n + 1)) for n, segment in fields]
        return voxels, _legend(fields, values)
    if voxels.ndim != 4:
        raise ReadError(f"Expected a segmentation in 3-D, got {voxels.shape} in {name}.")
    labels = np.zeros(voxels.shape[1:], dtype=np.uint16)
    for number, (_, segment) in enumerate(fields, start=1):
        layer = voxels[int(segment.get("Layer", 0))]
        labels[layer == int(segment.get("LabelValue", 1))] = number
    return labels, _legend(fields, list(range(1, len(fields) + 1)))


def _segments(header: dict[str, Any]) -> list[tuple[int, dict[str, str]]]:
    found: dict[int, dict[str, str]] = {}
    for key, value in header.items():
        start, underscore, field = key.partition("_")
        if underscore and start.startswith("Segment") and start[7:].isdigit():
            found.setdefault(int(start[7:]), {})[field] = str(value)
    return sorted(found.items())


def _legend(fields: list[tuple[int, dict[str, str]]], values: list[int]) -> Legend:
    legend = []
    for (number, segment), value in zip(fields, values, strict=True):
        color = [float(part) for part in segment.get("Color", "0.5 0.5 0.5").split()]
        name = segment.get("Name", f"Segment {number + 1}")
        legend.append(NamedLabel(value, name, (color[0], color[1], color[2])))
    return tuple(legend)


def _ascii(name: str) -> str:
    """A name without accents and line breaks, which a header of NRRD cannot have."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(plain.split()) or "?"


def _with_accents(legend: Legend, own: Legend) -> Legend:
    """Slicer's names, in full where they are what is left of the full ones."""
    full = {label.id: label.name for label in own}
    return tuple(
        replace(label, name=full[label.id])
        if label.name == _ascii(full.get(label.id, ""))
        else label
        for label in legend
    )


def _segment_fields(legend: Legend, voxels: NDArray[Any]) -> dict[str, str]:
    """The header fields in which Slicer keeps names, colours and numbers."""
    last = [n - 1 for n in voxels.shape]
    whole = f"0 {last[0]} 0 {last[1]} 0 {last[2]}"
    header = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, label in enumerate(legend):
        header |= {
            f"Segment{number}_ID": f"Segment_{label.id}",
            f"Segment{number}_Name": _ascii(label.name),
            f"Segment{number}_NameAutoGenerated": "0",
            f"Segment{number}_Color": " ".join(f"{part:.6g}" for part in label.color),
            f"Segment{number}_ColorAutoGenerated": "0",
            f"Segment{number}_LabelValue": str(label.id),
            f"Segment{number}_Layer": "0",
            f"Segment{number}_Extent": whole,
            f"Segment{number}_Tags": "|",
        }
    return header

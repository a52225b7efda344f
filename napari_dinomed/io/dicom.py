"""DICOM series: folders, lists, zips and multi-frame files, through pydicom.

Slices are ordered by where they lie, never by their names or numbers. What is not one even
stack is refused with the reason, or brought to an even grid where the user asks for it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, UnevenError, VolumeError
from napari_dinomed.io.atomic import is_workroom
from napari_dinomed.io.claims import require_memory
from napari_dinomed.io.dicom_grid import Stack, even_stack, resampled
from napari_dinomed.io.dicom_pixels import in_units, own_window, read_pixels
from napari_dinomed.io.dicom_sizes import require_frames, require_inflatable
from napari_dinomed.io.format import (
    RAS_LPS,
    Contents,
    Format,
    Origin,
    Part,
    native,
    on_canonical_axes,
    require_affine,
    shape3,
)
from napari_dinomed.volume import Geometry, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source
    from napari_dinomed.volume import Modality

_MODALITIES: dict[str, Modality] = {"CT": "CT", "MR": "MR", "PT": "PET"}
# X-rays through the whole of what is seen: the next image is no slice beside this one.
_PROJECTIONS = ("CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA")
_TOLERANCE = 1e-3
_MOST_FILES = 100_000
_FIRST_FILES = 50


@dataclass(frozen=True, eq=False)
class Slice:
    """One frame of one file, and where it lies.

    Parameters
    ----------
    path
        The file.
    frame
        Number of the frame in it.
    dataset
        Its header, without pixels.
    place
        Functional groups of the frame, or the header itself.
    position, orientation
        First voxel, and directions of a row and a column, in LPS mm.
    """

    path: Path
    frame: int
    dataset: Dataset
    place: Sequence[Dataset]
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]

    def get(self, keyword: str) -> Any:
        """A value of this frame, or of its file; None where it is not there."""
        for dataset in (*self.place, self.dataset):
            if dataset.get(keyword) not in (None, ""):
                return dataset.get(keyword)
        return None

    @property
    def series(self) -> tuple[Any, ...]:
        """What slices of one stack have in common."""
        orientation = tuple(np.round(self.orientation.ravel(), 2) + 0.0)
        size = (self.dataset.Rows, self.dataset.Columns)
        own = str(self.get("SOPInstanceUID") or self.path) if self.is_projection else ""
        return (str(self.get("SeriesInstanceUID") or ""), size, orientation, own)

    @property
    def is_projection(self) -> bool:
        """Whether it is an image by itself, as an X-ray is."""
        return str(self.get("Modality")) in _PROJECTIONS


@dataclass(frozen=True, eq=False)
class DicomHeader:
    """What is needed to write a result that refers to its series.

    Parameters
    ----------
    datasets
        Headers of the source's files, in the order of the stack, without pixels.
    paths
        The source's files, to know them again.
    stack
        The slices as they were before any resampling.
    """

    datasets: tuple[Dataset, ...]
    paths: frozenset[Path]
    stack: Stack


class Dicom(Format):
    """Series of CT, MR and PET, and any other stack of frames that says where it lies."""

    name = "DICOM"
    suffixes = (".dcm", ".dicom", ".ima")
    writes = (".dcm", ".labelmap.dcm")
    highest = 2**16 - 1
    labels_of = DicomHeader
    has_parts = True

    def sniff(self, head: bytes) -> bool:
        """DICM after the preamble."""
        return head[128:132] == b"DICM"

    def sniff_folder(self, folder: Path) -> bool:
        """Whether one of the first files in it, or below it, is of DICOM."""
        files = (path for path in folder.rglob("*") if path.is_file())
        seen = (path for path in files if not is_workroom(path.relative_to(folder)))
        for path in islice(seen, _FIRST_FILES):
            with path.open("rb") as file:
                if self.sniff(file.read(132)):
                    return True
        return False

    def contents(self, source: Source) -> Contents:
        """The series that there are, and the time points of a lone one."""
        series = _find_series(source)
        parts = tuple(
            Part(key, _title(number, slices))
            for number, (key, slices) in enumerate(series.items(), start=1)
        )
        if len(parts) > 1:
            return Contents(parts)
        return Contents(frames=len(_split_frames(next(iter(series.values())))))

    def series(self, source: Source) -> tuple[tuple[Path, ...], ...]:
        """Files of each series of images, in order of their names."""
        found = _find_series(source).values()
        images = (s for s in found if s[0].dataset.get("Modality") != "SEG")
        return tuple(sorted(_files(slices) for slices in images))

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read a series as one volume in its own units (HU, SUV where the tags allow)."""
        from napari_dinomed.io import dicom_seg

        series = _find_series(source)
        if pick.part is None and len(series) == 1:
            slices = next(iter(series.values()))
        elif pick.part in series:
            slices = series[pick.part]
        else:
            raise VolumeError(_ask_for_series(source, series))
        if slices[0].dataset.get("Modality") == "SEG":
            seg = dicom_seg.read(slices[0].path)
            return replace(seg, origin=Origin(source, pick, _files(slices)))
        frames = _split_frames(slices)
        if not 0 <= (pick.frame or 0) < len(frames):
            raise VolumeError(
                f"{source} holds {len(frames)} time points; {pick.frame} is not one."
            )
        volume = _read_stack(frames[pick.frame or 0], source.name, pick.resample)
        return replace(volume, origin=Origin(source, pick, _files(slices)))

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write a DICOM segmentation that refers to the series."""
        from napari_dinomed.io import dicom_seg

        dicom_seg.write(path, array, source, legend)


def _files(slices: list[Slice]) -> tuple[Path, ...]:
    return tuple({each.path: None for each in slices})


def _walk(folder: Path) -> Iterable[Path]:
    """Files below a folder, in order; links are not followed."""
    for path in sorted(folder.rglob("*")):
        is_hidden = path.name.startswith(".") or is_workroom(path.relative_to(folder))
        if path.is_file() and not is_hidden:
            yield path


def _find_series(source: Source) -> dict[str, list[Slice]]:
    """Stacks of slices by a key that is short and names nobody.

    Of a single file, the stack that it belongs to is found in its folder.
    """
    files: list[Path] = []
    for path in source.paths:
        files.extend(_walk(path) if path.is_dir() else [path])
    alone = source.path if len(source.paths) == 1 and source.path.is_file() else None
    others: dict[str, int] = {}
    slices = _read_headers(files, others)
    if alone is not None and len(slices) == 1 and not slices[0].is_projection:
        key = slices[0].series
        beside = _read_neighbours(alone.parent)
        slices = [each for each in beside if each.series == key] or slices
    if not slices:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.items())
        raise ReadError(
            f"Expected DICOM images, but {source} holds none"
            f"{f' (only {kinds})' if kinds else ''}. Export the image series itself."
        )
    grouped: dict[tuple[Any, ...], list[Slice]] = {}
    for each in slices:
        grouped.setdefault(each.series, []).append(each)
    ordered = sorted(grouped.values(), key=len, reverse=True)
    return {str(number): group for number, group in enumerate(ordered, start=1)}


def _read_neighbours(folder: Path) -> list[Slice]:
    """Every frame of every image in a folder; damaged ones are nobody's neighbours."""
    found: list[Slice] = []
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        with suppress(ReadError):
            found.extend(_read_headers([path]))
    return found


def _read_headers(
    files: Sequence[Path], others: dict[str, int] | None = None
) -> list[Slice]:
    """Every frame of every image; counts what else there is into ``others``."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    if len(files) > _MOST_FILES:
        raise ReadError(
            f"Expected a study, got {len(files)} files. Open the folder of one series."
        )
    found: list[Slice] = []
    for path in files:
        try:
            require_inflatable(path)
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, EOFError):
            continue
        if "Rows" in dataset and "Columns" in dataset:
            found.extend(_frames(path, dataset))
        elif others is not None and "SOPClassUID" in dataset:
            kind = str(dataset.get("Modality") or dataset.SOPClassUID.name)
            others[kind] = others.get(kind, 0) + 1
    return found


def _frames(path: Path, dataset: Dataset) -> list[Slice]:
    count = int(dataset.get("NumberOfFrames") or 1)
    require_frames(path, dataset, count)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None:
        places: list[Sequence[Dataset]] = [()] * count
    else:
        shared = dataset.get("SharedFunctionalGroupsSequence") or [{}]
        common = _inner(shared[0])
        places = [(*_inner(group), *common) for group in groups[:count]]
    slices = []
    for frame, place in enumerate(places):
        bare = Slice(path, frame, dataset, place, np.zeros(3), np.eye(3)[:2])
        position, orientation = (
            bare.get("ImagePositionPatient"),
            bare.get("ImageOrientationPatient"),
        )
        if position is None or orientation is None:
            # No place in the patient: frames lie behind each other.
            thickness = float(bare.get("SpacingBetweenSlices") or 1.0)
            slices.append(replace(bare, position=np.array([0, 0, frame * thickness])))
            continue
        slices.append(
            replace(
                bare,
                position=np.array(position, dtype=np.float64),
                orientation=np.array(orientation, dtype=np.float64).reshape(2, 3),
            )
        )
    return slices


def _inner(group: Any) -> list[Dataset]:
    """The items that a functional group holds."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def _title(number: int, slices: list[Slice]) -> str:
    """What a user picks a series by; no patient, no place, no date of birth."""
    dataset = slices[0].dataset
    description = dataset.get("SeriesDescription") or "no description"
    return (
        f"{number}: {dataset.get('Modality', '?')}, {description}, {len(slices)} slices of "
        f"{dataset.Rows} × {dataset.Columns}"
    )


def _ask_for_series(source: Source, series: dict[str, list[Slice]]) -> str:
    listed = "; ".join(_title(int(key), slices) for key, slices in series.items())
    return f"{source} holds {len(series)} series. Pick one by its number: {listed}."


def _split_frames(slices: list[Slice]) -> list[list[Slice]]:
    """Time points: as many as there are slices at each place, in order of acquisition."""
    unique = list(
        {(s.get("SOPInstanceUID") or s.path, s.frame): s for s in slices}.values()
    )
    normal = np.cross(*slices[0].orientation)
    places: dict[int, list[Slice]] = {}
    for each in unique:
        along = float(each.position @ normal)
        places.setdefault(round(along / (10 * _TOLERANCE)), []).append(each)
    counts = {len(group) for group in places.values()}
    if len(counts) > 1:
        twice = sum(len(group) > 1 for group in places.values())
        raise ReadError(
            f"{twice} of {len(places)} places hold more than one slice, the others one. "
            "Slices may be missing, or two acquisitions may be mixed; export one alone."
        )
    ordered = [sorted(group, key=_acquired) for group in places.values()]
    return [[group[n] for group in ordered] for n in range(counts.pop())]


def _acquired(each: Slice) -> tuple[Any, ...]:
    return (
        int(each.get("TemporalPositionIdentifier") or 0),
        str(each.get("AcquisitionTime") or ""),
        int(each.get("InstanceNumber") or 0),
        each.frame,
    )


def _read_stack(slices: list[Slice], name: str, resample: bool) -> Volume:
    stack = _lay_out(slices, name)
    slices, stack = [slices[number] for number in stack.order], stack.sorted()
    first = slices[0]
    size = (len(slices), int(first.dataset.Rows), int(first.dataset.Columns))
    require_memory(size, np.float32, name)
    fault = stack.fault()
    if fault is not None and not resample:
        raise UnevenError(
            f"{name} is not an even stack of slices: {fault}. Export it again, or have it "
            "brought to an even grid (resampling)."
        )
    array = read_pixels(slices, name)
    notes = []
    if fault is not None:
        array = resampled(stack, array)
        notes.append(f"Resampled to an even grid: {fault}.")
    matrix = np.eye(4)
    matrix[:3] = even_stack(stack, len(array)).matrix()
    matrix = RAS_LPS @ matrix
    require_affine(matrix, name)
    array, note = in_units(slices, array)
    is_placed = first.get("ImagePositionPatient") is not None
    geometry = Geometry.from_file(shape3(array), matrix, "mm", patient=is_placed)
    datasets = tuple({each.path: each.dataset for each in slices}.values())
    return Volume(
        on_canonical_axes(native(array), geometry),
        geometry,
        _MODALITIES.get(str(first.get("Modality")), "other"),
        own_window(slices),
        DicomHeader(datasets, frozenset(s.path.resolve() for s in slices), stack),
        notes=(*notes, *note),
    )


def _lay_out(slices: list[Slice], name: str) -> Stack:
    """Where the slices lie, in any order."""
    first = slices[0]
    rows, columns = (
        float(size)
        for size in first.get("PixelSpacing") or first.get("ImagerPixelSpacing") or (1, 1)
    )
    thickness = float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1)
    sizes = (abs(thickness), rows, columns)
    if not np.isfinite(sizes).all() or min(sizes) <= 0:
        raise ReadError(
            f"{name} gives its voxels the size {sizes} mm; expected numbers above 0. "
            "Repair the header or export the series again."
        )
    positions = np.array([each.position for each in slices])
    return Stack(positions, first.orientation, (rows, columns), abs(thickness))

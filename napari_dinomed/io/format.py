"""What every file format offers to the registry, and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, VolumeError, WriteError
from napari_dinomed.io.source import Source
from napari_dinomed.volume import (
    Geometry,
    NamedLabel,
    Volume,
    luminance,
    with_colours,
    without_opacity,
)
from napari_dinomed.volume.volume import guess_modality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Legend = tuple[NamedLabel, ...]

# Between the patient spaces of NIfTI and of DICOM and ITK; its own inverse.
RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Pick:
    """Which volume of a source that holds several.

    Parameters
    ----------
    part
        Key of a series, a dataset or a level.
    frame
        Time point, from 0; the first if None.
    channel
        Channel, from 0; the first if None.
    resample
        Whether slices that are unevenly spaced or sheared are brought to an even grid.
    region
        First row and column, and number of rows and columns, of the level that is read;
        all of it if None.
    """

    part: str | None = None
    frame: int | None = None
    channel: int | None = None
    resample: bool = False
    region: tuple[int, int, int, int] | None = None


FIRST = Pick()


@dataclass(frozen=True)
class Origin:
    """Where a volume came from: reading it again gives the same one.

    Parameters
    ----------
    source, pick
        What was read.
    files
        Further files that voxels came from, as the slices beside the one that was given.
    """

    source: Source
    pick: Pick
    files: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that must stay as it is."""
        return (*self.source.paths, *self.files)


@dataclass(frozen=True)
class Part:
    """A series, a dataset or a level: its key for `Pick`, and what a user reads."""

    key: str
    title: str


@dataclass(frozen=True)
class Contents:
    """What there is to pick from.

    Parameters
    ----------
    parts
        Series, datasets or levels; empty where there is only one.
    frames, channels
        How many.
    is_settled
        Whether a part is chosen by itself where none is picked.
    has_colours
        Whether it is read in colour where no channel is picked: 0, 1, 2 for one of them.
    """

    parts: tuple[Part, ...] = ()
    frames: int = 1
    channels: int = 1
    is_settled: bool = False
    has_colours: bool = False


def picked_key(keys: Sequence[str], pick: Pick, name: str) -> str:
    """The key that was picked, or the only one.

    Raises
    ------
    VolumeError
        Where there are several and none of them was picked.
    """
    if pick.part is None and len(keys) == 1:
        return keys[0]
    if pick.part in keys:
        return str(pick.part)
    asked = "none was picked" if pick.part is None else f"{pick.part!r} is not one of them"
    raise VolumeError(f"{name} holds several volumes: {', '.join(keys)}; {asked}.")


class Format:
    """A file format: recognise, list, read, write.

    Errors of the library behind it may come out of `contents` and `read`; the registry
    turns them into a `ReadError`.
    """

    name = ""
    """What users call it."""
    suffixes: tuple[str, ...] = ()
    """Endings of its files' names, longest first."""
    writes: tuple[str, ...] = ()
    """Endings of the files that it can write, the usual one first."""
    highest = 2**63 - 1
    """The highest number of a label that it can hold."""
    labels_of: type = object
    """What a volume's header must be for its labels to be written."""
    has_parts = False
    """Whether a source may hold several series, datasets or levels."""

    def sniff(self, head: bytes) -> bool:
        """Whether the first bytes of a file (gunzipped) are of this format."""
        del head
        return False

    def sniff_folder(self, folder: Path) -> bool:
        """Whether a folder is a volume of this format; looks at a few names only."""
        del folder
        return False

    def contents(self, source: Source) -> Contents:
        """What there is to pick from."""
        del source
        return Contents()

    def require_parts(self, pick: Pick, name: str) -> None:
        """Raise `VolumeError` where a part is picked, and the format knows of none."""
        if pick.part is not None and not self.has_parts:
            raise VolumeError(
                f"{name} holds one volume, without series, datasets or levels: "
                f"{pick.part!r} is not there."
            )

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read the volume that was picked."""
        raise NotImplementedError

    def takes_labels_of(self, source: Volume | None) -> bool:
        """Whether labels of a volume can be written; of any where none is given."""
        return source is None or isinstance(source.header, self.labels_of)

    def place(self, path: Path, source: Volume) -> Path:
        """Where a result of that name is written; errors where something is in the way."""
        del source
        if path.is_dir():
            raise WriteError(
                f"Cannot write {path}: a folder of that name is there, and it stays. "
                "Choose another name."
            )
        return path

    def is_room(self, place: Path, source: Volume) -> bool:
        """Whether a place inside the source is meant to be written to."""
        del place, source
        return False

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write an array (z, y, x) of ``source``'s canonical grid on its file's grid.

        Labels come with a legend, of the labels that have a name; an image has None.
        """
        raise WriteError(f"{self.name} is not written: {path.name}. Choose another format.")


def from_kji(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Swap a matrix between (i, j, k) and (k, j, i) voxel order; its own inverse."""
    return matrix[:, [2, 1, 0, 3]]


def drop_ones(array: Any) -> Any:
    """Drop leading axes of length one beyond the third (an unused time axis)."""
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    return array


def take_frame(array: Any, frame: int | None, name: str) -> Any:
    """One (k, j, i) volume of a (k, j, i) or (frame, k, j, i) array.

    A single slice (j, i) is a volume one voxel deep.

    Raises
    ------
    VolumeError
        For 1-D and 5-D data, empty volumes, complex numbers and frames not in the file.
    """
    if array.size == 0:
        raise VolumeError(f"{name} holds no voxels (shape {array.shape}).")
    if array.dtype.kind not in "iufb":
        raise VolumeError(
            f"Expected one grey value per voxel, got {array.dtype} in {name}."
        )
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim == 4:
        if not 0 <= (frame or 0) < len(array):
            raise VolumeError(
                f"{name} holds {len(array)} frames; frame {frame} is not one of "
                f"0 to {len(array) - 1}."
            )
        return array[frame or 0]
    if array.ndim != 3:
        raise VolumeError(
            f"Expected a 3-D volume or a 4-D series, got {array.ndim}-D data of shape "
            f"{array.shape} in {name}. Export one channel or one time point."
        )
    if frame:
        raise VolumeError(f"{name} holds one volume; frame {frame} is not there.")
    return array


def take_along(array: Any, axis: int, index: int | None, name: str) -> Any:
    """One entry of an axis of time or channels.

    Raises
    ------
    VolumeError
        Where there is no such entry.
    """
    length = array.shape[axis]
    if not 0 <= (index or 0) < length:
        raise VolumeError(f"{name} holds 0 to {length - 1} of these; {index} is not one.")
    return array[(slice(None),) * axis + (index or 0,)]


def take_picked(array: Any, axes: str, pick: Pick, name: str) -> Any:
    """The (z, y, x) array of one time point and channel.

    Parameters
    ----------
    array
        With an axis for each letter of ``axes``: t, c, z, y, x.
    axes, pick, name
        The letters, what was picked, and what the file is called.

    Raises
    ------
    VolumeError
        Where there is no such time point or channel, or another axis is left.
    """
    for letter, wanted, what in (
        ("t", pick.frame, "frame"),
        ("c", pick.channel, "channel"),
    ):
        if letter in axes:
            array = take_along(array, axes.index(letter), wanted, name)
            axes = axes.replace(letter, "")
        elif wanted:
            raise VolumeError(f"{name} holds one {what}; {what} {wanted} is not there.")
    return take_frame(array, None, name)


def on_canonical_axes(array: Any, geometry: Geometry) -> Any:
    """A file's array on the canonical axes: copied if in memory, else still lazy."""
    ordered = geometry.from_file_order(array)
    return native(ordered) if isinstance(array, np.ndarray) else ordered


def placed(
    array: Any, matrix: NDArray[np.float64], unit: str, patient: bool, name: str
) -> Volume:
    """A volume of a file's array (k, j, i) and its matrix to world.

    Raises
    ------
    ReadError
        Where voxels have no size or no place.
    """
    require_affine(matrix, name)
    geometry = Geometry.from_file(shape3(array), matrix, unit, patient)
    canonical = on_canonical_axes(array, geometry)
    return Volume(canonical, geometry, guess_modality(canonical, patient))


def spaced(array: Any, spacing: tuple[float, float, float], unit: str) -> Volume:
    """A volume of a microscope: an array (z, y, x), and the size of its voxels."""
    geometry = Geometry.from_spacing(shape3(array), spacing, unit)
    canonical = on_canonical_axes(array, geometry)
    return Volume(canonical, geometry, guess_modality(canonical, patient=False))


def coloured(
    colours: Any, spacing: tuple[float, float, float], unit: str, name: str
) -> Volume:
    """A volume of a picture in colour (z, y, x, 3 or 4); errors as `without_opacity`."""
    kept = without_opacity(colours, name)
    kept = native(kept) if isinstance(kept, np.ndarray) else kept
    return with_colours(spaced(luminance(kept), spacing, unit), kept)


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The array in this machine's byte order, contiguous; booleans as bytes."""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def require_affine(matrix: NDArray[np.float64], name: str) -> None:
    """Raise `ReadError` where voxels have no size or no place."""
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    with np.errstate(all="ignore"):
        is_flat = abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6
    if not np.isfinite(matrix).all() or lengths.min() <= 0 or is_flat:
        raise ReadError(
            f"{name} gives its voxels no finite size and place in the world "
            f"(affine {matrix.tolist()}). Repair the header and open it again."
        )


def require_upright(matrix: NDArray[np.float64], name: str) -> None:
    """Raise `WriteError` where a file's axes (k, j, i) are tilted or mirrored.

    Some formats can only say how large voxels are, not how they are turned.
    """
    directions = matrix[:3, :3]
    if np.count_nonzero(directions) > 3 or directions.max(axis=0).min() <= 0:
        raise WriteError(
            f"{name} cannot hold the tilted or mirrored grid of this volume. Save it as "
            ".nrrd or .nii.gz."
        )


def require_patient(geometry: Geometry, name: str) -> None:
    """Raise `WriteError` for a format that knows nothing but patients and millimetres."""
    if not geometry.patient:
        raise WriteError(
            f"{name} is for images of patients, in mm; this volume is in {geometry.unit}. "
            "Save it as .ome.tif, .mrc, .nrrd or .zarr."
        )


def shape3(array: Any) -> tuple[int, int, int]:
    """The shape of a 3-D array."""
    return (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))

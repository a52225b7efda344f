"""A volume: voxels on a grid, with what the file said about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dinomed.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_dinomed.volume.geometry import Geometry
    from napari_dinomed.volume.window import Window

# Bytes of memory that labelling takes for each voxel, all arrays together.
BYTES_PER_VOXEL = 32
_SAMPLES = 2_000_000
# Of a lazy array: so many blocks along each axis, of so many voxels a side.
_BLOCKS = 5
_BLOCK = 24

Modality = Literal["CT", "MR", "PET", "EM", "other"]
Planes = Literal["auto", "one", "three"]
"""Slices along one axis or along all three; ``"auto"`` goes by the spacing."""


@dataclass(frozen=True)
class NamedLabel:
    """What a number in an array of labels stands for.

    Parameters
    ----------
    id
        The number.
    name
        What it is.
    color
        Red, green, blue from 0 to 1.
    """

    id: int
    name: str
    color: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Volume:
    """Grey values on a grid; those of a picture in colour are its luminance.

    Parameters
    ----------
    array
        Voxels (z, y, x) in canonical order, any integer or float type: an array in
        memory, or a dask array where the volume is large.
    geometry
        The grid.
    modality
        What kind of image it is.
    window
        The window that the file itself asks for, if any.
    header
        The file's own header, kept to write results with; opaque to everyone but the
        format that read it.
    legend
        What the numbers stand for, where the file says that its voxels are labels.
    notes
        What a user should know about how the file was read.
    others
        Further images of the same voxels, windowed to 0 to 65535; see `seen_with`.
    colours
        Red, green and blue of a picture in colour, (z, y, x, 3), of the array's type; None
        where it is grey. See `with_colours`.
    origin
        What it was read from: a lazy volume is opened from it again in another process,
        and no result is written over it; opaque but to the reader.
    """

    array: Any
    geometry: Geometry
    modality: Modality = "other"
    window: Window | None = None
    header: object = None
    legend: tuple[NamedLabel, ...] | None = None
    notes: tuple[str, ...] = ()
    others: tuple[NDArray[np.uint16], ...] = ()
    colours: Any = None
    origin: object = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or self.array.shape != self.geometry.shape:
            raise VolumeError(
                f"Expected a volume of shape {self.geometry.shape} (z, y, x), "
                f"got an array of shape {self.array.shape}."
            )
        if self.colours is not None and self.colours.shape != (*self.array.shape, 3):
            raise VolumeError(
                f"Expected colours of shape {(*self.array.shape, 3)} (z, y, x, 3), got "
                f"{self.colours.shape}."
            )

    @property
    def is_lazy(self) -> bool:
        """Whether the voxels are read piece by piece when needed."""
        return not isinstance(self.array, np.ndarray)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of voxels and grid: the same volume is found again under any name.

        Of a lazy volume, a sample of the voxels stands for all. It takes some tenths of a
        second where there are 10⁸ voxels, once.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.array.dtype.str, self.geometry.shape)).encode())
        digest.update(np.round(self.geometry.matrix, 4).tobytes())
        for array in (self.array, *self._channels):
            for piece in [sample(array)] if self.is_lazy else array:
                digest.update(np.ascontiguousarray(piece).data)
        return digest.hexdigest()

    @cached_property
    def grey_range(self) -> tuple[float, float] | None:
        """Least and greatest of a sample of the voxels; None where none is a number."""
        values = sample(self.array)
        finite = values[np.isfinite(values)]
        return (float(finite.min()), float(finite.max())) if finite.size else None

    @property
    def _channels(self) -> tuple[Any, ...]:
        """Red, green and blue (z, y, x) of a picture in colour."""
        return () if self.colours is None else tuple(np.moveaxis(self.colours, -1, 0))

    def require_content(self) -> None:
        """Raise `VolumeError` where there is nothing to segment."""
        if self.array.size == 0:
            raise VolumeError(
                f"Expected a volume with voxels, got the empty shape {self.array.shape}."
            )
        values = sample(self.array)[np.newaxis] if self.is_lazy else self.array
        extremes = _extremes(values)
        if extremes is None:
            raise VolumeError(
                "Expected grey values, got a volume in which every voxel is "
                "not-a-number. Check the export that made the file."
            )
        if extremes[0] == extremes[1]:
            raise VolumeError(
                f"Expected grey values that differ, got a constant volume (every voxel "
                f"is {extremes[0]}). Check the export that made the file."
            )


def _extremes(slices: Iterable[NDArray[Any]]) -> tuple[Any, Any] | None:
    """Two finite values, the least and the greatest of the slices until they differ."""
    found: list[Any] = []
    for plane in slices:
        finite = plane[np.isfinite(plane)]
        if finite.size:
            found += [finite.min(), finite.max()]
            if min(found) != max(found):
                break
    return (min(found), max(found)) if found else None


def sample(array: Any) -> NDArray[Any]:
    """Values (n,) of an array, always the same ones: all of it if in memory and small.

    An array in memory is thinned out evenly; of a lazy one, blocks are read that are
    spread evenly.
    """
    if isinstance(array, np.ndarray):
        step = max(1, round((array.size / _SAMPLES) ** (1 / 3)))
        return np.asarray(array[::step, ::step, ::step]).ravel()
    sides = [min(n, _BLOCK) for n in array.shape]
    starts = [
        np.unique(np.linspace(0, n - side, _BLOCKS, dtype=np.int64))
        for n, side in zip(array.shape, sides, strict=True)
    ]
    blocks = [
        array[tuple(slice(a, a + side) for a, side in zip(corner, sides, strict=True))]
        for corner in product(*starts)
    ]
    return np.concatenate([np.asarray(block).ravel() for block in blocks])


def guess_modality(array: Any, patient: bool) -> Modality:
    """CT where the range is that of Hounsfield units, else by the kind of space."""
    if not patient:
        return "EM"
    if array.size and np.issubdtype(array.dtype, np.number):
        values = array if isinstance(array, np.ndarray) else sample(array)
        # As nanmin and nanmax, which warn where there is no number at all.
        low, high = (one.reduce(values, axis=None) for one in (np.fmin, np.fmax))
        if -4100 <= low <= -500 and 100 <= high <= 40_000:
            return "CT"
    return "MR"

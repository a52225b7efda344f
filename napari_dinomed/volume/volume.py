"""A volume: voxels on a grid, with what the file said about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dinomed.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume.geometry import Geometry
    from napari_dinomed.volume.window import Window

Modality = Literal["CT", "MR", "PET", "EM", "other"]


@dataclass(frozen=True, eq=False)
class Volume:
    """Grey values on a grid.

    Parameters
    ----------
    array
        Voxels (z, y, x) in canonical order, any integer or float type.
    geometry
        The grid.
    modality
        What kind of image it is.
    window
        The window that the file itself asks for, if any.
    header
        The file's own header, kept to write results with; opaque to everyone but the
        format that read it.
    """

    array: NDArray[Any]
    geometry: Geometry
    modality: Modality = "other"
    window: Window | None = None
    header: object = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or self.array.shape != self.geometry.shape:
            raise VolumeError(
                f"Expected a volume of shape {self.geometry.shape} (z, y, x), "
                f"got an array of shape {self.array.shape}."
            )

    @property
    def fingerprint(self) -> str:
        """Hash of voxels and grid: the same volume is found again under any name."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.array.dtype.str, self.geometry.shape)).encode())
        digest.update(np.round(self.geometry.matrix, 4).tobytes())
        for plane in self.array:
            digest.update(np.ascontiguousarray(plane).data)
        return digest.hexdigest()

    def require_content(self) -> None:
        """Raise `VolumeError` where there is nothing to segment."""
        if self.array.size == 0:
            raise VolumeError(
                f"Expected a volume with voxels, got the empty shape {self.array.shape}."
            )
        finite = self.array[np.isfinite(self.array)]
        if finite.size == 0:
            raise VolumeError(
                "Expected grey values, got a volume in which every voxel is "
                "not-a-number. Check the export that made the file."
            )
        if finite.min() == finite.max():
            raise VolumeError(
                f"Expected grey values that differ, got a constant volume (every voxel "
                f"is {finite.flat[0]}). Check the export that made the file."
            )


def guess_modality(array: NDArray[Any], patient: bool) -> Modality:
    """CT where the range is that of Hounsfield units, else by the kind of space."""
    if not patient:
        return "EM"
    if array.size and np.issubdtype(array.dtype, np.number):
        low, high = np.nanmin(array), np.nanmax(array)
        if -4100 <= low <= -500 and 100 <= high <= 40_000:
            return "CT"
    return "MR"

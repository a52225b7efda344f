"""What every file format offers to the registry, and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dinomed.errors import ReadError, VolumeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.volume import Volume


class Format(Protocol):
    """A file format: recognise, read, write."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of its files' names, longest first."""

    def sniff(self, head: bytes) -> bool:
        """Whether the first bytes of a file (gunzipped) are of this format."""

    def read(self, path: Path, frame: int | None) -> Volume:
        """Read the file; ``frame`` picks one volume of a series (first if None)."""

    def write(self, path: Path, labels: NDArray[Any], source: Volume) -> None:
        """Write labels (z, y, x) of ``source``'s canonical grid on its file's grid."""


def take_frame(array: NDArray[Any], frame: int | None, path: Path) -> NDArray[Any]:
    """One (k, j, i) volume of a (k, j, i) or (frame, k, j, i) array.

    A single slice (j, i) is a volume one voxel deep.

    Raises
    ------
    VolumeError
        For 1-D and 5-D data, empty volumes, complex numbers and frames not in the file.
    """
    if array.size == 0:
        raise VolumeError(f"{path.name} holds no voxels (shape {array.shape}).")
    if array.dtype.kind not in "iufb":
        raise VolumeError(
            f"Expected one grey value per voxel, got {array.dtype} in {path.name}."
        )
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim == 4:
        if not 0 <= (frame or 0) < len(array):
            raise VolumeError(
                f"{path.name} holds {len(array)} frames; frame {frame} is not one of "
                f"0 to {len(array) - 1}."
            )
        return np.asarray(array[frame or 0])
    if array.ndim != 3:
        raise VolumeError(
            f"Expected a 3-D volume or a 4-D series, got {array.ndim}-D data of shape "
            f"{array.shape} in {path.name}. Export one channel or one time point."
        )
    if frame:
        raise VolumeError(f"{path.name} holds one volume; frame {frame} is not there.")
    return array


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The array in this machine's byte order, contiguous; booleans as bytes."""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def require_affine(matrix: NDArray[np.float64], path: Path) -> None:
    """Raise `ReadError` where voxels have no size or no place."""
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise ReadError(
            f"{path.name} gives its voxels no finite size and place in the world "
            f"(affine {matrix.tolist()}). Repair the header and open it again."
        )


def label_dtype(labels: NDArray[Any]) -> type[np.uint8 | np.uint16]:
    """The smallest unsigned type that every format can store the labels in."""
    return np.uint8 if labels.size == 0 or labels.max() < 256 else np.uint16

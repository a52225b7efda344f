"""The working grid: coarse enough that a click is answered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.volume import Volume

    Floats = NDArray[np.float32]
    Cell = tuple[int, int, int]


class WorkingGrid:
    """A cell for every so many voxels along (z, y, x); the finest axes thin out first.

    A cell stands for the block of voxels that it covers, and lies at the block's centre.

    Parameters
    ----------
    volume
        The volume.
    most
        Cells at most.
    """

    def __init__(self, volume: Volume, most: int) -> None:
        spacing = np.array(volume.geometry.spacing)
        self.volume_shape = volume.array.shape
        self.step = _working_step(self.volume_shape, spacing, most)
        self.spacing: NDArray[np.float64] = spacing * self.step
        self.shape = tuple(
            -(-length // int(step))
            for length, step in zip(self.volume_shape, self.step, strict=True)
        )

    def cell(self, voxel: Voxel) -> Cell:
        """Cell that holds a voxel."""
        z, y, x = (int(v // s) for v, s in zip(voxel, self.step, strict=True))
        return (z, y, x)

    def cells(self, voxels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Cells (n, 3) that hold some of the voxels (n, 3), each of them once."""
        held = np.zeros(self.shape, dtype=np.bool_)
        held[tuple((voxels // self.step).T)] = True
        return np.argwhere(held)

    def distance(self, voxel: Voxel) -> Floats:
        """How far every cell is from a voxel, in the unit of the spacing."""
        squares = [
            ((((np.arange(n) + 0.5) - (v + 0.5) / s) * length) ** 2).astype(np.float32)
            for n, length, v, s in zip(
                self.shape, self.spacing, voxel, self.step, strict=True
            )
        ]
        z, y, x = np.ix_(*squares)
        return np.asarray(np.sqrt(z + y + x))

    def centres(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Voxels (n, 3) in the middle of cells (n, 3)."""
        last = np.array(self.volume_shape) - 1
        return np.asarray(np.minimum(cells * self.step + self.step // 2, last))

    def mean_of(self, voxels: Floats) -> Floats:
        """Mean of an array (z, y, x) over the voxels of each cell."""
        if (self.step == 1).all():
            return voxels
        kernel = tuple(int(step) for step in self.step)
        pooled = torch.nn.functional.avg_pool3d(
            torch.from_numpy(voxels)[None], kernel, ceil_mode=True, count_include_pad=False
        )
        return np.asarray(pooled[0].numpy())

    def to_voxels(self, values: Floats) -> torch.Tensor:
        """Values of the cells on the voxels, linear in between."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if (self.step == 1).all():
            return tensor
        return torch.nn.functional.interpolate(
            tensor[None, None], self.volume_shape, mode="trilinear", align_corners=False
        )[0, 0]


def _working_step(
    shape: tuple[int, ...], spacing: NDArray[np.float64], most: int
) -> NDArray[np.int64]:
    step = np.ones(3, dtype=np.int64)
    while np.prod(np.ceil(np.array(shape) / step)) > most:
        length = spacing * step
        finest = np.where(length <= length.min() * 1.01, length, np.inf)
        step[np.argmin(finest)] *= 2
    return step

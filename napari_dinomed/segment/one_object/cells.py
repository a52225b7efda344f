"""A grid of cells over a box of a volume: few enough that a click is answered at once.

In: a box of voxels and how many cells it may have. Out: where cells lie, means of voxels
over cells, and values of cells on voxels. Cells divide the box evenly, so that a mirrored
box has mirrored cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.features.device import CPU
from napari_dinomed.features.tokens import linear_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.regions import Box

# Halvings of the interval in which the edge of a cell is sought: to a thousandth.
_BISECTIONS = 12


@dataclass(frozen=True)
class Cells:
    """Cells over a box of a volume, nearly cubes in the world where voxels allow it.

    Parameters
    ----------
    box
        Voxels (z, y, x) that are covered.
    shape
        Cells along (z, y, x).
    spacing
        Size of a voxel along (z, y, x).
    """

    box: Box
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @classmethod
    def over(cls, box: Box, spacing: tuple[float, float, float], most: int) -> Cells:
        """At most so many cells over a box; none is smaller than a voxel."""
        lengths = np.array([part.stop - part.start for part in box])
        extent = lengths * np.array(spacing)

        def divided(edge: float) -> NDArray[np.int64]:
            counts = np.ceil(extent / edge).astype(np.int64)
            clipped: NDArray[np.int64] = np.clip(counts, 1, lengths)
            return clipped

        low, high = min(spacing), float(extent.max())
        counts = divided(low)
        if counts.prod() > most:
            for _ in range(_BISECTIONS):
                middle = (low * high) ** 0.5
                low, high = (
                    (low, middle) if divided(middle).prod() <= most else (middle, high)
                )
            counts = divided(high)
        z, y, x = (int(count) for count in counts)
        return cls(box, (z, y, x), spacing)

    @classmethod
    def finest(cls, box: Box, spacing: tuple[float, float, float]) -> Cells:
        """A cell for every voxel of a box."""
        z, y, x = (part.stop - part.start for part in box)
        return cls(box, (z, y, x), spacing)

    @property
    def box_shape(self) -> tuple[int, ...]:
        """Voxels of the box along (z, y, x)."""
        return tuple(part.stop - part.start for part in self.box)

    @cached_property
    def step(self) -> NDArray[np.float64]:
        """Voxels to a cell along (z, y, x)."""
        return np.asarray(np.divide(self.box_shape, self.shape))

    @cached_property
    def edge(self) -> float:
        """Mean edge of a cell, in the unit of the spacing."""
        return float(np.prod(self.step * self.spacing) ** (1 / 3))

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Size of a cell along (z, y, x), in units of its mean edge."""
        return np.asarray(self.step * self.spacing / self.edge)

    @property
    def is_finest(self) -> bool:
        """Whether every voxel has a cell of its own."""
        return self.shape == self.box_shape

    def middles(self, axis: int) -> NDArray[np.float64]:
        """Where along an axis of the volume the middles of cells lie, in voxels."""
        count = self.shape[axis]
        return np.asarray(
            self.box[axis].start + (np.arange(count) + 0.5) * self.step[axis] - 0.5
        )

    def holding(self, voxels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Cells (n, 3) that hold voxels (n, 3); for those outside, the nearest."""
        start = np.array([part.start for part in self.box])
        places = np.floor((voxels - start + 0.5) / self.step).astype(np.int64)
        return np.asarray(np.clip(places, 0, np.array(self.shape) - 1))

    def voxels_of(self, part: Box) -> Box:
        """The box of voxels that a part of the cells covers."""
        return tuple(
            slice(
                side.start + int(np.floor(cells.start * step)),
                # Divided evenly, the last cell may seem to end a little beyond the box.
                min(side.stop, side.start + int(np.ceil(cells.stop * step))),
            )
            for side, cells, step in zip(self.box, part, self.step, strict=True)
        )

    def distance(
        self, voxels: NDArray[np.integer], device: torch.device = CPU
    ) -> torch.Tensor:
        """Distance (z, y, x) to the nearest of some voxels (n, 3), in edges of a cell."""
        unit = self.edges / self.step
        squares = [
            torch.from_numpy(
                ((self.middles(axis)[None] - voxels[:, axis, None]) * unit[axis]) ** 2
            ).to(device, torch.float32)
            for axis in range(3)
        ]
        nearest = torch.full(self.shape, torch.inf, device=device)
        for z, y, x in zip(*squares, strict=True):
            plane = y[:, None] + x
            torch.minimum(nearest, z[:, None, None] + plane, out=nearest)
        return nearest.sqrt_()

    def mean_of(self, voxels: torch.Tensor) -> torch.Tensor:
        """Mean of the box's voxels (z, y, x) over each cell."""
        if self.is_finest:
            return voxels
        return functional.adaptive_avg_pool3d(voxels[None], self.shape)[0]

    def resampled(self, values: torch.Tensor, source: Cells) -> torch.Tensor:
        """Values (z, y, x) of another grid's cells on these, linear; the rim goes on."""
        for axis in range(3):
            places = (self.middles(axis) - source.box[axis].start + 0.5) / source.step[
                axis
            ] - 0.5
            weights = linear_weights(places, source.shape[axis]).to(values)
            values = torch.tensordot(values, weights, dims=([axis], [1])).movedim(-1, axis)
        return values.contiguous()

    def to_voxels(self, values: torch.Tensor) -> torch.Tensor:
        """Values (z, y, x) of the cells on the voxels of the box, linear in between."""
        if self.is_finest:
            return values
        return functional.interpolate(
            values[None, None], self.box_shape, mode="trilinear", align_corners=False
        )[0, 0]

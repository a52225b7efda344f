"""What lies around a place: grey values near and far, and which way the middle is.

In: a volume, its window, and a length to measure by. Out: a few dozen numbers for any
place. Tokens tell what is there; these tell what a token is too coarse for, and that a
brainstem lies between the ears. Grey values at offsets, from blurred volumes, tell organs
apart by what is beside them (Criminisi et al., Medical Image Analysis 2013).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from skimage.filters import threshold_otsu
from torch.nn import functional

from napari_dinomed.segment.one_object.cells import Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume import Volume, Window

# The length is divided by these: edges of the cells that grey values are blurred over.
# Between the finest and a cell of the coarsest lie a vessel and half a head.
BLURS = (160, 80, 40, 20, 10)
# The same for how far off grey values are read, along each axis, and by which blur.
OFFSETS = {40: 80, 20: 40, 10: 20, 6: 10}
# How much wider a window shows what the usual one clips: bone and air in a CT.
_WIDER = 4.0
# Brings distances from the middle, in lengths, to the spread of the other numbers.
_PLACE_GAIN = 6.0
# Grey values (near and far), and where it lies along each axis, which come last.
PARTS = 2 + len(BLURS) + 6 * len(OFFSETS) + 3


@dataclass(frozen=True, eq=False)
class Level:
    """Grey values (z, y, x), each the mean over a cell."""

    cells: Cells
    grey: torch.Tensor

    def at(self, voxels: NDArray[np.floating]) -> torch.Tensor:
        """Values (n,) at voxels (n, 3), linear in between; the rim goes on."""
        places = []
        for axis in (2, 1, 0):
            count = self.cells.shape[axis]
            start = self.cells.box[axis].start
            place = (voxels[:, axis] - start + 0.5) / self.cells.step[axis] - 0.5
            places.append(2 * place / max(1, count - 1) - 1)
        grid = torch.from_numpy(np.stack(places, axis=-1).astype(np.float32))
        return functional.grid_sample(
            self.grey[None, None],
            grid[None, None, None],
            padding_mode="border",
            align_corners=True,
        ).flatten()


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What lies around any place of a volume.

    Parameters
    ----------
    length
        What distances are measured by, in the unit of the spacing.
    spacing
        Size of a voxel along (z, y, x).
    own
        Grey values of the voxels, in the usual window and in a wider one.
    blurred
        The same in the wider window over cells, by what the length is divided by.
    middle
        Voxel (3,) in the middle of what is not dark; None where there is none, and every
        place counts as the middle.
    """

    length: float
    spacing: NDArray[np.float64]
    own: tuple[Level, Level]
    blurred: dict[int, Level]
    middle: NDArray[np.float64] | None

    @classmethod
    def of(cls, volume: Volume, window: Window, length: float) -> Self:
        """See a volume; grey values are those of its window."""
        grey = torch.from_numpy(window.apply(volume.array))
        wide = torch.from_numpy(wider(window).apply(volume.array))
        box = tuple(slice(0, count) for count in grey.shape)
        spacing = volume.geometry.spacing
        extent = float(np.prod(np.multiply(grey.shape, spacing)))
        finest = Cells.finest(box, spacing)
        blurred = {}
        for part in BLURS:
            cells = Cells.over(box, spacing, max(1, int(extent / (length / part) ** 3)))
            blurred[part] = Level(cells, cells.mean_of(wide).contiguous())
        return cls(
            length,
            np.array(spacing),
            (Level(finest, grey), Level(finest, wide)),
            blurred,
            _middle(blurred[OFFSETS[max(OFFSETS)]]),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of the volume along (z, y, x)."""
        return self.own[0].cells.shape

    def at(self, voxels: NDArray[np.integer | np.floating]) -> torch.Tensor:
        """Numbers (n, parts) at voxels (n, 3)."""
        places: NDArray[np.float64] = voxels.astype(np.float64)
        levels = (*self.own, *self.blurred.values())
        columns = [level.at(places) for level in levels]
        for part, blur in OFFSETS.items():
            for axis in range(3):
                for side in (-1, 1):
                    offset = np.zeros(3)
                    offset[axis] = side * self.length / part / self.spacing[axis]
                    columns.append(self.blurred[blur].at(places + offset))
        middle = places if self.middle is None else self.middle
        away = (places - middle) * self.spacing * (_PLACE_GAIN / self.length)
        columns.extend(torch.from_numpy(away.astype(np.float32)).T)
        return torch.stack(columns, dim=1)


def places_in(surroundings: torch.Tensor) -> torch.Tensor:
    """Where places lie from the middle along (z, y, x), (n, 3)."""
    return surroundings[:, -3:].float()


def length_of(volume: Volume) -> float:
    """The mean extent of a volume: what later ones are measured by, too."""
    extents = np.multiply(volume.array.shape, volume.geometry.spacing)
    return float(np.prod(extents) ** (1 / 3))


def wider(window: Window) -> Window:
    """A window that shows what the usual one clips."""
    middle = (window.low + window.high) / 2
    half = _WIDER * (window.high - window.low) / 2
    return replace(window, low=middle - half, high=middle + half)


def _middle(level: Level) -> NDArray[np.float64]:
    """The median voxel along each axis of what is brighter than the rest (Otsu 1979)."""
    grey = level.grey.numpy()
    bright = grey > threshold_otsu(grey) if grey.min() < grey.max() else grey == grey
    middle = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        passed = bright.sum(others).cumsum()
        cell = int(np.searchsorted(passed, passed[-1] / 2))
        middle.append(level.cells.middles(axis)[cell])
    return np.array(middle)

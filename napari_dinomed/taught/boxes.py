"""One global grid of boxes over a volume that is too large to be read at once.

In: the grid of a volume, and how an encoder sees it. Out: boxes, each of which is read
by itself, with all that is shown of its surroundings. What a box says depends on its place
alone, so whoever reads it, in whatever order, finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.taught.header import Sight

Index3: TypeAlias = tuple[int, int, int]
Box3: TypeAlias = tuple[slice, slice, slice]

# Tokens along a side of what a transformer is shown at once, and those of them at each
# side that only tell it what lies around: of what a tile of 32 is shown, 24 are kept.
_TILE, _RIM = 32, 4
# The same for filters, whose widest reach 48 pixels: nothing beyond changes what is kept.
_FILTER_CORE, _FILTER_RIM = 128, 28
# Voxels of a box, where slices are stacked along one axis only: with filters, a worker took
# 2.17 GB at four million, 2.02 at three.
_BOX_VOXELS = 2_500_000
# Slices across that further planes are read at: so many to a token, as elsewhere.
_PER_TOKEN = 3
# Cells that labels are read on: two to a token, and two voxels at least.
_CELLS_PER_TOKEN, _LEAST_CELL = 2, 2.0


@dataclass(frozen=True)
class Boxes:
    """A grid of boxes.

    Parameters
    ----------
    shape
        Voxels of the volume along (z, y, x).
    spacing
        Size of a voxel along (z, y, x).
    size
        Voxels of a box; those at the far ends are cut off.
    token
        Voxels of a token along each axis, in the plane of a slice.
    step
        Every how many of the slices along each axis are read.
    rim
        Tokens that are shown beside a box, in the plane of a slice.
    depth
        Slices that are shown beside a box.
    cell
        Voxels of a cell, along each axis; cells divide a box evenly.
    is_mirrored
        Whether what lies beyond the volume is shown as its mirror image; its last voxels
        go on if not.
    """

    shape: Index3
    spacing: tuple[float, float, float]
    size: Index3
    token: Index3
    step: Index3
    rim: int
    depth: int
    cell: tuple[float, float, float]
    is_mirrored: bool

    @classmethod
    def of(
        cls,
        shape: Index3,
        spacing: tuple[float, float, float],
        sight: Sight,
        stride: int,
        is_planar: bool,
    ) -> Self:
        """The grid for a volume that is seen as those that taught.

        Parameters
        ----------
        shape, spacing
            Of the volume.
        sight
            How those were seen.
        stride
            Pixels of a token.
        is_planar
            Whether the encoder sees one slice at a time.
        """
        sizes = [(sight.pixel or length) * stride / length for length in spacing]
        token = _three(max(1, round(size)) for size in sizes)
        step = _three(
            max(1, int(size / _PER_TOKEN)) if axis else 1 for axis, size in enumerate(sizes)
        )
        core, rim = (_TILE - 2 * _RIM, _RIM) if is_planar else (_FILTER_CORE, _FILTER_RIM)
        size = [core * length for length in token]
        if len(sight.axes) == 1:
            # An encoder of single slices has as many as where it sees all three ways.
            most = core * _PER_TOKEN if is_planar else shape[0]
            size[0] = min(max(1, _BOX_VOXELS // (size[1] * size[2])), most)
        # A small volume is one box, of whole tokens.
        size = [
            min(own, -(-length // part) * part)
            for own, length, part in zip(size, shape, (1, *token[1:]), strict=True)
        ]
        flatness = min(1.0, spacing[1] / spacing[0])
        depth = 0 if is_planar else int(np.ceil(rim * token[1] * flatness))
        edge = min(token[axis] * spacing[axis] for axis in (1, 2)) / _CELLS_PER_TOKEN
        edge = max(edge, _LEAST_CELL * min(spacing[1:]))
        cell = [max(1.0, edge / length) for length in spacing]
        z, y, x = (n / np.ceil(n / part) for n, part in zip(size, cell, strict=True))
        cells = (float(z), float(y), float(x))
        return cls(shape, spacing, _three(size), token, step, rim, depth, cells, is_planar)

    @property
    def count(self) -> Index3:
        """Boxes along each axis."""
        return grid_count(self.shape, self.size)

    def box(self, index: Index3) -> Box3:
        """Voxels of a box."""
        return grid_box(self.shape, self.size, index)

    def index(self, box: Box3) -> Index3:
        """Which box it is."""
        return _three(part.start // own for part, own in zip(box, self.size, strict=True))

    def touching(self, block: Box3) -> Iterator[Index3]:
        """Boxes that have voxels in common with a block of voxels."""
        ranges = (
            range(part.start // own, -(-part.stop // own))
            for part, own in zip(block, self.size, strict=True)
        )
        z, y, x = ranges
        yield from product(z, y, x)


@dataclass(frozen=True)
class Ring:
    """Cells of a box, and one more on every side.

    Parameters
    ----------
    start
        First voxel of the box.
    inner
        Cells of the box along each axis.
    cell
        Voxels of a cell.
    """

    start: Index3
    inner: Index3
    cell: tuple[float, float, float]

    @classmethod
    def of(cls, boxes: Boxes, box: Box3) -> Self:
        """Of a box; one at the far end has as many as it needs."""
        inner = _three(
            int(np.ceil((part.stop - part.start) / cell))
            for part, cell in zip(box, boxes.cell, strict=True)
        )
        return cls(_three(part.start for part in box), inner, boxes.cell)

    @property
    def shape(self) -> Index3:
        """Cells along (z, y, x)."""
        return _three(n + 2 for n in self.inner)

    def middles(self, axis: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Where along an axis the middles of cells lie, in voxels."""
        numbers = np.arange(-1, self.inner[axis] + 1)
        middles = self.start[axis] + (numbers + 0.5) * self.cell[axis] - 0.5
        return np.asarray(middles, dtype=np.float64)

    def places(
        self, axis: int, length: int
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Where the first so many voxels of the box lie among the cells."""
        places = (np.arange(length) + 0.5) / self.cell[axis] + 0.5
        return np.asarray(places, dtype=np.float64)


def grid_count(shape: Index3, size: Index3) -> Index3:
    """Boxes of a size along each axis of a volume."""
    return _three(-(-length // own) for length, own in zip(shape, size, strict=True))


def grid_box(shape: Index3, size: Index3, index: Index3) -> Box3:
    """Voxels of one of them."""
    z, y, x = (
        slice(number * own, min((number + 1) * own, length))
        for number, own, length in zip(index, size, shape, strict=True)
    )
    return z, y, x


def grid_indices(count: Index3) -> Iterator[Index3]:
    """All of them, in order."""
    z, y, x = map(range, count)
    yield from product(z, y, x)


def _three(values: object) -> Index3:
    z, y, x = (int(value) for value in values)  # type: ignore[attr-defined]
    return z, y, x

"""Regions: an outline drawn in a plane, and the slices through which it holds.

In: corners in voxels. Out: the voxels of the prism over them, those that cannot belong to a
label where it is said to be inside or outside of it, and what is seen of it in any plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from napari_dinomed.annotation.labels import LabelId
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.errors import PromptError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Box = tuple[slice, slice, slice]

# Three corners hold something; a lasso of the length of a large screen's edges has fewer
# than the most.
_FEWEST, _MOST = 3, 10_000
# Voxels along an axis that a place may be counted to: more than any volume has.
_FAR = 1_000_000
_Place = Annotated[float, Field(ge=-_FAR, le=_FAR, allow_inf_nan=False)]
_Corners = Annotated[
    tuple[tuple[_Place, _Place], ...], Field(min_length=_FEWEST, max_length=_MOST)
]
_Index = Annotated[int, Field(ge=0, le=_FAR)]


class Role(StrEnum):
    """What a region says of a label."""

    INCLUDE = "include"
    """All that is in it belongs, and teaches as a stroke does."""
    EXCLUDE = "exclude"
    """Nothing that is in it belongs, whatever it looks like."""
    INSIDE = "inside"
    """The label is inside of it: nothing that is beyond belongs."""


@dataclass(frozen=True)
class Region:
    """A box or a lasso in a plane, through one slice or several.

    Parameters
    ----------
    outline
        Corners (n, 2) in voxels, along the two axes of the plane, ascending; whole numbers
        are the middles of voxels.
    axis
        The axis (z, y, x) along which it goes on.
    span
        First slice along that axis, and the one behind the last.
    index
        The slice in which it was drawn; one of those.
    label, role
        What it says of which label.
    """

    outline: _Corners
    axis: Annotated[int, Field(ge=0, le=2)]
    span: tuple[_Index, _Index]
    index: _Index
    label: LabelId
    role: Role = Role.INSIDE

    @property
    def include(self) -> bool:
        """Whether what is in it belongs."""
        return self.role is Role.INCLUDE

    @property
    def limits(self) -> bool:
        """Whether it says where the label cannot be."""
        return self.role is not Role.INCLUDE

    @property
    def box(self) -> Box:
        """The box that just holds its voxels; empty where it holds no voxel's middle."""
        corners = np.asarray(self.outline, dtype=np.float64)
        low = np.maximum(np.ceil(corners.min(0)), 0).astype(int)
        high = np.maximum(np.floor(corners.max(0)).astype(int) + 1, low)
        sides = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
        sides.insert(self.axis, slice(*self.span))
        z, y, x = sides
        return z, y, x

    @property
    def mask(self) -> Mask:
        """Its voxels."""
        box = self.box
        return Mask.of(self.within(box), [part.start for part in box])

    def within(self, box: Box) -> Bools:
        """Which voxels of a box (z, y, x) it holds."""
        across = [part for axis, part in enumerate(box) if axis != self.axis]
        plane = held_by(self.outline, (across[0], across[1]))
        return np.asarray(self._through(box) & np.expand_dims(plane, self.axis))

    def forbidden(self, box: Box) -> Bools:
        """Which voxels of a box (z, y, x) cannot belong to the label."""
        if self.role is Role.EXCLUDE:
            return self.within(box)
        if self.role is Role.INSIDE:
            return np.asarray(self._through(box) & ~self.within(box))
        return np.zeros([part.stop - part.start for part in box], dtype=np.bool_)

    def forbidden_at(self, voxels: NDArray[np.integer]) -> Bools:
        """Which voxels (n, 3) cannot belong to the label."""
        box = self.box
        is_near = np.ones(len(voxels), dtype=np.bool_)
        for places, part in zip(voxels.T, box, strict=True):
            is_near &= (places >= part.start) & (places < part.stop)
        across = [axis for axis in range(3) if axis != self.axis]
        plane = held_by(self.outline, (box[across[0]], box[across[1]]))
        rows, columns = (voxels[is_near, axis] - box[axis].start for axis in across)
        is_held = is_near.copy()
        is_held[is_near] = plane[rows, columns]
        if self.role is Role.EXCLUDE:
            return is_held
        along = voxels[:, self.axis]
        is_through = (along >= self.span[0]) & (along < self.span[1])
        return is_through & ~is_held

    def cut(self, mask: Mask) -> Mask:
        """The voxels of a mask that can belong to the label."""
        box = mask.box
        return mask - Mask.of(self.forbidden(box), [part.start for part in box])

    def seen_in(self, axis: int, index: int) -> tuple[Floats, ...]:
        """Outlines (n, 2) of what a plane across an axis shows of it."""
        if axis == self.axis:
            is_there = self.span[0] <= index < self.span[1]
            return (np.asarray(self.outline, dtype=np.float64),) if is_there else ()
        others = [other for other in range(3) if other != self.axis]
        through = (self.span[0] - 0.5, self.span[1] - 0.5)
        is_first = self.axis < next(other for other in others if other != axis)
        shown = []
        for part in _crossings(self.outline, others.index(axis), index):
            (a, b), (c, d) = (through, part) if is_first else (part, through)
            shown.append(np.array([[a, c], [a, d], [b, d], [b, c]], dtype=np.float64))
        return tuple(shown)

    def require_inside(self, shape: tuple[int, ...]) -> None:
        """Raise `PromptError` where it holds no voxel, or slices that are not there."""
        first, last = self.span
        is_there = 0 <= first <= self.index < last <= shape[self.axis]
        box = tuple(
            slice(part.start, min(part.stop, n))
            for part, n in zip(self.box, shape, strict=True)
        )
        is_empty = any(part.start >= part.stop for part in box)
        if not is_there or is_empty or not self.within((box[0], box[1], box[2])).any():
            raise PromptError(
                f"Expected a region that holds voxels of the volume of {shape}, got one "
                f"through slices {first} to {last - 1} of axis {self.axis} that holds none."
            )

    def _through(self, box: Box) -> Bools:
        """Which slices of a box it goes through, in the shape of one that spreads."""
        part = box[self.axis]
        places = np.arange(part.start, part.stop)
        shape = [1, 1, 1]
        shape[self.axis] = -1
        through = (places >= self.span[0]) & (places < self.span[1])
        return np.broadcast_to(
            through.reshape(shape), [side.stop - side.start for side in box]
        )


def held_by(
    outline: tuple[tuple[float, float], ...], box: tuple[slice, slice]
) -> NDArray[np.bool_]:
    """Which pixels of a box (rows, columns) have their middles inside of an outline.

    By the even-odd rule; on an edge that is met first by counting up, and not the other,
    so that outlines side by side share no pixel.
    """
    rows, columns = (np.arange(part.start, part.stop) for part in box)
    inside = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    for (row, column), (next_row, next_column) in _edges(outline):
        crosses = (rows >= min(row, next_row)) & (rows < max(row, next_row))
        if crosses.any():
            slope = (next_column - column) / (next_row - row)
            at = column + (rows[crosses] - row) * slope
            inside[crosses] ^= columns >= at[:, None]
    return inside


def _crossings(
    outline: tuple[tuple[float, float], ...], side: int, place: int
) -> list[tuple[float, float]]:
    """Where a line at a place along one side of the plane runs inside of an outline."""
    found = []
    for start, end in _edges(outline):
        if min(start[side], end[side]) <= place < max(start[side], end[side]):
            share = (place - start[side]) / (end[side] - start[side])
            found.append(start[1 - side] + share * (end[1 - side] - start[1 - side]))
    found.sort()
    return list(zip(found[::2], found[1::2], strict=True))


def _edges(
    outline: tuple[tuple[float, float], ...],
) -> zip[tuple[tuple[float, float], tuple[float, float]]]:
    return zip(outline, (*outline[1:], outline[0]), strict=True)

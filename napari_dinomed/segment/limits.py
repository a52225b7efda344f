"""Where a label may be: what regions say, as those who answer use it.

In: regions that limit a label. Out: the box in which it is looked for, the voxels that may
belong, and a voxel that lies deep in what it is said to be inside of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import edt
import numpy as np

from napari_dinomed.annotation.region import Role
from napari_dinomed.segment.regions import grown, start_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.region import Region
    from napari_dinomed.segment.regions import Box

# Room around what an object is inside of, as a share of its longest side: what is beyond
# is surely outside, and shows how the outside looks.
_ROOM = 0.15


def allowed(limits: Iterable[Region], box: Box) -> NDArray[np.float32]:
    """1 for voxels of a box (z, y, x) that may belong, and 0 for the others."""
    z, y, x = box
    may = np.ones([part.stop - part.start for part in box], dtype=np.bool_)
    for limit in limits:
        may &= ~limit.forbidden((z, y, x))
    return may.astype(np.float32)


def forbidden_at(
    limits: Iterable[Region], voxels: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Which voxels (n, 3) cannot belong."""
    found = np.zeros(len(voxels), dtype=np.bool_)
    for limit in limits:
        found |= limit.forbidden_at(voxels)
    return found


def inner(limits: Iterable[Region], whole: Box) -> Box:
    """The box around what lies in all regions that a label is said to be inside of.

    Of regions through all slices; those through one say nothing of the others.
    """
    box = whole
    for limit in limits:
        is_through = slice(*limit.span) == whole[limit.axis]
        if limit.role is Role.INSIDE and is_through:
            box = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(box, limit.box, strict=True)
            )
    return box


def room_for(limits: tuple[Region, ...], whole: Box) -> Box:
    """The box in which an object is looked for, within that of all voxels."""
    box = inner(limits, whole)
    if box == whole or any(part.start >= part.stop for part in box):
        return whole
    sides = [
        part.stop - part.start
        for part, all_of in zip(box, whole, strict=True)
        if part != all_of
    ]
    return grown(box, 1 + int(_ROOM * max(sides)), whole)


def middle_of(
    limits: tuple[Region, ...], spacing: tuple[float, float, float]
) -> NDArray[np.int64]:
    """The voxel (3,) deepest in the region that it was last said to be inside of.

    In the slice in which that was drawn: there the user saw the object.
    """
    last = next(limit for limit in reversed(limits) if limit.role is Role.INSIDE)
    sides = list(last.box)
    sides[last.axis] = slice(last.index, last.index + 1)
    box = (sides[0], sides[1], sides[2])
    plane = allowed(limits, box).squeeze(last.axis) > 0
    pixel = tuple(np.delete(spacing, last.axis))
    depth = edt.edt(np.ascontiguousarray(plane), anisotropy=pixel, black_border=True)
    place = np.unravel_index(np.argmax(depth), depth.shape)
    return np.insert(np.array(place, dtype=np.int64), last.axis, 0) + start_of(box)

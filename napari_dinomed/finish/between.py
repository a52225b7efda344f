"""Slices between painted ones, filled by the shapes of these, or by grey values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import edt
import numpy as np
from scipy import ndimage
from scipy.cluster.hierarchy import DisjointSet

from napari_dinomed.errors import FinishError
from napari_dinomed.finish.options import Choice, Texts
from napari_dinomed.finish.subject import with_room
from napari_dinomed.finish.walker import random_walker
from napari_dinomed.segment.regions import bounding_box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Box, Site, Subject

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]
    Pair = tuple[Bools, Bools]
    Spacing = tuple[float, float, float]

# Pixels that share a corner belong to one shape: a hand draws diagonals.
_CORNERS = np.ones((3, 3), dtype=np.bool_)
# Of the finest pixel width: what lies just between two outlines belongs to neither side.
_SLACK = 1e-3
# Of the distance of two painted slices: a ball bulges by half of it at most between them,
# and what runs askew moves on by as much.
_ROOM = 1.0
# Voxels of a gap that grey values are followed through: 800 MB, and a dozen seconds.
_MOST = 8_000_000


class Along(Texts):
    """The axis along which slices were painted."""

    AUTO = "auto", "automatic"
    Z = "z", "z"
    Y = "y", "y"
    X = "x", "x"


class By(Texts):
    """What is followed from one painted slice to the next."""

    SHAPE = "shape", "shape"
    GREY = "grey", "grey values"


@dataclass(frozen=True)
class FillBetween:
    """Paint some slices of a thing, and have those between them filled."""

    along: Annotated[Along, Choice("Painted along")] = Along.AUTO
    by: Annotated[By, Choice("Filled by")] = By.SHAPE


def room(options: FillBetween, subject: Subject) -> float:
    """How far beyond its painted slices a thing may reach between them."""
    if options.by is By.SHAPE:
        return 0.0
    mask = subject.around(0.0).mask
    axis = _axis_of(mask, options.along)
    apart = [after - before for before, after in _gaps(np.moveaxis(mask, axis, 0))]
    return _ROOM * max(apart, default=0) * subject.spacing[axis]


def fill_between(site: Site, options: FillBetween) -> Bools:
    """Every gap filled between slices that have the label; they stay to the voxel.

    Nothing comes before the first of them and after the last.

    Raises
    ------
    FinishError
        Where there is no image to go by, or a gap is too large.
    """
    axis = _axis_of(site.mask, options.along)
    by = _by_shape if options.by is By.SHAPE else _by_grey
    return np.asarray(site.mask | (by(site, axis) & site.free))


def _by_shape(site: Site, axis: int) -> Bools:
    """Shape-based interpolation.

    Between two slices, the signed distances to their outlines are mixed by how near either
    is, and cut at 0 (Raya and Udupa 1990). Shapes that follow each other are mixed apart
    from all others; where it is one and one, they are first laid over each other, and the
    mixture moves from the place of one to that of the other.
    """
    mask = np.moveaxis(site.mask, axis, 0)
    spacing = tuple(step for a, step in enumerate(site.spacing) if a != axis)
    filled = mask.copy()
    for before, after in _gaps(mask):
        for shapes in _followed(mask[before], mask[after]):
            _fill(filled[before : after + 1], shapes, spacing)
    return np.moveaxis(filled, 0, axis)


def _by_grey(site: Site, axis: int) -> Bools:
    """The random walker, a gap at a time, between what is the thing and what is not.

    Painted slices say both; what another label has is not the thing either. To cross a gap
    is made as hard as a step to the next pixel: were it as long as it is, whatever is thin
    would die out half way.
    """
    boxes = list(_boxes(site, axis))
    filled = np.zeros_like(site.mask)
    for box in boxes:
        mask, seeds = site.mask[box], -site.free[box].astype(np.int8)
        for end in (0, -1):
            painted = tuple(end if a == axis else slice(None) for a in range(3))
            seeds[painted] = mask[painted]
        spacing = _across(site.spacing, axis, mask.shape[axis] - 1)
        filled[box] |= random_walker(site.grey[box], seeds, spacing) > 0.5
    return filled


def _across(spacing: Spacing, axis: int, steps: int) -> Spacing:
    """Distances by which so many steps along an axis are as hard as the finest other one.

    Weights go by the square of the distance, and resistances in a row add up.
    """
    finest = min(step for a, step in enumerate(spacing) if a != axis)
    short = finest / math.sqrt(steps)
    z, y, x = (short if a == axis else step for a, step in enumerate(spacing))
    return z, y, x


def _boxes(site: Site, axis: int) -> Iterator[Box]:
    """For each gap, from slice to slice, the box of their shapes with some room."""
    mask = np.moveaxis(site.mask, axis, 0)
    for before, after in _gaps(mask):
        shapes = bounding_box(np.expand_dims(mask[before] | mask[after], axis))
        reach = _ROOM * (after - before) * site.spacing[axis]
        box = list(with_room(shapes, reach, site.mask.shape, site.spacing))
        box[axis] = slice(before, after + 1)
        voxels = math.prod(part.stop - part.start for part in box)
        if voxels > _MOST:
            first, last = (site.start[axis] + index for index in (before, after))
            raise FinishError(
                f"Between slices {first} and {last} lie {voxels:,} voxels, and grey values "
                f"are followed through {_MOST:,}. Paint a slice between, or fill by shape."
            )
        yield box[0], box[1], box[2]


def _axis_of(mask: Bools, along: Along) -> int:
    """The axis asked for, or that with gaps between the thinnest stacks of slices.

    What was painted slice by slice is one slice thick along that axis; along the others a
    gap lies between things that are as thick as they are.
    """
    if along is not Along.AUTO:
        return "zyx".index(along)

    def rank(axis: int) -> tuple[bool, float]:
        moved = np.moveaxis(mask, axis, 0)
        gaps, slices = len(_gaps(moved)), np.count_nonzero(moved.any((1, 2)))
        return gaps > 0, -slices / (gaps + 1)

    return max(range(3), key=rank)


def _gaps(mask: Bools) -> list[tuple[int, int]]:
    """Painted slices, along the first axis, between which others are missing."""
    painted = np.flatnonzero(mask.any((1, 2))).tolist()
    return [(before, after) for before, after in pairwise(painted) if after - before > 1]


def _followed(before: Bools, after: Bools) -> Iterator[Pair]:
    """Shapes of one slice with those of another that they go on as.

    They go on as what they overlap; of those that overlap nothing, the two that are
    nearest to each other. One that nothing follows ends in its slice.
    """
    (near, near_count), (far, far_count) = (
        ndimage.label(plane, _CORNERS) for plane in (before, after)
    )
    # Shapes of the slice after are counted on from those of the slice before.
    far[far > 0] += near_count
    linked = DisjointSet(range(1, near_count + far_count + 1))
    both = before & after
    step = near_count + far_count + 1
    for met in np.flatnonzero(np.bincount(near[both] * step + far[both])).tolist():
        linked.merge(*divmod(met, step))
    for pair in _nearest(near, far, linked):
        linked.merge(*pair)
    for shapes in linked.subsets():
        numbers = sorted(shapes)
        if numbers[0] <= near_count < numbers[-1]:
            yield np.isin(near, numbers), np.isin(far, numbers)


def _nearest(
    near: NDArray[Any], far: NDArray[Any], linked: DisjointSet
) -> Iterator[tuple[int, int]]:
    """Pairs of shapes that overlap nothing, each the nearest to the other."""
    lone = [
        [n for n in np.unique(plane[plane > 0]).tolist() if linked.subset_size(n) == 1]
        for plane in (near, far)
    ]
    if not all(lone):
        return
    here, there = (
        np.array(ndimage.center_of_mass(plane > 0, plane, numbers))
        for plane, numbers in zip((near, far), lone, strict=True)
    )
    apart = np.linalg.norm(here[:, None] - there, axis=2)
    for place, closest in enumerate(apart.argmin(1).tolist()):
        if apart[:, closest].argmin() == place:
            yield lone[0][place], lone[1][closest]


def _fill(gap: Bools, shapes: Pair, spacing: tuple[float, ...]) -> None:
    """Put what lies between two shapes into slices; the first and the last hold the two."""
    (box,) = ndimage.find_objects((shapes[0] | shapes[1]).astype(np.int8))
    # With a rim there is an outside even where a shape fills the box.
    near, far = (np.pad(shape[box], 1) for shape in shapes)
    move = _move_between(near, far)
    from_near, from_far = _signed(near, spacing), _signed(far, spacing)
    last = len(gap) - 1
    for step in range(1, last):
        done, left = step / last, (last - step) / last
        mixed = left * _moved(from_near, done * move) + done * _moved(
            from_far, -left * move
        )
        gap[step][box] |= (mixed > _SLACK * min(spacing))[1:-1, 1:-1]


def _move_between(near: Bools, far: Bools) -> NDArray[np.float64]:
    """From the centre of one shape to that of another; none where either is several."""
    is_single = all(ndimage.label(shape, _CORNERS)[1] == 1 for shape in (near, far))
    if not is_single:
        return np.zeros(2)
    here, there = (np.array(ndimage.center_of_mass(shape)) for shape in (near, far))
    return np.asarray(there - here)


def _moved(distance: Floats, by: NDArray[np.float64]) -> Floats:
    """Distances moved by parts of a pixel."""
    if not by.any():
        return distance
    return np.asarray(ndimage.shift(distance, by, order=1, mode="nearest"))


def _signed(shape: Bools, spacing: tuple[float, ...]) -> Floats:
    """Distance to a shape's outline, positive inside."""
    depth = edt.edt(shape.astype(np.uint8) + 1, anisotropy=spacing)
    return np.asarray(np.where(shape, depth, -depth), dtype=np.float32)

"""Slices between painted ones, filled by the shape between their shapes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import edt
import numpy as np
from scipy import ndimage
from scipy.cluster.hierarchy import DisjointSet

from napari_dinomed.finish.options import Choice, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Site

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]
    Pair = tuple[Bools, Bools]

# Pixels that share a corner belong to one shape: a hand draws diagonals.
_CORNERS = np.ones((3, 3), dtype=np.bool_)
# Of the finest pixel width: what lies just between two outlines belongs to neither side.
_SLACK = 1e-3


class Along(Texts):
    """The axis along which slices were painted."""

    AUTO = "auto", "automatic"
    Z = "z", "z"
    Y = "y", "y"
    X = "x", "x"


@dataclass(frozen=True)
class FillBetween:
    """Paint some slices of a thing, and have those between them filled."""

    along: Annotated[Along, Choice("Painted along")] = Along.AUTO


def fill_between(site: Site, options: FillBetween) -> Bools:
    """Shape-based interpolation in every gap between slices that have the label.

    Those slices stay to the voxel, and nothing comes before the first and after the last.
    Between two, the signed distances to their outlines are mixed by how near either slice
    is, and cut at 0 (Raya and Udupa 1990). Shapes that follow each other are mixed apart
    from all others; where it is one and one, they are first laid over each other, and the
    mixture moves from the place of one to that of the other.
    """
    axis = _axis_of(site.mask, options.along)
    mask = np.moveaxis(site.mask, axis, 0)
    spacing = tuple(step for a, step in enumerate(site.spacing) if a != axis)
    filled = mask.copy()
    for before, after in _gaps(mask):
        for shapes in _followed(mask[before], mask[after]):
            _fill(filled[before : after + 1], shapes, spacing)
    return np.asarray(site.mask | (np.moveaxis(filled, 0, axis) & site.free))


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

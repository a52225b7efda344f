"""Where the next click might tell most: what is in doubt, and deep in it.

In: how probable it is that each cell belongs, by several readings of the same marks. Out:
places in the middle of parts whose side is in doubt. A reading that disagrees with the
answer counts as its doubt; clicks have settled what lies around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_dinomed.segment.limits import forbidden_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.annotation.region import Region

    Floats = NDArray[np.float32]
    Bools = NDArray[np.bool_]

# Widths of parts in doubt that are looked for, in cells; the score of a wider one grows by
# this power of its width: large errors are worth more, but doubt on rims is wide as well.
_WIDTHS = (1.0, 2.0, 4.0)
_POWER = 1.0
# Doubt of what was not found counts for less. On odd patients, of the places most in doubt
# that were found .76 (head and neck) and .35 (hippocampus) were wrong, of those that were
# not found .06 and .17.
_OUTSIDE = 0.15
# Places of each width and side, and how far apart, in widths. On odd patients, clicks where
# most was expected to change had .649, .650 and .662 of the area under the curve with one,
# two and four of them; where most was in doubt, .588.
_EACH, _APART = 4, 3.0
# Cells at most: parts in doubt are seen as well on every other cell.
_MOST_CELLS = 400_000
# Gaussians are cut off at so many standard deviations.
_REACH = 2.5
# Doubt below which nothing is worth a click.
_LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class Doubt:
    """Readings of one label on a grid.

    Parameters
    ----------
    readings
        Probabilities (readings, z, y, x); the first is that of the answer.
    edges
        Size of a cell along (z, y, x).
    holding
        From voxels (n, 3) to the cells that hold them.
    middles
        From cells (n, 3) to the voxels in their middle.
    """

    readings: Floats
    edges: NDArray[np.float64]
    holding: Callable[[NDArray[np.integer]], NDArray[np.int64]]
    middles: Callable[[NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True)
class Place:
    """Where a click might go.

    Parameters
    ----------
    voxel
        (z, y, x).
    belongs
        Whether the answer has it.
    wrong
        How probable it is that the answer is wrong there.
    in_doubt
        How much around it is in doubt.
    """

    voxel: Voxel
    belongs: bool
    wrong: float
    in_doubt: float


def places_in_doubt(
    doubt: Doubt,
    threshold: float,
    clicked: NDArray[np.integer],
    limits: tuple[Region, ...] = (),
) -> list[Place]:
    """Places where a click might tell most; none where nothing is in doubt.

    Parameters
    ----------
    doubt
        Readings.
    threshold
        Probability from which a voxel belongs.
    clicked
        Voxels (n, 3) that were clicked on.
    limits
        What says where the label is not: there is nothing to ask.
    """
    step = int(np.ceil((doubt.readings[0].size / _MOST_CELLS) ** (1 / 3)))
    part = (slice(None, None, step),) * 3
    readings = doubt.readings[:, *part]
    belongs = readings[0] > threshold
    unsure = np.abs(readings.mean(0) - belongs)
    may = np.ones_like(belongs)
    if limits:
        places = doubt.middles(np.argwhere(may) * step)
        may = ~forbidden_at(limits, places).reshape(may.shape)
    away = _distance(belongs.shape, doubt.holding(clicked) / step, doubt.edges)
    found = []
    for width in _WIDTHS:
        # Around a click, as far as the part is wide, there is less left to say.
        fresh = may * unsure * _fading(away, 2 * width)
        for is_in, weight in ((True, 1.0), (False, _OUTSIDE)):
            side = belongs == is_in
            score = _spread(fresh * side, width / doubt.edges * doubt.edges.min())
            score *= may * side * weight * width**_POWER
            for cell in _peaks(score, doubt.edges, _APART * width):
                z, y, x = (int(n) for n in doubt.middles(np.array(cell)[None] * step)[0])
                wrong = abs(float(readings[0][cell]) - is_in)
                found.append(Place((z, y, x), is_in, wrong, float(score[cell])))
    return found


def _peaks(
    score: Floats, edges: NDArray[np.float64], apart: float
) -> Iterator[tuple[int, ...]]:
    """The highest cells, each away from those before."""
    left = score.copy()
    for _ in range(_EACH):
        cell = tuple(int(n) for n in np.unravel_index(left.argmax(), left.shape))
        if left[cell] <= _LEAST:
            return
        yield cell
        left *= _fading(_distance(left.shape, np.array([cell], float), edges), apart)


def _fading(distance: Floats, width: float) -> Floats:
    """1 far away, less within a width, and 0 at no distance."""
    return np.asarray(1 - np.exp(-((distance / width) ** 2)), dtype=np.float32)


def _spread(values: Floats, sigmas: NDArray[np.float64]) -> Floats:
    return np.asarray(ndimage.gaussian_filter(values, sigmas, truncate=_REACH))


def _distance(
    shape: tuple[int, ...], cells: NDArray[np.float64], edges: NDArray[np.float64]
) -> Floats:
    """Distance (z, y, x) to the nearest of some cells (n, 3), in the finest edges."""
    nearest = np.full(shape, np.inf, dtype=np.float32)
    unit = edges / edges.min()
    for cell in cells:
        z, y, x = np.ix_(
            *(
                ((np.arange(n) - c) * u) ** 2
                for n, c, u in zip(shape, cell, unit, strict=True)
            )
        )
        np.minimum(nearest, z + y + x, out=nearest)
    return np.sqrt(nearest)

"""What a further click may change: much around itself, ever less elsewhere.

A click lies in what it corrects: what was missed and is found with it, or what spilled. Its
distance from the edge of that tells how large it is: a click deep inside a missed lobe
speaks for the lobe, one just beyond the edge for a rim. Without this an answer swings to
and fro: each click moves a cut that holds for the whole volume, and the next one moves it
back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.segment.regions import start_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.grid import Cell
    from napari_dinomed.segment.regions import Box

    Floats = NDArray[np.float32]

# In cells: of a click on the very edge, so much around it is meant.
_LEAST_DEPTH = 3.0


def depth_inside(
    region: NDArray[np.bool_], cell: Cell, spacing: NDArray[np.float64]
) -> float:
    """Distance from a cell to the nearest one outside a region, in the spacing's unit.

    At least three cells, also where the cell lies outside: every click corrects something.
    """
    least = _LEAST_DEPTH * float(spacing.min())
    if not region[cell]:
        return least
    reach = 2 * least
    while True:
        near = _within(region.shape, cell, reach / spacing)
        outside = np.argwhere(~region[near]) - np.subtract(cell, start_of(near))
        nearest = float(np.sqrt(((outside * spacing) ** 2).sum(1).min(initial=np.inf)))
        if nearest <= reach:
            return max(least, nearest)
        if region[near].shape == region.shape:
            return nearest if np.isfinite(nearest) else least
        reach *= 2


def _within(shape: tuple[int, ...], cell: Cell, cells: NDArray[np.float64]) -> Box:
    """The box that reaches so many cells from one, and no farther than the grid."""
    return tuple(
        slice(max(0, int(place - far)), min(length, int(place + far) + 2))
        for place, far, length in zip(cell, cells, shape, strict=True)
    )


def correction_share(
    distance: Floats, reach: float, count: float, everywhere: float
) -> Floats:
    """How much of a click's evidence counts, from 1 at the click down to a floor.

    The floor falls as one over the number of clicks: early clicks say what is meant, late
    ones mend it.

    Parameters
    ----------
    distance
        From the click to every cell.
    reach
        Distance at which its own part has fallen to a third: a multiple of its depth.
    count
        Clicks so far, the last one included.
    everywhere
        The floor, times the number of clicks.
    """
    floor = min(1.0, everywhere / count)
    return np.asarray(floor + (1 - floor) * np.exp(-((distance / reach) ** 2)))

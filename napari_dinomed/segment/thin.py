"""Thin lines and sheets, like membranes: where they are, and whether clicks mean them.

A click on a membrane looks like a click on anything else of its grey: what it looks like
is learnt from mitochondria as readily. What tells is a line filter, the second derivative
across and a longer mean along the best of some directions (Freeman and Adelson, IEEE
TPAMI 1991), nearly twice as wide as the lines themselves: it answers strongly around
clicks on membranes, where they are thick and touch each other too, and weakly within blobs.
Membranes are stained: of dark and bright lines, those are sought of which the volume has
more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_dinomed.segment.marks import typical
from napari_dinomed.volume.geometry import NANOMETRES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.volume import Geometry

    Floats = NDArray[np.float32]

_DIRECTIONS = 8
# In nanometres, where the size of pixels is known and one at which membranes are seen.
_WIDTH = 14.6
_TELLING_WIDTH = 25.8
_AROUND = 36.0
_USUAL_PIXEL = 4.3
_PIXELS = (0.5, 40.0)
_SLENDERNESS = 3.5
_REACH = 3.0
_FLAT = 1e-6
_STRONG = 0.99
_PALE = 0.5
_NO_LINE = -1.0
_WEIGHT_OF_EXCLUDED = 0.5
_FEW_EXCLUDED = 2.0
_CLEARLY = 1.0
_LEAST_STRENGTH = -0.15
_HELD = 0.1


class Lines:
    """How much of a thin line there is in every cell of every slice, and around it.

    Lines are dark or bright, whichever are stronger in the volume.

    Parameters
    ----------
    grey
        Smoothed grey values (z, y, x) on the working grid.
    cell
        Width of a cell within the slice, in nanometres (:func:`width_of_cell`).

    Attributes
    ----------
    score
        Answer of the line filter, (z, y, x).
    """

    def __init__(self, grey: Floats, cell: float) -> None:
        # A filter less than a cell wide is none.
        per_cell = min(cell, _WIDTH)
        bright, weakest, _ = _line_responses(grey, _WIDTH / per_cell)
        dark = -weakest
        are_bright = np.quantile(bright, _STRONG) > np.quantile(dark, _STRONG)
        self.score = bright if are_bright else dark
        towards = _standardised(grey if are_bright else -grey)
        # Small blobs answer in every direction, lines in one.
        strongest, _, mean = _line_responses(towards, _TELLING_WIDTH / per_cell)
        lone = strongest - np.maximum(mean, 0)
        size = 2 * round(_AROUND / cell) + 1
        around = _standardised(ndimage.uniform_filter(lone, (1, size, size)))
        is_pale = towards < -_PALE
        self._around = np.where(is_pale, np.minimum(around, _NO_LINE), around)

    def strength(self, cell: Voxel) -> float:
        """Of the lines around a cell: standard deviations above the volume's mean.

        What is clearly paler than the lines are is none, whatever is beside it.
        """
        return float(self._around[cell])


def width_of_cell(geometry: Geometry, step: int) -> float:
    """Width in nanometres of a cell that covers so many pixels of the slice.

    Files without a unit, or with that of a screen, get the usual pixel of serial sections.
    """
    per_unit = NANOMETRES.get(geometry.unit)
    pixel = max(geometry.spacing[1:]) * per_unit if per_unit else 0.0
    least, most = _PIXELS
    return step * (pixel if least <= pixel <= most else _USUAL_PIXEL)


def _line_responses(grey: Floats, width: float) -> tuple[Floats, Floats, Floats]:
    """Strongest, weakest and mean answer of all directions to lines of a width in cells."""
    # Reading it takes a second, a quarter of an engine's start, and few labels are thin.
    from scipy import signal

    strongest, weakest, mean = (np.empty_like(grey) for _ in range(3))
    kernels = [
        _line_kernel(angle, width)
        for angle in np.linspace(0, np.pi, _DIRECTIONS, endpoint=False)
    ]
    rim = len(kernels[0]) // 2
    for index, plane in enumerate(grey):
        beyond = np.pad(plane, rim, mode="symmetric")
        answers = [signal.oaconvolve(beyond, kernel, mode="valid") for kernel in kernels]
        strongest[index], weakest[index] = np.max(answers, axis=0), np.min(answers, axis=0)
        mean[index] = np.mean(answers, axis=0)
    return strongest, weakest, mean


def _line_kernel(angle: float, width: float) -> Floats:
    """Minus the second derivative of a Gaussian across a direction, a mean along it."""
    length = _SLENDERNESS * width
    rim = int(np.ceil(_REACH * length))
    rows, columns = np.mgrid[-rim : rim + 1, -rim : rim + 1]
    along = (columns * np.cos(angle) + rows * np.sin(angle)) / length
    across = (rows * np.cos(angle) - columns * np.sin(angle)) / width
    kernel = (1 - across**2) * np.exp(-(along**2 + across**2) / 2)
    return np.asarray(kernel - kernel.mean(), dtype=np.float32)


def _standardised(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), _FLAT))


def means_thin(
    included: Sequence[float], excluded: Sequence[float], so_far: bool | None = None
) -> bool:
    """Whether clicks mean thin things.

    Parameters
    ----------
    included
        Strength of the lines (:meth:`Lines.strength`) around every included click in order.
    excluded
        The same of excluded clicks. Blobs speak for lines, unless blobs are meant and
        some that were included are as much of one; lines say nothing, since they spill
        from others, unless they are clearly stronger than those included.
    so_far
        Whether the clicks before the last one did, which is held where there is doubt;
        None at first.
    """
    # While lines are meant, included blobs are thick places that were missed.
    least = 0.0 if so_far else min(0.0, *included)
    most = max(0.0, *included) + _CLEARLY
    beyond = sum(max(least - s, 0.0) - max(s - most, 0.0) for s in excluded)
    wrong = _WEIGHT_OF_EXCLUDED * beyond / (len(excluded) + _FEW_EXCLUDED)
    held = 0.0 if so_far is None else _HELD if so_far else -_HELD
    return float(typical(included)) + wrong + held > _LEAST_STRENGTH

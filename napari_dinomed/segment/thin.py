"""Thin lines and sheets, like membranes: where they are, and whether clicks mean them.

A click on a membrane looks like a click on anything else of its grey: what it looks like
is learnt from mitochondria as readily. What tells is a line filter, the second derivative
across and a longer mean along the best of some directions (Freeman and Adelson, IEEE
TPAMI 1991): it answers strongly around clicks on membranes, weakly within blobs, and
weakly where blobs were excluded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import ndimage, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.prompts import Voxel

    Floats = NDArray[np.float32]

_DIRECTIONS = 8
_WIDTH = 3.4
_LENGTH = 12.0
_REACH = 3.0
_AROUND = 9
_FLAT = 1e-6
_MIDDLE = 0.1
_SLOPE = 1.4
_MOST = 2.0
_WHOLLY_WRONG = 0.6
_MOST_OF_ONE_EXCLUDED = 0.6


class Lines:
    """How much of a thin bright line there is in every cell of every slice, and around it.

    Parameters
    ----------
    grey
        Smoothed grey values (z, y, x) on the working grid; with the other sign, dark lines
        are sought.
    step
        Pixels of the slice that a cell covers.

    Attributes
    ----------
    score
        Answer of the line filter, (z, y, x).
    """

    def __init__(self, grey: Floats, step: int) -> None:
        strongest, mean = _line_responses(grey, _WIDTH / step, _LENGTH / step)
        self.score = strongest
        # Small blobs answer in every direction, lines in one.
        lone = strongest - np.maximum(mean, 0)
        self._around = _standardised(ndimage.uniform_filter(lone, (1, _AROUND, _AROUND)))

    def strength(self, cell: Voxel) -> float:
        """Of the lines around a cell: standard deviations above the volume's mean."""
        return float(self._around[cell])


def _line_responses(grey: Floats, width: float, length: float) -> tuple[Floats, Floats]:
    """Strongest and mean answer of all directions; width and length in cells."""
    strongest, mean = np.empty_like(grey), np.empty_like(grey)
    kernels = [
        _line_kernel(angle, width, length)
        for angle in np.linspace(0, np.pi, _DIRECTIONS, endpoint=False)
    ]
    rim = len(kernels[0]) // 2
    for index, plane in enumerate(grey):
        beyond = np.pad(plane, rim, mode="symmetric")
        answers = [signal.oaconvolve(beyond, kernel, mode="valid") for kernel in kernels]
        strongest[index], mean[index] = np.max(answers, axis=0), np.mean(answers, axis=0)
    return strongest, mean


def _line_kernel(angle: float, width: float, length: float) -> Floats:
    """Minus the second derivative of a Gaussian across a direction, a mean along it."""
    rim = int(np.ceil(_REACH * length))
    rows, columns = np.mgrid[-rim : rim + 1, -rim : rim + 1]
    along = (columns * np.cos(angle) + rows * np.sin(angle)) / length
    across = (rows * np.cos(angle) - columns * np.sin(angle)) / width
    kernel = (1 - across**2) * np.exp(-(along**2 + across**2) / 2)
    return np.asarray(kernel - kernel.mean(), dtype=np.float32)


def _standardised(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), _FLAT))


@dataclass(frozen=True)
class Thinness:
    """Evidence that thin things are meant.

    It is what was included first, and what was excluded: blobs found whole, where blobs
    are wrong, or lines. What is included later was missed, and neither missed blobs nor
    missed lines look like the usual ones. What was once found to be thin stays so: from
    then on their thick places are missed.

    Parameters
    ----------
    from_included
        Logarithm of the odds that the first included click gave; None before it.
    from_excluded
        What excluded clicks added. It is limited, since blobs are excluded when other
        blobs are meant, too.
    is_certain
        Whether the odds have been over one.
    """

    from_included: float | None = None
    from_excluded: float = 0.0
    is_certain: bool = False

    def after(self, strength: float, belongs: bool, depth: float = 0.0) -> Self:
        """With the evidence of one more click.

        Parameters
        ----------
        strength
            Of the lines around it, as of :meth:`Lines.strength`.
        belongs
            Whether it was included.
        depth
            How deep an excluded click lies in what was found, in radii of such things.
        """
        included, excluded = self.from_included, self.from_excluded
        for_lines = float(np.clip(_SLOPE * (strength - _MIDDLE), -_MOST, _MOST))
        if not belongs:
            wrong = float(np.clip(depth - _WHOLLY_WRONG, 0, _MOST_OF_ONE_EXCLUDED))
            excluded = min(excluded + wrong - max(for_lines, 0.0), _MOST)
        elif included is None:
            included = for_lines
        is_over = included is not None and included + excluded > 0
        return type(self)(included, excluded, self.is_certain or is_over)

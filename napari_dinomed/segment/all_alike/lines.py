"""Thin lines in slices: membranes of serial sections.

The second derivative across and a longer mean along the best of some directions (Freeman
and Adelson, IEEE TPAMI 1991); nearly twice as wide as the lines themselves, it tells
whether they are meant: small blobs answer in every direction, lines in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

from napari_dinomed.segment.all_alike.thin import (
    AROUND,
    WIDTH,
    Thin,
    are_bright,
    standardised,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# Steps of 22 degrees: lines are told apart from blobs, not from each other.
_DIRECTIONS = 8
# Threads that filter: as many as there are processors.
_WORKERS = -1
# In nanometres: how wide the lines are that tell whether any are meant.
_TELLING_WIDTH = 25.8
# A line is so many times as long as wide; kernels end at so many standard deviations.
_SLENDERNESS, _REACH = 3.5, 3.0


def lines_of(grey: Floats, cell: float) -> Thin:
    """Lines in every slice.

    Parameters
    ----------
    grey
        Smoothed grey values (z, y, x) on the working grid.
    cell
        Width of a cell within the slice, in nanometres (:func:`width_of_cell`).
    """
    # A filter less than a cell wide is none.
    per_cell = min(cell, WIDTH)
    bright, weakest, _ = _line_responses(grey, WIDTH / per_cell)
    dark = -weakest
    is_bright = are_bright(bright, dark)
    towards = standardised(grey if is_bright else -grey)
    strongest, _, mean = _line_responses(towards, _TELLING_WIDTH / per_cell)
    lone = strongest - np.maximum(mean, 0)
    size = 2 * round(AROUND / cell) + 1
    around = ndimage.uniform_filter(lone, (1, size, size))
    return Thin.of(bright if is_bright else dark, around, towards)


def _line_responses(grey: Floats, width: float) -> tuple[Floats, Floats, Floats]:
    """Strongest, weakest and mean answer of all directions to lines of a width in cells."""
    strongest, weakest, mean = (np.empty_like(grey) for _ in range(3))
    angles = np.linspace(0, np.pi, _DIRECTIONS, endpoint=False)
    kernels = np.stack([_line_kernel(angle, width) for angle in angles])
    rim = kernels.shape[1] // 2
    rows, columns = (length + 2 * rim for length in grey.shape[1:])
    size = (fft.next_fast_len(rows, real=True), fft.next_fast_len(columns, real=True))
    filters = fft.rfft2(kernels, size)
    for index, plane in enumerate(grey):
        beyond = fft.rfft2(np.pad(plane, rim, mode="symmetric"), size)
        answers = fft.irfft2(beyond * filters, size, workers=_WORKERS)
        answers = answers[:, 2 * rim : rows, 2 * rim : columns]
        strongest[index], weakest[index] = answers.max(0), answers.min(0)
        mean[index] = answers.mean(0)
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

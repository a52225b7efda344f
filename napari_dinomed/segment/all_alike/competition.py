"""Which side of an edge a grey value fits.

The region competition of Zhu and Yuille (1996), with histograms of both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bools = NDArray[np.bool_]

# Bins of grey values, and how far they are smoothed.
_BINS, _BLUR = 64, 2.0
# Share of cells that every bin is granted, and logit at which a grey value is sure.
_FLOOR, _MOST = 1e-3, 4.0
# Cells without which a side tells nothing.
_FEWEST = 10


def grey_competition(
    grey: Floats, inside: Bools, outside: Bools, span: tuple[float, float]
) -> Floats:
    """Logit that a cell's grey value is one from inside rather than outside.

    Parameters
    ----------
    grey
        Grey values (z, y, x).
    inside, outside
        Cells known to be on either side.
    span
        Lowest and highest grey value that are told apart.

    Returns
    -------
    numpy.ndarray
        (z, y, x); 0 everywhere where one side has hardly a cell, or all is of one grey.
    """
    low, high = span
    if min(inside.sum(), outside.sum()) < _FEWEST or low >= high:
        return np.zeros(grey.shape, dtype=np.float32)
    place = np.clip((grey - low) * (_BINS / (high - low)), 0, _BINS - 1).astype(np.uint8)
    logit = _log_density(place[inside]) - _log_density(place[outside])
    fits: Floats = np.clip(logit, -_MOST, _MOST).astype(np.float32)[place]
    return fits


def _log_density(places: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logarithm of a smoothed histogram, for every bin."""
    share = np.bincount(places, minlength=_BINS) / len(places)
    smooth = ndimage.gaussian_filter1d(share, _BLUR, mode="nearest")
    return np.asarray(np.log(smooth + _FLOOR))

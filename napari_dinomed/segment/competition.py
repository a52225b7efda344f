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

_BINS = 64
_BLUR = 2.0
_FLOOR = 1e-3
_MOST = 4.0
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
    place = ((grey - low) * (_BINS / (high - low))).astype(np.int64)
    place = np.clip(place, 0, _BINS - 1)
    logit = _log_density(place[inside]) - _log_density(place[outside])
    return np.asarray(np.clip(logit, -_MOST, _MOST)[place], dtype=np.float32)


def _log_density(places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logarithm of a smoothed histogram, for every bin."""
    share = np.bincount(places, minlength=_BINS) / len(places)
    smooth = ndimage.gaussian_filter1d(share, _BLUR, mode="nearest")
    return np.asarray(np.log(smooth + _FLOOR))

"""Whether the clicks mean thin lines and sheets, like membranes, rather than blobs.

A click on a membrane looks like a click on anything else of its grey: what it looks like
is learnt from mitochondria as readily. What tells is the ridge filter, the largest
curvature of the smoothed grey values (Frangi et al., MICCAI 1998): it answers strongly
around clicks on membranes, weakly within blobs, and weakly where blobs were excluded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.prompts import Voxel

    Floats = NDArray[np.float32]

_AROUND = 9
_FLAT = 1e-6
_AT_FIRST = -0.5
_SLOPE = 1.4
_INCLUDED_MIDDLE = 0.15
_EXCLUDED_MIDDLE = 0.4
_MOST = 2.0
_FURTHER = 1.0
_MOST_EXCLUDED = 0.4
_MOST_OF_ALL_EXCLUDED = 1.0


class Ridges:
    """How much of a ridge there is around every cell.

    Parameters
    ----------
    response
        Ridge filter (z, y, x) on the working grid.
    """

    def __init__(self, response: Floats) -> None:
        around: Floats = ndimage.uniform_filter(response, (1, _AROUND, _AROUND))
        self._around = (around - around.mean()) / max(float(around.std()), _FLAT)

    def strength(self, cell: Voxel) -> float:
        """Of the ridge around a cell: standard deviations above the volume's mean."""
        return float(self._around[cell])


@dataclass(frozen=True)
class Thinness:
    """Evidence that thin things are meant.

    What was once found to be thin stays so: what is missed from then on are its thick
    places, which would speak against it.

    Parameters
    ----------
    odds
        Logarithm of the odds.
    from_excluded
        The part of it that excluded clicks gave; it is limited, since blobs are excluded
        when other blobs are meant, too.
    has_included
        Whether anything was included. What is included later was missed by an answer of
        blobs, which happens less where thin things are meant.
    is_certain
        Whether the odds have been over one.
    """

    odds: float = _AT_FIRST
    from_excluded: float = 0.0
    has_included: bool = False
    is_certain: bool = False

    def after(self, strength: float, belongs: bool) -> Self:
        """With the evidence of one more click.

        Parameters
        ----------
        strength
            Of the ridge around it, as of :meth:`Ridges.strength`.
        belongs
            Whether it was included.
        """
        excluded = self.from_excluded
        if belongs:
            gain = np.clip(_SLOPE * (strength - _INCLUDED_MIDDLE), -_MOST, _MOST)
            gain -= _FURTHER if self.has_included else 0.0
        else:
            least = np.clip(_SLOPE * (_EXCLUDED_MIDDLE - strength), -_MOST, _MOST_EXCLUDED)
            excluded = min(excluded + float(least), _MOST_OF_ALL_EXCLUDED)
            gain = excluded - self.from_excluded
        odds = self.odds + float(gain)
        return type(self)(
            odds, excluded, self.has_included or belongs, self.is_certain or odds > 0
        )

"""Thin things, like membranes: how strong they are, and whether clicks mean them.

A click on a membrane looks like a click on anything else of its grey: what it looks like
is learnt from mitochondria as readily. What tells is a filter (`lines`, `sheets`) that
answers strongly around clicks on membranes, where they are thick and touch each other too,
and weakly within blobs. Membranes are stained: of dark and bright ones, those are sought
of which the volume has more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.segment.marks import typical
from napari_dinomed.volume.geometry import NANOMETRES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.volume import Geometry

    Floats = NDArray[np.float32]

# In nanometres: how wide thin things are, half of a membrane and what lies beside it, and
# how far around a click they are told.
WIDTH, AROUND = 14.6, 36.0
# In nanometres, of a pixel whose size no file tells, and at which membranes are seen.
_USUAL_PIXEL, _PIXELS = 4.3, (0.5, 40.0)
# What does not vary is not divided by its spread.
_FLAT = 1e-6
# Quantile by which dark and bright ones are compared.
_STRONG = 0.99
# Standard deviations by which a place is paler than they are, and what it counts as.
_PALE, _NONE = 0.5, -1.0
# What excluded marks weigh beside included ones: half, and less while they are few.
_WEIGHT_OF_EXCLUDED, _FEW_EXCLUDED = 0.5, 2.0
# Lines speak against lines where they are so much stronger than those included.
_CLEARLY = 1.0
# Strength from which thin things are meant, and how much what was meant before counts.
_LEAST_STRENGTH, _HELD = -0.15, 0.1


@dataclass(frozen=True, eq=False)
class Thin:
    """How much of a thin thing there is in every cell, and around it.

    Parameters
    ----------
    score
        Answer of the filter, (z, y, x).
    around
        The same of those around each cell, in standard deviations above the mean.
    """

    score: Floats
    around: Floats

    @classmethod
    def of(cls, score: Floats, around: Floats, towards: Floats) -> Thin:
        """Put together; what is clearly paler is none, whatever is beside it.

        Parameters
        ----------
        score, around
            As above; ``around`` in any unit.
        towards
            Grey values (z, y, x), high where thin things are; standardised.
        """
        around = standardised(around)
        return cls(score, np.where(towards < -_PALE, np.minimum(around, _NONE), around))

    def strength(self, cell: Voxel) -> float:
        """Of the thin things around a cell."""
        return float(self.around[cell])


def are_bright(bright: Floats, dark: Floats) -> bool:
    """Whether a volume has more of bright thin things than of dark ones."""
    return bool(np.quantile(bright, _STRONG) > np.quantile(dark, _STRONG))


def standardised(values: Floats) -> Floats:
    """Values with a mean of 0 and a standard deviation of 1."""
    return np.asarray((values - values.mean()) / max(float(values.std()), _FLAT))


def width_of_cell(geometry: Geometry, step: int) -> float:
    """Width in nanometres of a cell that covers so many pixels of the slice.

    Files without a unit, or with that of a screen, get the usual pixel of serial sections.
    """
    per_unit = NANOMETRES.get(geometry.unit)
    pixel = max(geometry.spacing[1:]) * per_unit if per_unit else 0.0
    least, most = _PIXELS
    return step * (pixel if least <= pixel <= most else _USUAL_PIXEL)


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

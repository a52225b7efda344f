"""How good a mask is, and how good a series of masks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import edt
import numpy as np
from scipy import ndimage
from scipy.integrate import trapezoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

MOST_CLICKS = 20
# Distances come in single precision: a voxel that lies at the tolerance is within it.
_ROUNDED = 1 + 1e-5


def dice(truth: Bools, mask: Bools) -> float:
    """Twice the overlap over the sum of both sizes; 1 where both are empty."""
    total = int(truth.sum()) + int(mask.sum())
    return 2 * int((truth & mask).sum()) / total if total else 1.0


def surface_dice(
    truth: Bools, mask: Bools, spacing: tuple[float, float, float], tolerance: float
) -> float:
    """Share of both surfaces that lies within a tolerance of the other one.

    Surfaces are the voxels that touch the outside; 1 where both masks are empty. After
    Nikolov et al. (arXiv 1809.04430), counting voxels instead of areas.

    Parameters
    ----------
    truth, mask
        (z, y, x).
    spacing, tolerance
        Voxel size along (z, y, x), and a distance, in the same unit.
    """
    both = truth | mask
    if not both.any():
        return 1.0
    (box,) = ndimage.find_objects(both.astype(np.int8))
    first, second = (_surface(np.pad(part[box], 1)) for part in (truth, mask))
    if not (first.any() and second.any()):
        return 0.0
    near = [
        int((edt.edt(~there, anisotropy=spacing)[here] <= tolerance * _ROUNDED).sum())
        for here, there in ((first, second), (second, first))
    ]
    return sum(near) / int(first.sum() + second.sum())


def area_under(values: Sequence[float]) -> float:
    """Area under the curve over clicks by trapezoids, from 0 to 1."""
    if len(values) == 1:
        return values[0]
    return float(trapezoid(values) / (len(values) - 1))


def clicks_to(values: Sequence[float], target: float) -> int | None:
    """Clicks until a value first reaches a target; None where it never does."""
    for number, value in enumerate(values, start=1):
        if value >= target:
            return number
    return None


def largest_loss(values: Sequence[float]) -> float:
    """The most that a single click took away."""
    return max([0.0, *(a - b for a, b in pairwise(values))])


def _surface(mask: Bools) -> Bools:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))

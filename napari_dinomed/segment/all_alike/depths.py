"""How deep in a mask its cells lie, slice by slice, and how wide what it covers is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edt
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# Slices that a radius is measured on: more tell the same.
_SLICES = 8
# A disc's mean depth is a third of its radius; what is found is less round than that.
_RADIUS = 2.5


def depths(
    mask: NDArray[np.bool_], spacing: NDArray[np.float64], *, goes_on: bool = False
) -> Floats:
    """Distance (z, y, x) of the cells of a mask to its edge within their slice, else 0.

    Parameters
    ----------
    mask
        The mask (z, y, x).
    spacing
        Size of a cell along (z, y, x), whose unit the depths have.
    goes_on
        Whether it goes on beyond the rim of the slices; where all of one is covered,
        depths are infinite then.
    """
    deep = np.empty(mask.shape, dtype=np.float32)
    for plane, depth in zip(np.ascontiguousarray(mask), deep, strict=True):
        depth[:] = edt.edt(plane, anisotropy=tuple(spacing[1:]), black_border=not goes_on)
    return deep


def typical_radius(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Radius in the plane of what a mask covers, as some of its slices show it."""
    some = mask[:: max(1, len(mask) // _SLICES)]
    return radius_of(depths(some, spacing), some)


def radius_of(deep: Floats, mask: NDArray[np.bool_]) -> float:
    """Radius in the plane of what a mask covers, from how deep its cells lie in it."""
    return _RADIUS * float(deep.sum() / max(1, np.count_nonzero(mask)))

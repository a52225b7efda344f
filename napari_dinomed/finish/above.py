"""Labels without what is too faint, and without what is too small to be meant.

Lesions in PET are read so: uptake from some SUV on, foci from some volume on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import FinishError
from napari_dinomed.finish.options import Measure, Scale
from napari_dinomed.segment.regions import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume import Volume


# Of a voxel: volumes of whole voxels are not exact.
_SLACK = 1e-9


def require_numbers(floor: float | None, least: float) -> None:
    """See that there is something from which voxels and parts can be kept.

    Raises
    ------
    FinishError
        Where the least grey value or volume is no number, or infinite.
    """
    for what, value in (("least grey value", floor), ("least volume", least)):
        if value is not None and not math.isfinite(value):
            raise FinishError(f"Expected a number for the {what}, got {value}.")


def above(
    labels: NDArray[Any], volume: Volume, floor: float | None, least: float
) -> NDArray[Any]:
    """Labels with neither faint voxels nor small parts.

    Parameters
    ----------
    labels
        The number of each voxel's label (z, y, x).
    volume
        What was labelled.
    floor
        Grey value from which voxels are kept; all if None.
    least
        Volume from which connected parts are kept, in ml, or in µm³ or the unit's cube
        where the unit is no millimetre. What is faint does not count.

    Returns
    -------
    numpy.ndarray
        Labels of the same type.

    Raises
    ------
    FinishError
        As `require_numbers`.
    """
    require_numbers(floor, least)
    kept = labels.copy()
    if floor is not None:
        kept[np.asarray(volume.array) < floor] = 0
    geometry = volume.geometry
    _, factor = Scale(geometry.unit, geometry.spacing).unit_of(Measure.VOLUME)
    voxels = least * factor / geometry.voxel_volume - _SLACK
    if voxels > 1:
        # Parts of two labels that touch are two; by corners they are one lesion.
        parts, _ = numbered(kept)
        small = np.bincount(parts.ravel()) < voxels
        kept[small[parts]] = 0
    return kept

"""How much of a volume has a label: voxels, the room that they fill, and its surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.segment.regions import bounding_box
from napari_dinomed.taught.header import Amount

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A surface crosses lines along three axes as often as planes of 3/2 its area would that
# face them, in the mean over all ways that it may be turned.
_FACING = 2 / 3


def amount_of(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> Amount:
    """Measure a mask that has a voxel at least.

    The surface is by Crofton's formula, from lines along the three axes: no mesh is needed,
    and steps of voxels do not count (Legland, Kiêu and Devaux, Image Analysis &
    Stereology 2007). Faces at the border of the volume count.

    Parameters
    ----------
    mask
        (z, y, x).
    spacing
        Size of a voxel along them.
    """
    voxels, size = int(mask.sum()), float(np.prod(spacing))
    padded = np.pad(mask[bounding_box(mask)], 1)
    crossed = (np.diff(padded, axis=axis).sum() / spacing[axis] for axis in range(3))
    return Amount(voxels, voxels * size, float(_FACING * size * sum(crossed)))

"""Made-up CT of any size, in seconds: a small one enlarged, with noise of its own.

The phantom itself takes minutes, and tens of bytes for each voxel, where a clinical scan
is as large as scans are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.volume.phantom import ORGANS, ct_abdomen

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Voxels along an axis of the small one.
_MOST = 96
# Millimetres along an axis of what is shown.
_EXTENT = 400.0
# Hounsfield units: that of a scan with thin slices, which also compresses no better.
_NOISE = 20
_SPLEEN = 1 + [organ.name for organ in ORGANS].index("spleen")


def large_ct(shape: tuple[int, int, int]) -> tuple[Volume, NDArray[np.bool_]]:
    """A CT (int16) and where its spleen is, both of a shape (z, y, x)."""
    z, y, x = shape
    small, truth = ct_abdomen((min(z, _MOST), min(y, _MOST), min(x, _MOST)))
    place = [np.arange(n) * m // n for n, m in zip(shape, truth.shape, strict=True)]
    random = np.random.default_rng(0)
    array = np.empty(shape, np.int16)
    for plane, at in zip(array, place[0], strict=True):
        noise = random.integers(-_NOISE, _NOISE, shape[1:], np.int16)
        plane[...] = small.array[at][np.ix_(place[1], place[2])] + noise
    grid = Geometry.from_spacing(shape, (_EXTENT / z, _EXTENT / y, _EXTENT / x), "mm")
    spleen = truth == _SPLEEN
    return replace(small, array=array, geometry=grid), spleen[np.ix_(*place)]

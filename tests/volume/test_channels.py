from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import VolumeError
from napari_dinomed.volume import Geometry, Volume, seen_with

GEOMETRY = Geometry.from_spacing((4, 5, 6), (3, 1, 1), "mm")


def _volume(scale=1.0, geometry=GEOMETRY):
    array = np.arange(np.prod(geometry.shape), dtype=np.float32).reshape(geometry.shape)
    return Volume(array * scale, geometry, "MR")


def test_others_are_windowed():
    both = seen_with(_volume(), [_volume(1000.0)])
    (other,) = both.others
    assert other.dtype == np.uint16
    assert other.min() == 0
    assert other.max() == 65_535
    assert both.fingerprint == _volume().fingerprint


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry.from_spacing((4, 5, 7), (3, 1, 1), "mm"),
        Geometry.from_spacing((4, 5, 6), (3, 1, 1.1), "mm"),
    ],
)
def test_others_must_lie_on_the_same_grid(geometry):
    with pytest.raises(VolumeError, match="same grid"):
        seen_with(_volume(), [_volume(geometry=geometry)])


def test_at_most_three_in_all():
    with pytest.raises(VolumeError, match="at most 2"):
        seen_with(_volume(), [_volume()] * 3)

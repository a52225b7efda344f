from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import VolumeError
from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.volume.volume import guess_modality


def _volume(array):
    geometry = Geometry.from_spacing(array.shape, (1, 1, 1), "mm")
    return Volume(array, geometry)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((2, 3, 4), np.nan, dtype=np.float32), "not-a-number"),
        (np.full((2, 3, 4), 7, dtype=np.int16), "constant"),
        (np.zeros((0, 3, 4), dtype=np.int16), "empty"),
    ],
)
def test_volumes_without_content_are_refused(array, reason):
    with pytest.raises(VolumeError, match=reason):
        _volume(array).require_content()


def test_one_slice_and_three_slices_are_volumes():
    for depth in (1, 3):
        _volume(np.arange(depth * 12).reshape(depth, 3, 4)).require_content()


def test_the_array_must_fit_the_grid():
    with pytest.raises(VolumeError, match=r"\(2, 3, 4\)"):
        Volume(np.zeros((2, 3, 5)), Geometry.from_spacing((2, 3, 4), (1, 1, 1)))


def test_the_fingerprint_is_of_voxels_and_grid():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    same = _volume(array.copy())
    other_voxel = array.copy()
    other_voxel[1, 2, 3] += 1
    wider = Volume(array, Geometry.from_spacing((2, 3, 4), (2, 1, 1), "mm"))
    assert _volume(array).fingerprint == same.fingerprint
    assert _volume(array).fingerprint != _volume(other_voxel).fingerprint
    assert _volume(array).fingerprint != wider.fingerprint
    assert _volume(array).fingerprint != _volume(array.astype(np.int32)).fingerprint


def test_modality_follows_the_range_of_grey_values():
    assert guess_modality(np.array([-1024, 40, 1200]), patient=True) == "CT"
    assert guess_modality(np.array([0, 900]), patient=True) == "MR"
    assert guess_modality(np.array([-1024, 40, 1200]), patient=False) == "EM"

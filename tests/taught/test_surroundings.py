"""What lies around a place, measured in the world and not in voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.taught.surroundings import PARTS, Surroundings, length_of, places_in
from napari_dinomed.volume import Geometry, Volume, Window
from tests.conftest import ball

WINDOW = Window(0, 200)
SHAPE = (40, 48, 44)


def _volume(spacing=(1.0, 1.0, 1.0), factor=1):
    """A dim ball with a bright one beside it, along x."""
    shape = tuple(factor * length for length in SHAPE)
    fine = tuple(length / factor for length in spacing)
    grey = np.full(shape, 20.0)
    grey[ball(shape, tuple(factor * c for c in (20, 24, 14)), 6, fine)] = 120
    grey[ball(shape, tuple(factor * c for c in (20, 24, 32)), 5, fine)] = 180
    array = grey.astype(np.uint8)
    return Volume(array, Geometry.from_spacing(shape, fine, "mm"), "MR")


def _at(volume, *voxels, length=44.0):
    return Surroundings.of(volume, WINDOW, length).at(np.array(voxels))


def test_every_place_has_as_many_numbers_and_none_is_odd():
    corners = _at(_volume(), (0, 0, 0), (39, 47, 43), (20, 24, 14))
    assert corners.shape == (3, PARTS)
    assert torch.isfinite(corners).all()


def test_what_is_beside_a_place_tells_it_from_its_like():
    """Both places look the same where they are; one has the bright ball on its right."""
    left, right = _at(_volume(), (20, 24, 14), (20, 24, 15))
    assert (left - right).abs().max() > 0.05
    own = left[:2] - right[:2]
    assert own.abs().max() < 1e-6


def test_finer_voxels_say_the_same():
    coarse = _at(_volume(), (20, 24, 14), (20, 24, 32), (10, 10, 10))
    fine = _at(
        _volume(factor=2), (40.5, 48.5, 28.5), (40.5, 48.5, 64.5), (20.5, 20.5, 20.5)
    )
    assert (coarse - fine).abs().median() < 0.02
    assert (coarse - fine).abs().max() < 0.35  # voxels at the rim of a small ball


def test_a_mirrored_volume_swaps_the_sides():
    volume = _volume()
    mirrored = Volume(volume.array[:, :, ::-1].copy(), volume.geometry, volume.modality)
    one, other = _at(volume, (20, 24, 14)), _at(mirrored, (20, 24, SHAPE[2] - 1 - 14))
    greys = (seen[0, :-3].sort().values.numpy() for seen in (one, other))
    assert next(greys) == pytest.approx(next(greys), abs=0.02)
    assert not torch.allclose(one, other, atol=0.05)


def test_places_are_told_from_the_middle_of_what_is_bright():
    volume = _volume()
    array = np.zeros_like(volume.array)
    array[10:20, 20:30, 30:40] = 200
    only = Volume(array, volume.geometry, volume.modality)
    (place,) = places_in(_at(only, (14, 24, 34)))
    assert place.abs().max() < 0.2
    (moved,) = places_in(_at(only, (14, 24, 14)))
    assert moved[2] < -1


def test_one_grey_value_everywhere_is_no_error():
    volume = _volume()
    flat = Volume(np.full_like(volume.array, 7), volume.geometry, volume.modality)
    assert torch.isfinite(_at(flat, (3, 3, 3))).all()


def test_the_length_is_the_mean_extent():
    assert length_of(_volume(spacing=(2.0, 1.0, 1.0))) == pytest.approx(
        (40 * 2 * 48 * 44) ** (1 / 3)
    )

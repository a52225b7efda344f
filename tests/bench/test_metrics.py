from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.bench.metrics import (
    area_under,
    clicks_to,
    dice,
    largest_loss,
    surface_dice,
)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([1, 1, 0, 0], [1, 0, 0, 0], 2 / 3),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),
    ],
)
def test_dice(first, second, expected):
    assert dice(np.array(first, bool), np.array(second, bool)) == pytest.approx(expected)


def _box(start, stop):
    mask = np.zeros((12, 12, 12), bool)
    mask[start:stop, 3:9, 3:9] = True
    return mask


def test_surface_dice_respects_spacing():
    """A slice of shift agrees at 3 mm where slices are 3 mm apart, not before."""
    first, second = _box(3, 7), _box(4, 8)
    assert surface_dice(first, second, (3.0, 1.0, 1.0), 3.0) == 1
    assert surface_dice(first, second, (3.0, 1.0, 1.0), 0.9) < 0.75
    assert surface_dice(first, second, (0.9, 1.0, 1.0), 0.9) == 1


def test_surface_dice_of_equal_disjoint_and_empty_masks():
    first = _box(3, 7)
    nothing = np.zeros_like(first)
    assert surface_dice(first, first, (1, 1, 1), 0) == 1
    assert surface_dice(first, nothing, (1, 1, 1), 5) == 0
    assert surface_dice(nothing, nothing, (1, 1, 1), 0) == 1
    corner = np.zeros_like(first)
    corner[0, 0, 0] = True
    assert surface_dice(first, corner, (1, 1, 1), 1) == 0


def test_surface_dice_by_hand():
    """Two lines of five voxels, one of them two longer: 10 of 12 surface voxels agree."""
    first, second = np.zeros((2, 1, 1, 9), bool)
    first[0, 0, :5] = second[0, 0, :7] = True
    assert surface_dice(first, second, (1, 1, 1), 0) == pytest.approx(10 / 12)
    assert surface_dice(first, second, (1, 1, 1), 1) == pytest.approx(11 / 12)


def test_area_is_the_mean_of_trapezoids():
    assert area_under([0.0, 1.0]) == 0.5
    assert area_under([0.2, 0.6, 0.8]) == pytest.approx((0.4 + 0.7) / 2)
    assert area_under([0.7]) == 0.7


def test_clicks_to_a_target():
    assert clicks_to([0.5, 0.85, 0.7, 0.95], 0.8) == 2
    assert clicks_to([0.5, 0.85], 0.9) is None


def test_the_largest_loss_is_between_consecutive_clicks():
    assert largest_loss([0.5, 0.4, 0.8, 0.55, 0.6]) == pytest.approx(0.25)
    assert largest_loss([0.1, 0.2]) == 0

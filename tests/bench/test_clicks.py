from __future__ import annotations

import numpy as np

from napari_dinomed.bench.clicks import next_click
from tests.conftest import ball

SHAPE = (20, 40, 40)


def test_the_first_click_is_the_deepest_voxel():
    truth = ball(SHAPE, (10, 20, 22), 7)
    point = next_click(truth, np.zeros(SHAPE, bool), (1, 1, 1))
    assert point.voxel == (10, 20, 22)
    assert point.include


def test_in_an_image_of_one_slice_the_middle_of_what_is_there_is_clicked():
    truth = ball((3, 40, 40), (1, 20, 22), 7)[1:2]
    point = next_click(truth, np.zeros(truth.shape, bool), (1, 1, 1))
    assert point.voxel == (0, 20, 22)


def test_depth_is_in_the_unit_of_the_spacing():
    """In thick slices the middle of a slab counts, not its voxels."""
    truth = np.zeros(SHAPE, bool)
    truth[4:7, 5:35, 5:35] = True
    point = next_click(truth, np.zeros(SHAPE, bool), (10.0, 1.0, 1.0))
    assert point.voxel[0] in (4, 5, 6)
    assert point.voxel[1:] == (19, 19)


def test_the_largest_error_is_clicked_and_what_spilled_is_excluded():
    truth = ball(SHAPE, (10, 10, 10), 5)
    mask = truth | ball(SHAPE, (10, 28, 28), 8)
    point = next_click(truth, mask, (1, 1, 1))
    assert point.voxel == (10, 28, 28)
    assert not point.include


def test_touching_corners_are_one_error():
    truth = np.zeros((3, 6, 6), bool)
    truth[0, 0:2, 0:2] = truth[1, 2:4, 2:4] = True
    truth[2, 5, 0:3] = True
    point = next_click(truth, np.zeros_like(truth), (1, 1, 1))
    assert point.voxel[0] in (0, 1)


def test_the_edge_of_the_volume_is_an_edge():
    truth = np.zeros((1, 9, 9), bool)
    truth[0, :, :5] = True
    point = next_click(truth, np.zeros_like(truth), (5, 1, 1))
    assert point.voxel[2] == 2


def test_no_error_no_click():
    truth = ball(SHAPE, (10, 20, 22), 7)
    assert next_click(truth, truth, (1, 1, 1)) is None


def test_jitter_stays_in_the_deeper_half_and_is_repeatable():
    truth = ball(SHAPE, (10, 20, 22), 8)
    nothing = np.zeros(SHAPE, bool)
    places = {
        next_click(truth, nothing, (1, 1, 1), random=np.random.default_rng(seed)).voxel
        for seed in range(12)
    }
    assert len(places) > 6
    for place in places:
        assert np.linalg.norm(np.subtract(place, (10, 20, 22))) <= 4.6
    again = next_click(truth, nothing, (1, 1, 1), random=np.random.default_rng(0))
    assert again.voxel in places

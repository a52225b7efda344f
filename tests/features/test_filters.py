from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.filters import GREY_CHANNEL, FilterEncoder
from napari_dinomed.features.stack import SlicePlan, SliceStack
from napari_dinomed.volume import Geometry, Volume, Window, choose_window, seen_with

PLAN = SlicePlan(448, 448)


def test_a_block_is_the_same_whatever_is_encoded_with_it(ball_volume):
    """No seams between blocks: a filter sees as far as it needs to."""
    volume, _ = ball_volume
    stack = SliceStack(volume, choose_window(volume))
    whole = FilterEncoder().encode(stack, 0, 16, PLAN)
    for start, stop in ((0, 1), (5, 9), (15, 16)):
        part = FilterEncoder().encode(stack, start, stop, PLAN)
        np.testing.assert_array_equal(part, whole[start:stop])


def test_the_grid_is_every_two_by_two_pixels(ball_volume):
    volume, _ = ball_volume
    stack = SliceStack(volume, choose_window(volume))
    tokens = FilterEncoder().encode(stack, 0, 2, PLAN)
    assert tokens.shape == (2, FILTERS.channels, 24, 28)
    assert FilterEncoder().grid((47, 55), PLAN) == (24, 28)
    assert np.isfinite(tokens).all()


def test_one_slice_is_enough(ball_volume):
    volume, _ = ball_volume
    array = volume.array[8:9]
    geometry = Geometry.from_spacing(array.shape, (3.0, 0.7, 0.7), "mm")
    thin = Volume(array, geometry)
    tokens = FilterEncoder().encode(SliceStack(thin, choose_window(thin)), 0, 1, PLAN)
    assert np.isfinite(tokens).all()


@pytest.mark.parametrize("shape", [(16, 47, 1), (16, 1, 55), (1, 1, 55), (16, 1, 1)])
def test_one_voxel_is_wide_enough(ball_volume, shape):
    volume, _ = ball_volume
    array = volume.array[: shape[0], -shape[1] :, : shape[2]]
    thin = Volume(array, Geometry.from_spacing(shape, (3.0, 0.7, 0.7), "mm"))
    stack = SliceStack(thin, Window(float(volume.array.min()), float(volume.array.max())))
    tokens = FilterEncoder().encode(stack, 0, shape[0], PLAN)
    assert tokens.shape[2:] == FilterEncoder().grid(shape[1:], PLAN)
    assert np.isfinite(tokens).all()


def test_the_first_channel_is_the_mean_grey_value(ball_volume):
    volume, _ = ball_volume
    stack = SliceStack(volume, choose_window(volume))
    tokens = FilterEncoder().encode(stack, 4, 5, PLAN)
    blocks = stack.read(4, 5)[0].reshape(24, 2, 28, 2).mean((1, 3))
    np.testing.assert_allclose(tokens[0, 0], blocks, atol=1e-3)


def test_the_grey_channel_is_the_smoothed_grey_value(ball_volume):
    volume, _ = ball_volume
    stack = SliceStack(volume, choose_window(volume))
    tokens = FilterEncoder().encode(stack, 0, stack.depth, PLAN)
    flatness = stack.spacing[1] / stack.spacing[0]
    smooth = ndimage.gaussian_filter(
        stack.read(0, stack.depth), (2 * flatness, 2, 2), mode="nearest", truncate=3.0
    )
    blocks = smooth.reshape(stack.depth, 24, 2, 28, 2).mean((2, 4))
    np.testing.assert_allclose(tokens[3:-3, GREY_CHANNEL], blocks[3:-3], atol=2e-3)


def test_each_image_gets_its_own_responses(ball_volume):
    volume, _ = ball_volume
    flipped = replace(volume, array=volume.array[::-1].copy())
    both = seen_with(volume, [flipped])
    window = choose_window(volume)
    alone, other, joint = (
        FilterEncoder().encode(SliceStack(v, window), 3, 5, PLAN)
        for v in (volume, flipped, both)
    )
    assert joint.shape[1] == FilterEncoder().channels(2) == 37
    np.testing.assert_array_equal(joint[:, :17], alone[:, :17])
    np.testing.assert_allclose(joint[:, 17:34], other[:, :17], atol=2e-2)
    np.testing.assert_array_equal(joint[:, 34:], alone[:, 17:])

"""Which slices an encoder is given, and where in the volume they lie."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.features.stack import SlicePlan, SliceStack, slice_plans
from napari_dinomed.volume import Geometry, Volume, Window


def _volume(shape, spacing):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Volume(array, Geometry.from_spacing(shape, spacing, "mm"), "CT")


def test_thick_slices_are_seen_in_one_plane_and_cubes_in_three():
    thick, cubes = _volume((9, 64, 64), (5, 1, 1)), _volume((40, 64, 64), (1, 1, 1))
    assert [plan.axis for plan in slice_plans(thick, 448, 16, "auto")] == [0]
    assert [plan.axis for plan in slice_plans(cubes, 448, 16, "auto")] == [0, 1, 2]
    assert [plan.axis for plan in slice_plans(thick, 448, 16, "three")] == [0, 1, 2]
    assert [plan.axis for plan in slice_plans(cubes, 448, 16, "one")] == [0]


def test_a_pixel_has_the_same_size_in_every_plane():
    plans = slice_plans(_volume((40, 60, 80), (2, 1, 1)), 240, 16, "three")
    assert plans[0] == SlicePlan(240, 320, 0, 1)
    # 80 mm by 80 mm and 80 mm by 60 mm at a quarter of a millimetre.
    assert plans[1] == SlicePlan(320, 320, 1, 1)
    assert plans[2] == SlicePlan(320, 240, 2, 1)


def test_neighbours_closer_than_a_third_of_a_token_are_left_out():
    plans = slice_plans(_volume((300, 512, 512), (0.7, 0.7, 0.7)), 448, 16, "three")
    # A token covers 18 voxels here.
    assert [plan.step for plan in plans] == [1, 6, 6]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_slices_are_cut_across_their_axis(axis, step):
    volume = _volume((7, 8, 9), (1, 1, 1))
    stack = SliceStack(volume, Window(0, 504), axis, step)
    places = range(step // 2, volume.array.shape[axis], step)
    assert stack.depth == len(places)
    assert stack.slice_shape == tuple(np.delete(volume.array.shape, axis))
    got = stack.read(1, stack.depth + 1)
    expected = [volume.array.take(place, axis) / 504 for place in [*places][1:]]
    np.testing.assert_allclose(got, [*expected, expected[-1]], rtol=1e-6)

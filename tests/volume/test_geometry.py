from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_dinomed.volume import Geometry

SHAPE = (3, 4, 5)


@st.composite
def affines(draw) -> np.ndarray:
    """Any patient grid: permuted, flipped, oblique, anisotropic, shifted."""
    permutation = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    spacing = draw(st.tuples(*[st.floats(0.2, 8)] * 3))
    angles = draw(st.tuples(*[st.floats(-20, 20)] * 3))
    origin = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    matrix = np.eye(4)
    axes = np.eye(3)[:, list(permutation)] * signs
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ axes
    matrix[:3, :3] *= spacing
    matrix[:3, 3] = origin
    return matrix


@given(affines())
def test_file_order_round_trip(affine):
    """What is read and written back is the same array on the same affine."""
    geometry = Geometry.from_file(SHAPE, affine, "mm", patient=True)
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    canonical = geometry.from_file_order(array)
    assert canonical.shape == geometry.shape
    np.testing.assert_array_equal(geometry.to_file_order(canonical), array)
    np.testing.assert_allclose(geometry.file_affine, affine, atol=1e-9)
    assert geometry.file_shape == SHAPE


@given(affines(), st.tuples(*[st.integers(0, n - 1) for n in SHAPE]))
def test_a_voxel_keeps_its_value_and_its_place_in_the_world(affine, kji):
    geometry = Geometry.from_file(SHAPE, affine, "mm", patient=True)
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    zyx = tuple(geometry.index_from_file([kji])[0])
    assert geometry.from_file_order(array)[zyx] == array[kji]
    np.testing.assert_array_equal(geometry.index_to_file([zyx])[0], kji)
    world = affine[:3, :3] @ kji + affine[:3, 3]
    np.testing.assert_allclose(geometry.to_world([zyx])[0], world, atol=1e-6)
    np.testing.assert_allclose(geometry.from_world([world])[0], zyx, atol=1e-6)


@given(affines())
def test_patient_axes_run_head_to_feet_front_to_back_right_to_left(affine):
    geometry = Geometry.from_file(SHAPE, affine, "mm", patient=True)
    assert geometry.orientation == "IPL"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_axis_order_is_undone(order):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * (2.0, 3.0, 4.0)
    geometry = Geometry.from_file(SHAPE, affine, "mm", patient=True)
    by_world = dict(zip(order, (2.0, 3.0, 4.0), strict=True))
    assert geometry.spacing == (by_world[2], by_world[1], by_world[0])


def test_microscopy_keeps_the_axes_of_its_file():
    geometry = Geometry.from_spacing((2, 3, 4), (50.0, 4.0, 5.0), "nm")
    assert geometry.orientation == "zyx"
    assert geometry.spacing == (50.0, 4.0, 5.0)
    assert geometry.voxel_volume == pytest.approx(1000.0)
    np.testing.assert_array_equal(geometry.to_world([[1, 1, 1]]), [[5.0, 4.0, 50.0]])


def test_it_reads_like_a_sentence():
    geometry = Geometry.from_spacing((2, 3, 4), (50.0, 4.0, 4.0), "nm")
    assert str(geometry) == "2 × 3 × 4 voxels of 50 × 4 × 4 nm, axes zyx"

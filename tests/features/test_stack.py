"""Which slices an encoder is given, and where in the volume they lie."""

from __future__ import annotations

import tracemalloc

import dask.array
import numpy as np
import pytest
import zarr

from napari_dinomed.features import stack as stack_module
from napari_dinomed.features.stack import SlicePlan, SliceStack, dense_plan, slice_plans
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
    picture = _volume((1, 512, 512), (0.5, 0.5, 0.5))
    assert [plan.axis for plan in slice_plans(picture, 448, 16, "auto")] == [0]


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


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slab", [10, 10**9])
def test_lazy_volumes_are_cut_alike(monkeypatch, axis, slab):
    """Whole chunks are read at once where they are small enough to keep."""
    monkeypatch.setattr(stack_module, "_SLAB", slab)
    volume = _volume((7, 8, 9), (1, 1, 1))
    lazy = Volume(dask.array.from_array(volume.array, (3, 4, 5)), volume.geometry, "EM")
    expected = SliceStack(volume, Window(0, 504), axis).read(0, 9)
    got = SliceStack(lazy, Window(0, 504), axis).read(0, 9)
    np.testing.assert_array_equal(got, expected)


def test_each_chunk_is_read_once(monkeypatch):
    reads = []

    class Counting(np.ndarray):
        def __getitem__(self, key):
            reads.append(key)
            return np.asarray(super().__getitem__(key))

    array = np.zeros((8, 4, 4), np.uint8).view(Counting)
    lazy = dask.array.from_array(array, (4, 4, 4), asarray=False, inline_array=True)
    volume = Volume(lazy, Geometry.from_spacing((8, 4, 4), (1, 1, 1)), "EM")
    stack = SliceStack(volume, Window(0, 1))
    reads.clear()
    for start in range(8):
        stack.read(start, start + 1)
    assert len(reads) == 2


def test_small_volumes_keep_their_resolution():
    plan = dense_plan(_volume((30, 64, 64), (3, 1, 1)), 20, 2)
    assert plan == SlicePlan(64, 64, 0, 1, 1)


def test_large_volumes_are_thinned_out_evenly(monkeypatch):
    monkeypatch.setattr(stack_module, "_MOST_NUMBERS", 10_000)
    volume = _volume((32, 64, 64), (2, 1, 1))
    plan = dense_plan(volume, 20, 2)
    stack = SliceStack(volume, Window(0, 1), plan.axis, plan.step, plan.shrink)
    rows, columns = stack.slice_shape
    assert stack.depth * rows * columns / 4 * 20 <= 10_000
    # Cubes, as nearly as whole numbers allow.
    assert max(stack.spacing) < 1.6 * min(stack.spacing)


def test_shrunk_slices_are_means():
    volume = _volume((2, 4, 5), (1, 1, 1))
    stack = SliceStack(volume, Window(0, 1000), shrink=2)
    got = stack.read(1, 2)[0] * 1000
    assert got[0, 0] == pytest.approx(volume.array[1, :2, :2].mean())
    # The last column stands alone.
    assert got[0, 2] == pytest.approx(volume.array[1, :2, 4].mean())
    assert stack.spacing == (1, 2, 2)


@pytest.mark.parametrize("axis", [0, 1])
def test_reading_every_slice_of_a_large_volume_takes_little_memory(tmp_path, axis):
    """134 MB on disk; never more in memory than a few of its 8 MB chunk layers."""
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(128, 1024, 1024), chunks=(8, 64, 1024), dtype="u1"
    )
    array[64] = 1
    lazy = dask.array.from_zarr(tmp_path / "a.zarr")
    volume = Volume(lazy, Geometry.from_spacing(lazy.shape, (1, 1, 1)), "EM")
    stack = SliceStack(volume, Window(0, 1), axis)
    tracemalloc.start()
    try:
        total = sum(float(stack.read(n, n + 1).sum()) for n in range(stack.depth))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 1024**2
    assert peak < 60e6

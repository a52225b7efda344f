from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.segment.one_object.cells import Cells

BOX = (slice(2, 11), slice(5, 45), slice(0, 41))
SPACING = (4.0, 1.0, 1.0)


@pytest.fixture
def coarse():
    return Cells.over(BOX, SPACING, 1200)


def test_cells_are_nearly_cubes_and_none_is_smaller_than_a_voxel(coarse):
    assert coarse.shape[0] * coarse.shape[1] * coarse.shape[2] <= 1200
    assert coarse.edges.max() / coarse.edges.min() < 1.4
    finest = Cells.over(BOX, SPACING, 10**6)
    assert finest.shape == (9, 40, 41)
    assert finest.is_finest
    flat = Cells.over((slice(0, 1), slice(0, 64), slice(0, 64)), SPACING, 256)
    assert flat.shape == (1, 16, 16)


def test_voxels_are_held_by_the_cell_whose_middle_is_near(coarse):
    random = np.random.default_rng(0)
    voxels = np.column_stack([random.integers(s.start, s.stop, 50) for s in BOX])
    held = coarse.holding(voxels)
    for axis in range(3):
        middle = coarse.middles(axis)[held[:, axis]]
        assert (abs(middle - voxels[:, axis]) <= coarse.step[axis] / 2 + 1e-9).all()


def test_a_ramp_brought_to_cells_and_back_does_not_move(coarse):
    ramp = torch.arange(41.0).expand(9, 40, 41).contiguous()
    back = coarse.to_voxels(coarse.mean_of(ramp))
    inner = (slice(None), slice(None), slice(5, -5))
    torch.testing.assert_close(back[inner], ramp[inner], atol=0.3, rtol=0)


def test_distance_is_to_the_nearest_voxel_in_edges_of_a_cell(coarse):
    marks = np.array([[6, 20, 20], [6, 20, 30]])
    distance = coarse.distance(marks)
    one = np.minimum(*(coarse.distance(mark[None]).numpy() for mark in marks))
    np.testing.assert_allclose(distance.numpy(), one, rtol=1e-5)
    cell = tuple(coarse.holding(marks[:1])[0])
    assert distance[cell] < 0.9
    beside = (cell[0], cell[1] + 3, cell[2])
    expected = coarse.step[1] * 3 / (np.prod(coarse.step * SPACING)) ** (1 / 3)
    assert float(distance[beside]) == pytest.approx(expected, abs=0.9)


def test_a_grid_reads_another_one_at_the_same_places(coarse):
    source = Cells.over((slice(0, 14), slice(0, 60), slice(0, 60)), SPACING, 10**6)
    z, y, x = (torch.from_numpy(source.middles(axis)).float() for axis in range(3))
    plane = z[:, None, None] + 2 * y[:, None] - x
    read = coarse.resampled(plane, source)
    z, y, x = (torch.from_numpy(coarse.middles(axis)).float() for axis in range(3))
    torch.testing.assert_close(read, z[:, None, None] + 2 * y[:, None] - x)


def test_a_part_of_the_cells_covers_its_voxels(coarse):
    box = coarse.voxels_of(tuple(slice(0, length) for length in coarse.shape))
    assert box == BOX
    inner = coarse.voxels_of((slice(1, 2), slice(2, 4), slice(0, 1)))
    assert inner[2].start == 0
    assert inner[1].start == BOX[1].start + int(np.floor(2 * coarse.step[1]))

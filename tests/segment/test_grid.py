from __future__ import annotations

import numpy as np
import torch

from napari_dinomed.segment.grid import WorkingGrid
from napari_dinomed.volume import Geometry, Volume

SHAPE, SPACING = (9, 40, 40), (4.0, 1.0, 1.0)


def _grid(most):
    array = np.zeros(SHAPE, np.float32)
    return WorkingGrid(Volume(array, Geometry.from_spacing(SHAPE, SPACING, "mm")), most)


def test_the_finest_axes_thin_out_first():
    np.testing.assert_array_equal(_grid(20_000).step, [1, 1, 1])
    np.testing.assert_array_equal(_grid(4000).step, [1, 2, 2])
    assert _grid(4000).shape == (9, 20, 20)


def test_cells_and_voxels_lie_over_each_other():
    """A ramp brought to the cells and back is the same ramp: nothing moves."""
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), SHAPE).copy()
    for axes in ((0, 1, 2), (0, 2, 1)):
        there = np.ascontiguousarray(ramp.transpose(axes))
        grid = _grid(1000)
        assert grid.step[1] == 4
        back = grid.to_voxels(grid.mean_of(there))
        inner = (slice(None), slice(4, -4), slice(4, -4))
        torch.testing.assert_close(back[inner], torch.from_numpy(there[inner]))


def test_distances_are_from_the_middle_of_a_cell():
    distance = _grid(1000).distance((4, 1, 2))
    assert distance.shape == (9, 10, 10)
    # Cell (4, 0, 0) covers rows and columns 0 to 3, and lies at 1.5, 1.5.
    np.testing.assert_allclose(distance[4, 0, 0], np.hypot(0.5, 0.5), rtol=1e-5)
    np.testing.assert_allclose(
        distance[5, 0, 0], np.hypot(4, np.hypot(0.5, 0.5)), rtol=1e-5
    )


def test_the_middle_of_a_cell_is_a_voxel_of_it():
    grid = _grid(1000)
    cells = np.argwhere(np.ones(grid.shape, bool))
    for cell, voxel in zip(cells, grid.centres(cells), strict=True):
        assert grid.cell(tuple(voxel)) == tuple(cell)

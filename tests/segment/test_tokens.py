from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.segment.tokens import TokenBank, to_voxels


@pytest.fixture
def bank():
    """Tokens whose channels are slice, row and column of the voxel at their centre."""
    bank = TokenBank((3, 3, 4, 5), slice_shape=(16, 30))
    rows = (np.arange(4) + 0.5) * 4 - 0.5
    columns = (np.arange(5) + 0.5) * 6 - 0.5
    grid = np.meshgrid(np.arange(3), rows, columns, indexing="ij")
    bank.put(0, np.stack(grid, axis=1).astype(np.float16))
    return bank


@pytest.mark.parametrize("voxel", [(0, 3, 7), (1, 8, 14), (2, 12, 20)])
def test_a_voxel_gets_the_token_of_its_place(bank, voxel):
    torch.testing.assert_close(bank.at(np.array([voxel]))[0], torch.tensor(voxel).float())


def test_the_edge_repeats(bank):
    np.testing.assert_allclose(bank.at(np.array([[0, 0, 0]]))[0], [0, 1.5, 2.5])


def test_cells_are_the_nearest_tokens(bank):
    cells = bank.cells(np.array([[1, 0, 0], [1, 15, 29], [2, 6, 8]]))
    np.testing.assert_array_equal(cells, [[1, 0, 0], [1, 3, 4], [2, 1, 1]])


def test_samples_come_from_slices_that_are_ready(bank):
    bank.ready[:] = [False, True, False]
    assert set(bank.sample(50, seed=0)[:, 0]) == {1}
    assert len(bank.sample(50, seed=0)) == 20


def test_scoring_then_interpolating_is_interpolating_then_scoring(bank):
    """A linear readout commutes with interpolation, so features are never upsampled."""
    weights = torch.tensor([0.3, -0.2, 0.7])
    scores = torch.stack([bank.slice_tokens(i) @ weights for i in range(3)])
    voxels = np.array([[0, 5, 9], [1, 8, 14], [2, 10, 22]])
    planes = to_voxels(scores.view(3, 4, 5), (16, 30))
    expected = bank.at(voxels) @ weights
    got = planes[tuple(torch.from_numpy(voxels.T))]
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)

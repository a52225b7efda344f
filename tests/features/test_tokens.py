from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.features.tokens import TokenBank, to_voxels


@pytest.fixture
def bank():
    """Tokens whose channels are slice, row and column of the voxel at their centre."""
    bank = TokenBank((3, 3, 4, 5), volume_shape=(3, 16, 30))
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


def test_samples_come_from_slices_that_are_ready(bank):
    bank.ready[:] = [False, True, False]
    assert set(bank.sample(50, seed=0)[:, 0]) == {1}
    assert len(bank.sample(50, seed=0)) == 20


@pytest.fixture
def across():
    """Every second slice along x; channels are x, z and y of the voxel at the centre."""
    bank = TokenBank((5, 3, 4, 2), volume_shape=(16, 12, 10), axis=2, step=2)
    z = (np.arange(4) + 0.5) * 4 - 0.5
    y = (np.arange(2) + 0.5) * 6 - 0.5
    grid = np.meshgrid(np.arange(5) * 2 + 1, z, y, indexing="ij")
    bank.put(0, np.stack(grid, axis=1).astype(np.float16))
    return bank


def test_slices_along_another_axis_lie_where_they_were_cut(across):
    got = across.at(np.array([(3, 4, 5), (8, 7, 2)]))
    expected = torch.tensor([(5.0, 3.0, 4.0), (2.0, 8.0, 7.0)])
    torch.testing.assert_close(got, expected)
    assert across.slice_shape == (16, 12)


@pytest.mark.parametrize("steps", [(1, 1, 1), (2, 3, 1), (1, 2, 4)])
def test_scoring_then_interpolating_is_interpolating_then_scoring(bank, across, steps):
    """A linear readout commutes with interpolation, so features are never upsampled."""
    weights = torch.tensor([0.3, -0.2, 0.7])
    for lattice in (bank, across):
        scores = lattice.on_every(
            np.array(steps), lambda i, lattice=lattice: lattice.slice_tokens(i) @ weights
        )
        starts = [
            np.arange(0, n, s) for n, s in zip(lattice.volume_shape, steps, strict=True)
        ]
        middles = [
            (first + np.minimum(first + s, n) - 1) / 2
            for first, n, s in zip(starts, lattice.volume_shape, steps, strict=True)
        ]
        voxels = np.stack(np.meshgrid(*middles, indexing="ij"), -1)
        assert scores.shape == voxels.shape[:3]
        expected = lattice.at(voxels.reshape(-1, 3)) @ weights
        torch.testing.assert_close(scores.flatten(), expected, atol=2e-3, rtol=1e-3)


def test_the_whole_lattice_on_voxels_is_bilinear(bank):
    scores = torch.stack([bank.slice_tokens(i)[:, 1] for i in range(3)])
    expected = to_voxels(scores.view(3, 4, 5), (16, 30))
    got = bank.on_every(np.ones(3, dtype=int), scores.__getitem__)
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)

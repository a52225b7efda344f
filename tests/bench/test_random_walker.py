from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve

from napari_dinomed.bench.random_walker import WalkerOptions, random_walker

SHAPE = (4, 5, 6)
SPACING = (3.0, 0.7, 0.7)
OPTIONS = WalkerOptions(contrast=1.3, prior=0.15, iterations=500, tolerance=1e-7)


def _inputs(seed=0):
    random = np.random.default_rng(seed)
    prior = random.uniform(0, 1, SHAPE)
    grey = random.uniform(0, 1, SHAPE)
    seeds = np.full(SHAPE, -1.0)
    seeds[1, 2, 3], seeds[3, 0, 0] = 1.0, 0.0
    return prior, grey, seeds


def _direct_solution(prior, grey, seeds):
    """The same system written out and solved by a sparse factorisation."""
    index = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    steps = [np.diff(grey, axis=axis) ** 2 for axis in range(3)]
    noise = sum(s.sum() for s in steps) / sum(s.size for s in steps)
    size = index.size
    laplacian = sparse.lil_matrix((size, size))
    for axis, step in enumerate(steps):
        weight = (
            np.exp(-OPTIONS.contrast * step / noise) * (0.7 / SPACING[axis]) ** 2 + 1e-6
        )
        low = index.take(range(SHAPE[axis] - 1), axis).ravel()
        high = index.take(range(1, SHAPE[axis]), axis).ravel()
        for a, b, w in zip(low, high, weight.ravel(), strict=True):
            laplacian[a, a] += w
            laplacian[b, b] += w
            laplacian[a, b] -= w
            laplacian[b, a] -= w
    system = (laplacian + OPTIONS.prior * sparse.eye(size)).tocsr()
    free = np.flatnonzero(seeds.ravel() < 0)
    held = np.flatnonzero(seeds.ravel() >= 0)
    values = seeds.ravel()[held]
    right = OPTIONS.prior * prior.ravel()[free] - system[free][:, held] @ values
    result = np.empty(size)
    result[held], result[free] = values, spsolve(system[free][:, free], right)
    return result.reshape(SHAPE)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_solves_the_system_it_says(seed):
    prior, grey, seeds = _inputs(seed)
    walked = random_walker(
        *(torch.tensor(a, dtype=torch.float64) for a in (prior, grey, seeds)),
        SPACING,
        OPTIONS,
    )
    np.testing.assert_allclose(walked, _direct_solution(prior, grey, seeds), atol=1e-5)


def test_seeds_are_held():
    prior, grey, seeds = (torch.tensor(a, dtype=torch.float32) for a in _inputs())
    walked = random_walker(prior, grey, seeds, SPACING)
    assert walked[1, 2, 3] == 1.0
    assert walked[3, 0, 0] == 0.0
    assert 0 <= walked.min() <= walked.max() <= 1


def test_it_stops_at_an_edge_of_the_grey_values():
    grey = torch.zeros(8, 20, 20)
    grey[:, :, 10:] = 1.0
    grey += 0.05 * torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))
    seeds = torch.full(grey.shape, -1.0)
    seeds[4, 10, 4], seeds[4, 10, 15] = 1.0, 0.0
    walked = random_walker(
        torch.full(grey.shape, 0.5), grey, seeds, (1, 1, 1), WalkerOptions(prior=1e-4)
    )
    assert (walked[:, :, :10] > 0.5).float().mean() > 0.95
    assert (walked[:, :, 10:] < 0.5).float().mean() > 0.95


def test_a_single_slice():
    walked = random_walker(
        torch.full((1, 5, 5), 0.6),
        torch.rand(1, 5, 5),
        torch.full((1, 5, 5), -1.0),
        SPACING,
    )
    torch.testing.assert_close(walked, torch.full((1, 5, 5), 0.6), atol=1e-2, rtol=0)

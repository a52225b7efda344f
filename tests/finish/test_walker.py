"""The random walker."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.finish import walker
from napari_dinomed.finish.walker import random_walker


def seeds_of(shape, *, one, zero):
    seeds = np.full(shape, -1, np.int8)
    seeds[one], seeds[zero] = 1, 0
    return seeds


def test_half_way_between_seeds_either_is_as_near():
    seeds = seeds_of((1, 1, 5), one=(0, 0, 0), zero=(0, 0, 4))
    found = random_walker(np.zeros(seeds.shape), seeds, (1, 1, 1))
    np.testing.assert_allclose(found[0, 0], [1, 0.75, 0.5, 0.25, 0], atol=1e-3)


def test_an_edge_is_not_crossed():
    seeds = seeds_of((1, 1, 9), one=(0, 0, 0), zero=(0, 0, 8))
    grey = np.array([[[5, 5, 5, 5, 5, 5, 5, 9, 9]]])
    found = random_walker(grey, seeds, (1, 1, 1))
    np.testing.assert_array_equal(found[0, 0] > 0.5, grey[0, 0] == 5)


def test_far_neighbours_count_less_by_the_square():
    seeds = seeds_of((2, 1, 3), one=(0, 0, 1), zero=(1, 0, 0))
    seeds[0, 0, [0, 2]] = seeds[1, 0, 2] = 0
    found = random_walker(np.zeros(seeds.shape), seeds, (2, 1, 1))
    assert found[1, 0, 1] == pytest.approx(0.25 / 2.25, abs=1e-3)


def test_it_solves_what_it_says(monkeypatch):
    """Every free voxel is the mean of its neighbours, weighted by the edges to them."""
    monkeypatch.setattr(walker, "_TOLERANCE", 1e-6)
    random, spacing = np.random.default_rng(4), (3.0, 1.0, 0.7)
    grey = random.normal(size=(4, 5, 6)).astype(np.float32)
    seeds = random.choice([-1, -1, -1, 0, 1], grey.shape).astype(np.int8)
    found = random_walker(grey, seeds, spacing)
    total, mean = np.zeros((2, *grey.shape))
    for axis, weight in walker._weights(grey, spacing).items():
        here, there = walker._ends(axis)
        for a, b in ((here, there), (there, here)):
            total[a] += weight
            mean[a] += weight * found[b]
    free = seeds < 0
    np.testing.assert_allclose(found[free], (mean / total)[free], atol=1e-4)
    np.testing.assert_array_equal(found[~free], seeds[~free])

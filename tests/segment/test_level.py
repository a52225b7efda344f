from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.segment.level import (
    Level,
    LevelPrior,
    Votes,
    bounding_box,
    choose_level,
    connected,
)
from tests.conftest import ball

SHAPE = (24, 40, 40)
CENTRE = (12, 20, 20)
PRIOR = LevelPrior(log_size=-2)


@pytest.fixture
def scene():
    """Depth that grows with distance, and a ball whose edge lies at depth 0.4."""
    grid = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, CENTRE, strict=True)))
    depth = (distance / 20).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.03, SHAPE)
    grey = (0.3 + 0.4 * ball(SHAPE, CENTRE, 8.0) + noise).astype(np.float32)
    return depth, grey


def _choose(scene, votes=None):
    depth, grey = scene
    return choose_level(
        depth, grey, np.array([CENTRE]), 1 / depth.size, votes or Votes(), PRIOR
    )


def test_the_edge_of_the_grey_values_is_found(scene):
    chosen = _choose(scene)
    assert chosen.depth == pytest.approx(0.4, abs=0.06)
    radius = 20 * chosen.depth
    volume = 4 / 3 * np.pi * radius**3 / np.prod(SHAPE)
    assert chosen.log_size == pytest.approx(np.log10(volume), abs=0.1)


def test_an_included_click_beyond_moves_it_out_and_an_excluded_one_in(scene):
    plain = _choose(scene).depth
    assert _choose(scene, Votes(included=(0.65,) * 3)).depth > plain
    assert _choose(scene, Votes(excluded=(0.1,) * 3)).depth < plain


def test_it_holds_on_to_the_level_before(scene):
    before = _choose(scene)
    loose = _choose(scene, Votes(excluded=(0.1,) * 3, count=1))
    held = _choose(scene, Votes(excluded=(0.1,) * 3, before=before, count=8))
    assert loose.depth < held.depth < before.depth


def test_it_holds_on_to_the_size_before(scene):
    """Where one click more makes everything nearer, and no edge shows, nothing floods."""
    depth, grey = scene
    before = _choose(scene)
    nearer = (depth / 2, np.full_like(grey, 0.5))
    free = _choose(nearer, Votes(count=6))
    held = _choose(nearer, Votes(before=Level(free.depth, before.log_size), count=6))
    assert before.log_size < held.log_size < free.log_size - 0.05


def test_what_is_included_makes_it_larger_and_what_is_excluded_smaller(scene):
    before = _choose(scene)
    grown = _choose(scene, Votes(before=before, is_adding=True, count=9))
    shrunk = _choose(scene, Votes(before=before, is_adding=False, count=9))
    assert shrunk.log_size < grown.log_size


def test_connected_keeps_what_holds_a_seed():
    mask = np.zeros((3, 9, 9), dtype=bool)
    mask[1, 1:3, 1:3] = mask[1, 6:8, 6:8] = True
    kept = connected(mask, np.array([(1, 1, 1)]))
    assert kept.sum() == 4
    assert kept[1, 1, 1]
    assert connected(mask, np.array([(0, 8, 0)])).sum() == 1


def test_the_box_stays_in_the_grid():
    mask = np.zeros((3, 9, 9), dtype=bool)
    mask[1, 2, 8] = True
    assert bounding_box(mask, 2) == (slice(0, 3), slice(0, 5), slice(6, 9))

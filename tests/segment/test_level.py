from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.segment.level import (
    LevelPrior,
    Votes,
    bounding_box,
    choose_depth,
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
    return choose_depth(depth, grey, [CENTRE], 1 / depth.size, votes or Votes(), PRIOR)


def test_the_edge_of_the_grey_values_is_found(scene):
    assert _choose(scene) == pytest.approx(0.4, abs=0.06)


def test_an_included_click_beyond_moves_it_out_and_an_excluded_one_in(scene):
    plain = _choose(scene)
    assert _choose(scene, Votes(included=(0.65,) * 3)) > plain
    assert _choose(scene, Votes(excluded=(0.1,) * 3)) < plain


def test_it_holds_on_to_the_level_before(scene):
    loose = _choose(scene, Votes(excluded=(0.1,) * 3, count=1))
    held = _choose(scene, Votes(excluded=(0.1,) * 3, before=0.4, count=8))
    assert loose < held < 0.41


def test_connected_keeps_what_holds_a_seed():
    mask = np.zeros((3, 9, 9), dtype=bool)
    mask[1, 1:3, 1:3] = mask[1, 6:8, 6:8] = True
    kept = connected(mask, [(1, 1, 1)])
    assert kept.sum() == 4
    assert kept[1, 1, 1]
    assert connected(mask, [(0, 8, 0)]).sum() == 1


def test_the_box_stays_in_the_grid():
    mask = np.zeros((3, 9, 9), dtype=bool)
    mask[1, 2, 8] = True
    assert bounding_box(mask, 2) == (slice(0, 3), slice(0, 5), slice(6, 9))

"""Grey values decide on which side of an edge a cell lies."""

from __future__ import annotations

import numpy as np

from napari_dinomed.segment.all_alike.competition import grey_competition


def _sides():
    random = np.random.default_rng(0)
    grey = random.normal(0.3, 0.05, (4, 20, 20)).astype(np.float32)
    grey[:, :, 10:] += 0.4
    inside = np.zeros(grey.shape, bool)
    outside = inside.copy()
    inside[:, :, 14:] = True
    outside[:, :, :6] = True
    return grey, inside, outside


def test_cells_between_go_to_the_side_that_they_look_like():
    grey, inside, outside = _sides()
    logit = grey_competition(grey, inside, outside, (0.0, 1.0))
    assert (logit[:, :, 10:14] > 1).mean() > 0.95
    assert (logit[:, :, 6:10] < -1).mean() > 0.95


def test_the_scale_of_the_grey_values_does_not_matter():
    grey, inside, outside = _sides()
    logit = grey_competition(grey, inside, outside, (0.0, 1.0))
    scaled = grey_competition(500 * grey - 80, inside, outside, (-80.0, 420.0))
    np.testing.assert_allclose(np.median(np.abs(scaled - logit)), 0, atol=0.05)


def test_it_is_silent_where_all_is_of_one_grey():
    grey, inside, outside = _sides()
    flat = np.full_like(grey, 0.5)
    assert not grey_competition(flat, inside, outside, (0.5, 0.5)).any()


def test_it_is_silent_where_one_side_is_empty():
    grey, inside, _ = _sides()
    assert not grey_competition(grey, inside, np.zeros_like(inside), (0.0, 1.0)).any()

"""What cells look like, in volumes whose grey values are out of the ordinary."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.metrics import dice
from napari_dinomed.headless import prepare
from napari_dinomed.volume import Geometry, Volume
from tests.conftest import ball

SHAPE = (12, 40, 40)
TRUTH = ball(SHAPE, (6, 14, 14), 7) | ball(SHAPE, (6, 28, 28), 7)


@pytest.fixture
def alike(home):
    """Answers to a click into one of two balls of some grey values, in some window."""

    def answer(unit, window=None):
        noise = np.random.default_rng(0).normal(0, 4, SHAPE)
        array = (100 + 100 * TRUTH + noise) * unit
        volume = Volume(array, Geometry.from_spacing(SHAPE, (1, 1, 1), "mm"), "MR")
        label, click = new_label(1, Meaning.ALL_LIKE_THIS), Point((6, 14, 14), 1)
        job = prepare(volume, "filters", window)
        return job.segment((label,), Prompts((click,))) == 1

    return answer


def test_values_beyond_single_precision_are_read_as_any_others(alike):
    usual, vast = alike(1.0), alike(1e302)
    assert dice(TRUTH, usual) > 0.7
    assert dice(usual, vast) > 0.99


def test_a_window_that_shows_all_as_bright_has_an_answer(alike):
    found = alike(1.0, "suv5")
    assert found[6, 14, 14]
    assert not found[0, 0, 0]

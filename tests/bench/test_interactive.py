"""Simulated clicks on real volumes with expert labels.

The bounds lie a little under what was measured when they were written; a pipeline with
voxels, tokens, or prompts out of place misses all of them.
"""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.case import Case, load_case
from napari_dinomed.bench.interactive import (
    Outcome,
    mean_outcome,
    product,
    run_case,
)
from napari_dinomed.headless import prepare
from tests.conftest import LONG

CT = ("ct_abdomen/example_ct_sm.nii.gz", "ct_abdomen/example_seg.nii.gz")
HIPPOCAMPUS = (
    "mr_hippocampus/images/hippocampus_001.nii.gz",
    "mr_hippocampus/labels/hippocampus_001.nii.gz",
)


@pytest.mark.parametrize(
    ("encoder", "files", "label", "after_one", "after_ten"),
    [
        ("filters", CT, "1", 0.5, 0.87),
        ("filters", CT, "5", 0.65, 0.88),
        ("filters", HIPPOCAMPUS, "1+2", 0.35, 0.7),
        ("vit", CT, "1", 0.5, 0.87),
        pytest.param(
            *("vit", HIPPOCAMPUS, "1+2", 0.35, 0.74),
            marks=pytest.mark.skipif(not LONG, reason="three planes take long"),
        ),
    ],
)
def test_clicks_find_organs(
    shared_data, vit_weights, encoder, files, label, after_one, after_ten
):
    case = load_case(shared_data / files[0], shared_data / files[1], label)
    name = f"file:{vit_weights}" if encoder == "vit" else encoder
    job = prepare(case.volume, name)
    outcome = run_case(case, product(job, Meaning.OBJECT), clicks=10)
    assert outcome.dice[0] > after_one
    assert outcome.dice[9] > after_ten
    assert outcome.summary()["largest_loss"] < 0.1


def test_a_perfect_mask_ends_the_clicks_and_is_repeated(ball_volume):
    volume, mask = ball_volume
    outcome = run_case(Case(volume, mask), lambda prompts: mask, clicks=4)
    assert outcome.dice == (1, 1, 1, 1)
    assert len(outcome.clicks) == 1
    assert outcome.seconds[1:] == (0, 0, 0)
    summary = outcome.summary()
    assert summary["clicks_to"] == {"0.80": 1, "0.85": 1, "0.90": 1}
    assert summary["largest_loss"] == 0


def test_each_click_lies_in_the_error_that_is_left(ball_volume):
    """A method that answers with the clicked voxels alone is corrected each time."""
    volume, truth = ball_volume

    def voxels_alone(prompts):
        mask = np.zeros_like(truth)
        for point in prompts.points:
            mask[point.voxel] = point.include
        return mask

    outcome = run_case(Case(volume, truth), voxels_alone, clicks=3, seed=1)
    assert len(set(outcome.clicks)) == 3
    assert all(truth[z, y, x] and include for z, y, x, include in outcome.clicks)
    assert outcome.summary()["clicks_to"]["0.80"] is None


def test_the_mean_of_runs_is_click_by_click():
    runs = [
        Outcome((0.2, 0.6), (0.1, 0.5), (1.0, 2.0)),
        Outcome((0.4, 0.8), (0.3, 0.7), (3.0, 2.0)),
    ]
    mean = mean_outcome(runs)
    assert mean.dice == pytest.approx((0.3, 0.7))
    assert mean.seconds == pytest.approx((2, 2))

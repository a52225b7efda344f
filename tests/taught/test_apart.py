"""Distances from what taught, and surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.taught.amounts import amount_of
from napari_dinomed.taught.apart import apart_from, apart_when_held_out
from napari_dinomed.taught.examples import Examples
from napari_dinomed.taught.surroundings import PARTS
from tests.conftest import ball

LABEL = 1


def _examples(looks, classes, cases):
    """Examples at one place; looks are numbers of unit vectors."""
    count = len(looks)
    return Examples(
        torch.eye(4)[torch.tensor(looks)].half(),
        torch.zeros((count, PARTS), dtype=torch.float16),
        torch.tensor(classes, dtype=torch.int32),
        torch.tensor(cases, dtype=torch.int32),
        torch.ones(count),
    )


def test_the_same_looks_are_not_apart_and_others_are():
    examples = _examples([0, 1], [LABEL, 0], [0, 0])
    looks = torch.eye(4)
    alike = apart_from(examples, LABEL, looks[:1], looks[1:2], torch.ones(1))
    assert (alike.inside, alike.around) == pytest.approx((0, 0), abs=1e-3)
    swapped = apart_from(examples, LABEL, looks[1:2], looks[:1], torch.ones(1))
    assert (swapped.inside, swapped.around) == pytest.approx((1, 1), abs=1e-3)
    nothing_around = apart_from(examples, LABEL, looks[:1], looks[:0], torch.ones(0))
    assert nothing_around.around == 0


def test_a_volume_that_is_held_out_is_compared_with_the_others():
    examples = _examples([0, 2, 0, 2, 1, 2], [1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2])
    apart = apart_when_held_out(examples, LABEL)
    assert [round(apart[n].inside) for n in range(3)] == [0, 0, 1]
    assert [round(apart[n].around) for n in range(3)] == [0, 0, 0]


def test_a_single_volume_has_no_others():
    assert apart_when_held_out(_examples([0, 1], [1, 0], [0, 0]), LABEL) == {}


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_a_balls_surface_is_measured(spacing):
    shape = tuple(int(40 / one) for one in spacing)
    middle = tuple(length // 2 for length in shape)
    amount = amount_of(ball(shape, middle, 15, spacing), spacing)
    assert amount.surface == pytest.approx(4 * np.pi * 15**2, rel=0.05)
    assert amount.raggedness == pytest.approx(1, abs=0.05)


def test_a_thing_with_a_hole_is_more_ragged():
    whole = ball((40, 40, 40), (20, 20, 20), 15, (1.0, 1.0, 1.0))
    hollow = whole & ~ball((40, 40, 40), (20, 20, 20), 12, (1.0, 1.0, 1.0))
    ragged = [amount_of(mask, (1.0, 1.0, 1.0)).raggedness for mask in (whole, hollow)]
    assert ragged[1] > 1.5 * ragged[0]

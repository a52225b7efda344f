"""A network taught by painted slices: what it sees, and what it must not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_dinomed.bench.metrics import dice
from napari_dinomed.segment.painted_slices.network import PaintedSlices, teach
from tests.segment.steps import returned

SHAPE = (80, 72)
LESSONS = 60


def _rings(seed):
    """Noise with dots; what belongs is near a dot, and looks like all the rest."""
    random = np.random.default_rng(seed)
    dots = np.zeros(SHAPE, bool)
    dots[tuple(random.integers(6, 66, (2, 9)))] = True
    near = ndimage.distance_transform_edt(~dots) < 6
    grey = random.normal(0, 0.3, SHAPE) + 6 * dots
    return torch.from_numpy(grey).float()[None], near


def _painted(seeds, known=None):
    slices = [_rings(seed) for seed in seeds]
    belongs = torch.from_numpy(np.stack([near for _, near in slices])).float()
    known = torch.ones(belongs.shape, dtype=torch.bool) if known is None else known

    def look(place, part):
        return slices[place][0][:, part[0], part[1]]

    return PaintedSlices(look, belongs, known)


def _taught(painted, lessons=LESSONS):
    return returned(teach(painted, lessons))


@pytest.fixture(scope="module")
def net():
    return _taught(_painted([0, 1]))


def test_it_learns_what_surrounds_a_cell(net):
    looks, near = _rings(2)
    assert dice(near, (net.logit(looks) > 0).numpy()) > 0.85


def test_the_same_paint_gives_the_same_network(net):
    before = torch.get_rng_state()
    again = _taught(_painted([0, 1]))
    looks, _ = _rings(2)
    torch.testing.assert_close(net.logit(looks), again.logit(looks))
    torch.testing.assert_close(torch.get_rng_state(), before)


def test_what_was_not_painted_teaches_nothing():
    known = torch.zeros((2, *SHAPE), dtype=torch.bool)
    known[:, :, ::2] = True
    painted = _painted([0, 1], known)
    lied = PaintedSlices(
        painted.look, torch.where(known, painted.belongs, 1 - painted.belongs), known
    )
    looks, _ = _rings(2)
    torch.testing.assert_close(
        _taught(painted, 5).logit(looks), _taught(lied, 5).logit(looks)
    )


def test_slices_may_be_smaller_than_a_crop():
    looks = torch.randn((3, 9, 40), generator=torch.Generator().manual_seed(0))
    belongs = (looks[:1] > 0).float()
    painted = PaintedSlices(
        lambda _, part: looks[:, part[0], part[1]],
        belongs,
        torch.ones(belongs.shape, dtype=torch.bool),
    )
    logit = _taught(painted, 30).logit(looks)
    assert logit.shape == (9, 40)
    assert dice(belongs[0].bool().numpy(), (logit > 0).numpy()) > 0.8


def test_it_may_be_given_up_after_each_lesson():
    assert len(list(teach(_painted([0]), 4))) == 4

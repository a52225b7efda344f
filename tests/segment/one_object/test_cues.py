"""Each cue says what its name says, on a ball in a box."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import NAMES, Marks, View, cues, held_by_marks
from napari_dinomed.segment.one_object.looks import Looks
from tests.conftest import ball

SHAPE = (12, 32, 32)
CENTRE, OUTSIDE = (6, 16, 16), (2, 4, 4)
NONE = np.zeros((0, 3), np.int64)


@pytest.fixture(scope="module")
def mask():
    return torch.from_numpy(ball(SHAPE, CENTRE, 8, (2, 1, 1)))


@pytest.fixture(scope="module", params=[10**6, 1500], ids=["finest", "coarse"])
def view(request, mask):
    """A ball that differs from the rest in grey and in looks."""
    random = torch.Generator().manual_seed(0)
    unit = torch.randn((*SHAPE, 8), generator=random) * 0.3
    unit[..., 0] += torch.where(mask, 1.0, -1.0)
    looks = Looks(torch.nn.functional.normalize(unit, dim=-1).half(), SHAPE, 0, 1)
    whole = tuple(slice(0, n) for n in SHAPE)
    cells = Cells.over(whole, (2.0, 1.0, 1.0), request.param)
    grey = torch.where(mask, 0.7, 0.3) + 0.02 * torch.randn(SHAPE, generator=random)
    return View(cells, cells.mean_of(grey)[None], (looks,), 26 / cells.edge)


def _read(view, included=(CENTRE,), excluded=(), before=None):
    marks = Marks(np.array(included), np.array(excluded).reshape(-1, 3).astype(np.int64))
    values = cues(view, marks, before)
    assert values.shape == (len(NAMES), *view.cells.shape)
    assert torch.isfinite(values).all()
    return dict(zip(NAMES, values, strict=True))


def _gap(view, mask, values):
    """By how many standard deviations inside lies over outside."""
    inside = view.cells.mean_of(mask.float()) > 0.5
    a, b = values[inside], values[~inside]
    return float((a.mean() - b.mean()) / (a.var() + b.var()).sqrt().clamp_min(1e-3))


@pytest.mark.parametrize(
    "name",
    ["grey", "like_included", "vote", "probe", "nearer_to_included", "within_volume"],
)
def test_what_speaks_for_the_inside(view, mask, name):
    read = _read(view, excluded=[OUTSIDE])
    assert _gap(view, mask, read[name]) > 0.8


@pytest.mark.parametrize("name", ["grey_to_included", "like_excluded"])
def test_what_speaks_for_the_outside(view, mask, name):
    assert _gap(view, mask, _read(view, excluded=[OUTSIDE])[name]) < -0.8


@pytest.mark.parametrize("name", ["vote", "probe"])
def test_many_marks_speak_for_the_side_that_they_are_on(mask, name):
    """Looks as of a real encoder: many directions, of which few tell the sides apart."""
    random = torch.Generator().manual_seed(0)
    unit = torch.randn((*SHAPE, 64), generator=random)
    unit[..., :4] += torch.where(mask, 1.0, -1.0)[..., None]
    looks = Looks(torch.nn.functional.normalize(unit, dim=-1).half(), SHAPE, 0, 1)
    cells = Cells.finest(tuple(slice(0, n) for n in SHAPE), (2.0, 1.0, 1.0))
    view = View(cells, torch.full((1, *SHAPE), 0.5), (looks,), 26.0)
    sides = [np.argwhere(side)[::97] for side in (mask.numpy(), ~mask.numpy())]
    read = _read(view, *sides, before=mask.float())
    assert _gap(view, mask, read[name]) > 0.8


def test_the_answer_before_teaches_vote_probe_and_competition(view, mask):
    """What was found elsewhere than at the click moves them to its side."""
    before = view.cells.mean_of((~mask).float())
    read = _read(view, before=before)
    assert _gap(view, mask, read["grey_competition"]) < -0.8
    for name in ("vote", "probe"):
        assert read[name].mean() > _read(view)[name].mean()
    torch.testing.assert_close(read["before"], 2 * before - 1)
    assert (read["has_before"] == 1).all()
    assert (_read(view)["has_before"] == 0).all()


def test_nearness_falls_from_the_mark_on(view):
    read = _read(view, excluded=[OUTSIDE])
    at, away = (tuple(view.cells.holding(np.array([v]))[0]) for v in (CENTRE, OUTSIDE))
    for name in NAMES:
        if name in ("touching_included", "near_included", "around_included"):
            assert read[name][at] > read[name][away]
        if name in ("touching_excluded", "near_excluded"):
            assert read[name][at] < read[name][away]


def test_without_exclusions_nothing_is_near_or_like_one(view):
    read = _read(view)
    assert (read["near_excluded"] == 0).all()
    assert (read["like_excluded"] < 0).all()
    assert (read["nearer_to_included"] == 1).all()


def test_a_view_in_a_mirror_has_the_cues_in_a_mirror(view):
    (looks,) = view.looks
    turned = View(
        view.cells,
        view.grey.flip(1, 2, 3),
        (Looks(looks.unit.flip(0, 1, 2), SHAPE, 0, 1),),
        view.extent,
    )
    end = np.array(SHAPE) - 1
    here = cues(view, Marks(np.array([CENTRE]), np.array([OUTSIDE])), None)
    there = cues(turned, Marks(end - [CENTRE], end - [OUTSIDE]), None)
    torch.testing.assert_close(there.flip(1, 2, 3), here, atol=2e-2, rtol=0)


def test_what_is_marked_is_held_whatever_the_network_says(view):
    marks = Marks(np.array([CENTRE]), np.array([OUTSIDE]))
    seen = cues(view, marks, None)
    for said in (0.0, 1.0):
        held = held_by_marks(torch.full(view.cells.shape, said), seen)
        at, away = (tuple(view.cells.holding(np.array([v]))[0]) for v in (CENTRE, OUTSIDE))
        assert held[at] > 0.5 > held[away]
        changed = (held > 0.5) != (said > 0.5)
        assert 0 < changed.sum() <= 40

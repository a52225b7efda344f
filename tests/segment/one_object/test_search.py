"""How an object is looked for, with a weigher that knows the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import Marks, View
from napari_dinomed.segment.one_object.looks import Looks
from napari_dinomed.segment.one_object.options import SearchOptions
from napari_dinomed.segment.one_object.search import Found, Search, parts_of
from napari_dinomed.segment.turns import Early
from tests.conftest import ball
from tests.segment.steps import returned

SHAPE, SPACING = (40, 120, 120), (2.0, 1.0, 1.0)
CENTRE = (20, 60, 60)
WHOLE = tuple(slice(0, n) for n in SHAPE)
LOOKS = (Looks(torch.ones((2, 2, 2, 4)).half() / 2, SHAPE, 0, 20),)


class Oracle:
    """Says the truth of every look, and remembers the boxes that were looked at."""

    def __init__(self, truth, most=30_000):
        self.truth = torch.from_numpy(truth.astype(np.float32))
        self.looked: list[Cells] = []
        self.search = Search(
            self.see,
            self.weigh,
            WHOLE,
            SearchOptions(most_cells=most, later_cells=most),
            (0.25, 0.5),
        )

    def see(self, box, most):
        cells = Cells.over(box, SPACING, most)
        return View(cells, torch.zeros((1, *cells.shape)), LOOKS, 50.0)

    def weigh(self, cells, cues):
        self.looked.append(cells)
        return cells.mean_of(self.truth[cells.box])


def _marks(*included, excluded=()):
    return Marks(np.array(included), np.array(excluded).reshape(-1, 3).astype(np.int64))


def _dice(found, truth):
    voxels = Cells(WHOLE, SHAPE, SPACING)
    mask = found.on(voxels).numpy() > 0.5
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


@pytest.fixture
def small():
    return ball(SHAPE, CENTRE, 9, SPACING)


def test_the_first_answer_comes_closer_and_so_gets_finer():
    large = np.zeros(SHAPE, dtype=bool)
    large[18:23, 50:70, 10:110] = True
    oracle = Oracle(large)
    found = returned(oracle.search.first(_marks(CENTRE)))
    coarse = [cells for cells in oracle.looked if cells.box == WHOLE]
    assert len(coarse) == 1
    assert oracle.looked[-1].edge < coarse[0].edge
    assert _dice(found, large) > 0.95


def test_no_more_of_the_volume_is_looked_at_than_the_object_needs(small):
    oracle = Oracle(small)
    found = returned(oracle.search.first(_marks(CENTRE)))
    rows = [cells.box_shape[1] for cells in oracle.looked]
    assert rows[0] == 31  # A quarter, and a voxel.
    assert max(rows) < SHAPE[1]
    assert oracle.looked[-1].is_finest
    assert _dice(found, small) > 0.99


def test_parts_too_small_for_an_organ_are_not_looked_at():
    options = SearchOptions()
    assert parts_of((128, 128, 128), (2.5, 3.9, 3.9), options) == (0.5,)
    assert parts_of((640, 128, 128), (2.5, 3.9, 3.9), options) == (0.25, 0.5)
    assert parts_of((64, 128, 128), (1.0, 1.0, 1.0), options) == ()


def test_a_further_click_looks_at_the_box_of_the_object_alone(small):
    oracle = Oracle(small)
    before = returned(oracle.search.first(_marks(CENTRE)))
    oracle.looked.clear()
    last = np.array((20, 60, 70))
    returned(oracle.search.later(_marks(CENTRE, last), before, last, adds=True))
    (cells,) = oracle.looked
    assert np.prod(cells.box_shape) < small.size / 8


def test_a_glance_comes_first_on_few_cells_and_only_where_it_is_shown(small):
    before = returned(Oracle(small).search.first(_marks(CENTRE)))
    last = np.array((20, 60, 70))
    unseen, seen = Oracle(small), Oracle(small)
    found = returned(unseen.search.later(_marks(CENTRE, last), before, last, adds=True))
    steps = seen.search.later(_marks(CENTRE, last), before, last, adds=True)
    early = next(step for step in steps if isinstance(step, Early))
    assert not seen.looked
    glance = early.answer()
    assert [np.prod(cells.shape) <= 16_000 for cells in seen.looked] == [True]
    assert _dice(glance, small) > 0.9
    closer = returned(steps)
    assert len(unseen.looked) == 1
    assert len(seen.looked) == 2
    assert np.prod(seen.looked[1].shape) > 16_000
    assert torch.equal(closer.probability, found.probability)


def test_where_the_object_goes_on_beyond_its_box_that_is_looked_at_too(small):
    long = small.copy()
    long[18:23, 55:65, 5:115] = True
    before = returned(Oracle(small).search.first(_marks(CENTRE)))
    oracle = Oracle(long)
    last = np.array((20, 60, 72))
    found = returned(oracle.search.later(_marks(CENTRE, last), before, last, adds=True))
    assert len(oracle.looked) == 2
    assert oracle.looked[1].box[2].start < oracle.looked[0].box[2].start
    assert found.cells.box[2].start < oracle.looked[0].box[2].start


def test_what_is_thin_does_not_fade_from_click_to_click():
    thin = np.zeros(SHAPE, dtype=np.float32)
    thin[20, 30:90, 30:90] = 1
    # Whatever is asked, the weigher would have all: only the clicks take something away.
    search = Oracle(np.ones(SHAPE), most=5_000).search
    found = Found(Cells.finest(WHOLE, SPACING), torch.from_numpy(thin)).closely()
    excluded = []
    for column in (34, 39, 44, 49):
        excluded.append((20, 33, column))
        marks = _marks(CENTRE, excluded=excluded)
        found = returned(search.later(marks, found, np.array(excluded[-1]), adds=False))
        assert not found.belongs(np.array(excluded[-1]))
    left = found.on(Cells.finest(WHOLE, SPACING)).numpy()[20, 65:90, 65:90]
    np.testing.assert_array_equal(left, 1)


@pytest.mark.parametrize("adds", [True, False])
def test_what_includes_takes_nothing_away_and_what_excludes_adds_nothing(small, adds):
    before = returned(Oracle(small).search.first(_marks(CENTRE)))
    other = ball(SHAPE, (20, 60, 66), 9, SPACING)
    last = np.array((20, 60, 74 if adds else 53))
    marks = _marks(CENTRE, last) if adds else _marks(CENTRE, excluded=[last])
    found = returned(Oracle(other).search.later(marks, before, last, adds=adds))
    expected = (small | other) if adds else (small & other)
    assert _dice(found, expected) > 0.95


def test_there_is_nothing_outside_the_box_of_an_answer(small):
    found = returned(Oracle(np.ones(SHAPE, bool)).search.first(_marks(CENTRE)))
    assert found.cells.box == WHOLE
    near = returned(Oracle(small).search.first(_marks(CENTRE)))
    voxels = near.on(Cells(WHOLE, SHAPE, SPACING))
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[near.cells.box] = True
    assert voxels[~inside].max() < 0.01


@pytest.mark.parametrize(("adds", "place"), [(True, (20, 60, 64)), (False, (20, 60, 90))])
def test_what_says_what_was_found_there_changes_nothing(small, adds, place):
    before = returned(Oracle(small).search.first(_marks(CENTRE)))
    oracle = Oracle(np.full(SHAPE, adds))  # Which would change all of it.
    last = np.array(place)
    marks = _marks(CENTRE, last) if adds else _marks(CENTRE, excluded=[last])
    found = returned(oracle.search.later(marks, before, last, adds=adds))
    assert found is before
    assert not oracle.looked

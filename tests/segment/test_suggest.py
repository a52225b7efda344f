"""Where the next click would tell most."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.headless import prepare
from napari_dinomed.segment.one_object.method import ObjectFinder
from napari_dinomed.segment.suggest import Doubt, Place, places_in_doubt
from tests.conftest import ball
from tests.segment.steps import returned

SHAPE = (12, 40, 40)
OBJECT = ball(SHAPE, (6, 12, 12), 8, (2, 1, 1))
LOBE = ball(SHAPE, (6, 12, 26), 5, (2, 1, 1))
NO_CLICK = np.zeros((0, 3), int)


def doubt(probability, *others, step=1):
    def middles(cells):
        return cells * step + step // 2

    readings = np.stack([probability, *others]).astype(np.float32)
    return Doubt(readings, np.array([2.0, 1, 1]), lambda voxels: voxels // step, middles)


def next_place(*told):
    """The place most in doubt."""
    places = places_in_doubt(*told)
    return max(places, key=lambda one: one.in_doubt).voxel if places else None


def found(spill=0.6):
    """An object that is sure, and a lobe that is found with a doubt."""
    return np.where(OBJECT, 0.98, np.where(LOBE, spill, 0.02))


def test_it_lies_in_the_middle_of_what_is_in_doubt():
    z, y, x = next_place(doubt(found()), 0.5, NO_CLICK)
    assert LOBE[z, y, x]
    assert np.abs(np.subtract((z, y, x), (6, 12, 26))).max() <= 3


def test_a_reading_that_disagrees_is_a_doubt():
    sure, other = np.where(OBJECT | LOBE, 0.98, 0.02), np.where(OBJECT, 0.98, 0.02)
    place = next_place(doubt(sure, other), 0.5, NO_CLICK)
    assert LOBE[place]


def test_what_was_clicked_is_not_asked_again():
    far = ball(SHAPE, (6, 32, 30), 4, (2, 1, 1))
    probability = np.where(far, 0.7, found())
    first = next_place(doubt(probability), 0.5, NO_CLICK)
    second = next_place(doubt(probability), 0.5, np.array([first]))
    assert LOBE[first]
    assert far[second]


def test_cells_may_be_larger_than_voxels():
    place = next_place(doubt(found(), step=4), 0.5, NO_CLICK)
    assert LOBE[tuple(np.array(place) // 4)]


def test_nothing_is_asked_where_a_region_answers():
    across = ((-0.5, -0.5), (-0.5, 20.5), (39.5, 20.5), (39.5, -0.5))
    inside = Region(across, 0, (0, 12), 6, 1, Role.INSIDE)
    for one in places_in_doubt(doubt(found()), 0.5, NO_CLICK, (inside,)):
        assert not LOBE[one.voxel]
        assert one.voxel[2] <= 20


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_is_sure_there_is_no_place(value):
    assert next_place(doubt(np.full(SHAPE, value)), 0.5, NO_CLICK) is None


def test_places_lie_apart_and_on_both_sides():
    probability = np.where(OBJECT, 0.9, np.where(LOBE, 0.3, 0.02))
    places = places_in_doubt(doubt(probability), 0.5, NO_CLICK)
    assert len({one.voxel for one in places}) > 6
    assert {one.belongs for one in places} == {True, False}
    for one in places:
        assert OBJECT[one.voxel] == one.belongs
        assert one.wrong == pytest.approx(
            1 - probability[one.voxel] if one.belongs else probability[one.voxel]
        )


def test_of_what_is_in_doubt_that_is_asked_which_would_change_most(ball_volume):
    """A large part that may be missing is asked for before a rim that is in doubt."""
    volume, ball_ = ball_volume
    job = prepare(volume, "filters")
    found = job.engine.objects("volume")
    finder = ObjectFinder(found, (((8, 24, 30), True),))
    answer = returned(finder.answer())
    inside = tuple(np.argwhere(ball_).mean(0).astype(int))
    z, y, x = np.argwhere(~ball_)[0]
    places = [
        Place(inside, belongs=True, wrong=0.5, in_doubt=0.0),
        Place(inside, belongs=True, wrong=0.1, in_doubt=9.0),
        Place((z, y, x), belongs=False, wrong=0.0, in_doubt=9.0),
    ]
    assert answer.belongs(np.array(inside))
    first, second, never = returned(finder.worth(places))
    assert first == pytest.approx(5 * second)
    assert first > 0
    assert never == 0
    agrees = Place(inside, belongs=False, wrong=0.5, in_doubt=9.0)
    assert returned(finder.worth([agrees])) == [0]


def test_what_was_proposed_and_only_limited_is_asked_about(ball_volume):
    """No click yet: the proposal stands, and a place of it is asked for."""
    volume, ball_ = ball_volume
    job = prepare(volume, "filters")
    start = Mask.of(ndimage.binary_dilation(ball_, iterations=3))
    across = ((0.0, 0.0), (0.0, 40.0), (40.0, 40.0), (40.0, 0.0))
    limit = Region(across, 0, (0, 2), 1, 1, Role.EXCLUDE)
    finder = ObjectFinder(job.engine.objects("volume"), (), start=start, limits=(limit,))
    found = returned(finder.answer())
    assert found.belongs(np.argwhere(ball_)[40])
    doubt_ = returned(finder.doubt())
    places = places_in_doubt(doubt_, 0.5, NO_CLICK, (limit,))
    assert len(returned(finder.worth(places))) == len(places)

"""Regions limit every answer, whichever way it is found."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.messages import SegmentVolume, SliceLabels
from napari_dinomed.errors import PromptError
from napari_dinomed.headless import prepare
from tests.conftest import ball

SHAPE = (14, 48, 56)
WHOLE = tuple(slice(0, n) for n in SHAPE)
# Two balls that touch: a click on one floods the other.
LEFT, RIGHT = (7, 24, 16), (7, 24, 33)


@pytest.fixture(scope="module")
def touching(tmp_path_factory):
    from napari_dinomed.volume import Geometry, Volume

    masks = ball(SHAPE, LEFT, 9.5, (2, 1, 1)), ball(SHAPE, RIGHT, 9.5, (2, 1, 1))
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    grey = (30 + 80 * (masks[0] | masks[1]) + noise).astype(np.int16)
    volume = Volume(grey, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), "mm"), "MR")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        yield prepare(volume, "filters"), masks


def around_left(role=Role.INSIDE, span=(0, SHAPE[0])):
    corners = ((12.0, 4.0), (12.0, 24.4), (36.0, 24.4), (36.0, 4.0))
    return Region(corners, 0, span, 7, 1, role)


def answer(job, *said, meaning=Meaning.OBJECT, head=Readout.AUTO):
    return job.segment((new_label(1, meaning),), Prompts(said), head) == 1


@pytest.mark.parametrize("meaning", list(Meaning))
@pytest.mark.parametrize("head", list(Readout))
@pytest.mark.parametrize("role", [Role.INSIDE, Role.EXCLUDE])
def test_no_answer_goes_beyond_them(touching, meaning, head, role):
    job, (left, right) = touching
    click = Point(LEFT if role is Role.INSIDE else RIGHT, 1)
    limit = around_left(role)
    free = answer(job, click, meaning=meaning, head=head)
    found = answer(job, limit, click, meaning=meaning, head=head)
    assert (free & limit.forbidden(WHOLE)).any()
    assert not (found & limit.forbidden(WHOLE)).any()
    truth = left if role is Role.INSIDE else right & ~limit.forbidden(WHOLE)
    assert dice(truth, found) > dice(truth, free)


def test_through_one_slice_they_say_nothing_of_others(touching):
    job, _ = touching
    limit = around_left(span=(7, 8))
    found = answer(job, limit, Point(LEFT, 1), meaning=Meaning.ALL_LIKE_THIS)
    assert not (found & limit.forbidden(WHOLE)).any()
    assert found[:, :, 30:].any()


def test_what_an_object_is_inside_of_finds_it_without_a_click(touching):
    job, (left, _) = touching
    assert dice(left, answer(job, around_left())) > 0.8


def test_early_planes_are_limited_too(touching):
    job, _ = touching
    prompts, limit = Prompts((around_left(), Point(LEFT, 1))), around_left()
    for axis, index in ((0, 7), (1, 24)):
        request = SegmentVolume(
            "volume", prompts, (new_label(1),), view_axis=axis, view_index=index
        )
        events = []
        job.engine.run(request, events.append)
        planes = [event.labels for event in events if isinstance(event, SliceLabels)]
        forbidden = limit.forbidden(WHOLE).take(index, axis)
        assert planes
        assert all(plane.any() for plane in planes)
        assert not any((plane * forbidden).any() for plane in planes)


def test_regions_that_contradict_a_click_are_refused(touching):
    job, _ = touching
    with pytest.raises(PromptError, match="Delete"):
        answer(job, around_left(), Point(RIGHT, 1))

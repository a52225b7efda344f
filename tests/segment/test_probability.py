"""How probable a label is in a plane: what is over the threshold is what was answered."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Painted, Point, Prompts, Stroke
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.engine.messages import (
    PlaneProbability,
    ReadProbability,
    Segmented,
    SegmentVolume,
)
from napari_dinomed.errors import Cancelled
from napari_dinomed.headless import VOLUME, prepare
from napari_dinomed.segment.probability import BoxProbability
from napari_dinomed.segment.segmenter import Segmenter
from napari_dinomed.volume import Geometry, Volume
from tests.conftest import ball

SHAPE = (16, 64, 64)
FIRST, SECOND = (8, 20, 20), (8, 44, 44)
CLICKS = (Point(FIRST, 1), Point((8, 20, 27), 1), Point((8, 44, 40), 1, include=False))
STROKE = Stroke(Mask.of_voxels(np.array([(8, 20, x) for x in range(14, 27)])), 1)
CORNERS = ((0.0, 0.0), (0.0, 40.0), (40.0, 40.0), (40.0, 0.0))
LIMIT = Region(CORNERS, 0, (5, 16), 8, 1, Role.INSIDE)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    masks = [ball(SHAPE, centre, 11, (2, 1, 1)) for centre in (FIRST, SECOND)]
    noise = np.random.default_rng(0).normal(0, 9, SHAPE)
    grey = (30 + 50 * (masks[0] | masks[1]) + noise).astype(np.int16)
    volume = Volume(grey, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), "mm"), "MR")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        yield prepare(volume, "filters")


def asked(prompts=CLICKS, meaning=Meaning.OBJECT, **options):
    return SegmentVolume(
        VOLUME, Prompts(tuple(prompts)), (new_label(1, meaning),), **options
    )


def seen_with(answer, axis, index):
    values = {**vars(answer), "view_axis": axis, "view_index": index}
    return ReadProbability(VOLUME, SegmentVolume(**values))


def parts_of(job, answer, axis, index):
    found = job.engine.run(seen_with(answer, axis, index))
    assert isinstance(found, PlaneProbability)
    assert (found.axis, found.index, found.parts.dtype) == (axis, index, np.uint8)
    return found.parts


@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"meaning": Meaning.ALL_LIKE_THIS},
        {"meaning": Meaning.ALL_LIKE_THIS, "head": "probe"},
        {"head": "knn"},
        {"prompts": (STROKE, *CLICKS)},
        {"prompts": (LIMIT, *CLICKS)},
        {"starts": {1: Mask.of(ball(SHAPE, FIRST, 14, (2, 1, 1)))}},
    ],
    ids=["object", "alike", "probe", "knn", "stroke", "limit", "start"],
)
def test_what_is_over_the_threshold_is_what_was_answered(job, options, threshold):
    answer = asked(threshold=threshold, **options)
    segmented = job.engine.run(answer)
    assert isinstance(segmented, Segmented)
    labels = segmented.paste(SHAPE)
    assert labels.any()
    for axis, index in ((0, 8), (0, 0), (1, 20), (2, 44)):
        plane = parts_of(job, answer, axis, index) / 255
        np.testing.assert_array_equal(plane > threshold, labels.take(index, axis) == 1)


def test_of_one_answer_only_the_first_plane_is_found(job, monkeypatch):
    asked_for = []
    usual = Segmenter.probability

    def counting(self, fields):
        asked_for.append(self.prompts)
        return usual(self, fields)

    monkeypatch.setattr(Segmenter, "probability", counting)
    answer = asked(CLICKS[:2])
    planes = [parts_of(job, answer, 0, index) for index in range(16)]
    assert len(asked_for) == 1
    assert all(len(np.unique(plane)) > 2 for plane in planes[6:11])
    parts_of(job, asked(CLICKS[:1]), 0, 8)
    assert len(asked_for) == 2


def test_it_may_be_interrupted_and_other_features_end_it(job):
    taken = list(job.engine.handle(seen_with(asked(CLICKS[:1], threshold=0.4), 0, 8)))
    assert len(taken) > 2
    assert set(taken[:-1]) == {None}
    steps = job.engine.handle(seen_with(asked(CLICKS[:1], threshold=0.6), 0, 8))
    next(steps)
    prepare(job.volume, "filters", engine=job.engine)
    with pytest.raises(Cancelled):
        list(steps)


def test_islands_are_not_seen_and_marks_are_certain():
    probability = np.zeros((1, 4, 8), np.float32)
    probability[0, 1, 1:3] = probability[0, 1, 6] = 0.9
    probability[0, 2, 1] = 0.4
    marks = Painted(np.array([(5, 3, 7), (5, 1, 2)]), np.array([True, False]))
    box = (slice(5, 6), slice(0, 4), slice(0, 8))
    seeds = np.array([(5, 1, 1), (0, 0, 0)])
    found = BoxProbability.of((box, probability), 0.5, seeds, marks)
    plane = found.plane(0, 5, (9, 6, 10))
    assert plane.shape == (6, 10)
    assert plane[1, 1] == 229
    assert plane[2, 1] == 102
    assert plane[3, 7] == 255
    assert np.count_nonzero(plane) == 3
    assert not found.plane(0, 4, (9, 6, 10)).any()


@pytest.mark.parametrize(("share", "parts"), [(0.5, 127), (0.50001, 128), (1.0, 255)])
def test_what_is_over_a_half_stays_over_it(share, parts):
    box = (slice(0, 1),) * 3
    probability = np.full((1, 1, 1), share, np.float32)
    nothing = Painted(np.zeros((0, 3), np.int64), np.zeros(0, np.bool_))
    found = BoxProbability.of((box, probability), 0.5, None, nothing)
    assert found.plane(0, 0, (1, 1, 1)).item() == parts

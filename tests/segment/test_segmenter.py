"""Prompts to labels on a volume whose truth is known, through the engine's own path."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Label, Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.messages import Segmented, SegmentVolume, SliceLabels
from napari_dinomed.errors import PromptError
from napari_dinomed.headless import prepare
from napari_dinomed.segment.turns import Turns
from tests.conftest import ball

SHAPE = (16, 64, 64)
FIRST, SECOND = (8, 20, 20), (8, 44, 44)


@pytest.fixture(scope="module")
def two_balls(tmp_path_factory):
    from napari_dinomed.volume import Geometry, Volume

    masks = ball(SHAPE, FIRST, 11, (2, 1, 1)), ball(SHAPE, SECOND, 11, (2, 1, 1))
    noise = np.random.default_rng(0).normal(0, 5, SHAPE)
    grey = (30 + 80 * (masks[0] | masks[1]) + noise).astype(np.int16)
    volume = Volume(grey, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), "mm"), "MR")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        yield prepare(volume, "filters"), masks


def _labels(job, *points, meaning=Meaning.OBJECT, head="auto", strokes=(), threshold=0.5):
    numbers = sorted({p.label for p in (*points, *strokes)})
    labels = tuple(new_label(number, meaning) for number in numbers)
    return job.segment(labels, Prompts((*strokes, *points)), head, threshold)


def test_one_click_means_this_object(two_balls):
    job, (first, second) = two_balls
    labels = _labels(job, Point(FIRST, 1))
    assert dice(first, labels == 1) > 0.8
    assert not labels[second].any()


@pytest.mark.parametrize("labels", [1, 2])
def test_the_first_look_is_shown_where_one_label_is_asked_for(two_balls, labels):
    job, (first, _) = two_balls
    points = (Point(FIRST, 1), Point(SECOND, 2))[:labels]
    request = SegmentVolume(
        "volume",
        Prompts(points),
        tuple(new_label(number + 1) for number in range(labels)),
        view_index=FIRST[0],
        wanted=(1,) if labels == 1 else (),
    )
    job.engine.objects("volume").turns["auto"] = Turns(8)
    events = [event for event in job.engine.handle(request) if event is not None]
    *early, last = [event for event in events if isinstance(event, SliceLabels)]
    assert isinstance(events[-1], Segmented)
    assert bool(early) == (labels == 1)
    for event in early:
        assert dice(first[FIRST[0]], event.labels == 1) > 0.5
    assert np.array_equal(last.labels, events[-1].paste(SHAPE)[FIRST[0]])


def test_one_click_means_all_like_this(two_balls):
    job, (first, second) = two_balls
    labels = _labels(
        job,
        Point(FIRST, 1),
        Point((8, 20, 24), 1),
        Point((8, 20, 44), 1, include=False),
        meaning=Meaning.ALL_LIKE_THIS,
    )
    assert (labels[second] == 1).mean() > 0.3
    assert (labels[first] == 1).mean() > 0.3


def test_two_labels_at_once(two_balls):
    job, (first, second) = two_balls
    labels = _labels(job, Point(FIRST, 3), Point(SECOND, 7))
    assert set(np.unique(labels)) == {0, 3, 7}
    assert dice(first, labels == 3) > 0.8
    assert dice(second, labels == 7) > 0.8


@pytest.mark.parametrize("head", ["knn", "probe"])
def test_every_readout_gives_an_object_that_holds_its_click(two_balls, head):
    job, (_, second) = two_balls
    labels = _labels(job, Point(FIRST, 1), Point((8, 32, 32), 1, include=False), head=head)
    assert labels[FIRST] == 1
    assert labels[8, 32, 32] == 0
    assert not labels[second].any()


def test_marks_are_kept_to_the_voxel(two_balls):
    job, _ = two_balls
    inside, outside = (8, 20, 25), (2, 2, 2)
    labels = _labels(
        job, Point(FIRST, 1), Point(inside, 1, include=False), Point(outside, 1)
    )
    assert labels[inside] == 0
    assert labels[outside] == labels[FIRST] == 1


def _line(row, columns):
    return Mask.of_voxels(np.array([(8, row, column) for column in columns]))


def test_strokes_are_prompts(two_balls):
    job, (first, _) = two_balls
    stroke = Stroke(_line(20, range(14, 27)), 1)
    background = Stroke(_line(34, range(5, 40)), 1, include=False)
    labels = _labels(job, strokes=(stroke, background))
    assert dice(first, labels == 1) > 0.8
    assert not labels[8, 34, 5:40].any()


@pytest.fixture
def lesion(tmp_path, monkeypatch):
    """A bright lesion in a large organ of one grey, on thick slices."""
    from napari_dinomed.volume import Geometry, Volume

    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    shape, spacing = (16, 96, 96), (6.0, 1.0, 1.0)
    organ = ball(shape, (8, 48, 48), 40, spacing)
    mask = ball(shape, (8, 48, 36), 12, spacing)
    noise = np.random.default_rng(0).normal(0, 5, shape)
    grey = (100 * organ + 60 * mask + noise).astype(np.int16)
    volume = Volume(grey, Geometry.from_spacing(shape, spacing, "mm"), "MR")
    return prepare(volume, "filters"), mask, organ


def test_a_click_just_beyond_the_edge_does_not_flood_what_lies_there(lesion):
    job, mask, organ = lesion
    first, beyond = Point((8, 48, 36), 1), Point((8, 48, 50), 1)
    before = _labels(job, first) == 1
    after = _labels(job, first, beyond) == 1
    assert dice(mask, before) > 0.8
    assert after[beyond.voxel]
    assert after.sum() < 2.5 * before.sum() < organ.sum() / 2


def test_a_higher_threshold_takes_in_less(two_balls):
    job, _ = two_balls
    sizes = [
        int((_labels(job, Point(FIRST, 1), threshold=t) == 1).sum())
        for t in (0.2, 0.5, 0.8)
    ]
    assert sizes[0] >= sizes[1] >= sizes[2] > 0
    assert sizes[0] > sizes[2]


def test_labels_above_255_fit(two_balls):
    job, _ = two_balls
    labels = _labels(job, Point(FIRST, 300))
    assert labels.max() == 300


def test_each_click_is_paid_for_once(two_balls, monkeypatch):
    """A further click costs a look or two at its object, undo and redo none."""
    from napari_dinomed.segment.one_object.method import ObjectFinder

    looks = []
    weigh = ObjectFinder._weigh

    def counting(finder, cells, cues):
        looks.append(len(finder.clicks))
        return weigh(finder, cells, cues)

    monkeypatch.setattr(ObjectFinder, "_weigh", counting)
    job, _ = two_balls
    first, second = Point((8, 21, 17), 1), Point((7, 19, 22), 1, include=False)
    for points in ((first,), (first, second), (first,), (first, second)):
        _labels(job, *points)
    assert looks == sorted(looks)
    assert looks.count(1) <= 3
    assert 1 <= looks.count(2) <= 2


def test_taking_a_click_back_gives_what_was_before(two_balls):
    job, _ = two_balls
    before = _labels(job, Point(FIRST, 1))
    _labels(job, Point(FIRST, 1), Point(SECOND, 1))
    np.testing.assert_array_equal(_labels(job, Point(FIRST, 1)), before)


def test_only_exclusions(two_balls):
    job, _ = two_balls
    with pytest.raises(PromptError, match="at least one"):
        _labels(job, Point(FIRST, 1, include=False))


def test_outside(two_balls):
    job, _ = two_balls
    with pytest.raises(PromptError, match="outside"):
        _labels(job, Point((8, 20, 64), 1))


def test_a_prompt_for_a_label_that_is_not_there(two_balls):
    job, _ = two_balls
    with pytest.raises(PromptError, match="label 1"):
        job.segment((Label(2, "two", (1, 0, 0)),), Prompts((Point(FIRST, 1),)))


def _answer(job, prompts, **options):
    from napari_dinomed.engine.messages import SegmentVolume

    labels = tuple(new_label(n) for n in (1, 2, 3))
    request = SegmentVolume("volume", prompts, labels, **options)
    events = []
    return job.engine.run(request, events.append), events


TWO = Prompts((Point(FIRST, 1), Point(SECOND, 2), Point((8, 44, 46), 2)))


def test_one_label_can_be_asked_for_alone(two_balls):
    """Others are not answered, but what they include does not belong to it."""
    job, _ = two_balls
    both, _ = _answer(job, TWO)
    alone, events = _answer(job, TWO, wanted=(1,), view_index=8)
    assert set(np.unique(alone.labels)) == {0, 1}
    assert set(np.unique(events[-1].labels)) == {0, 1}
    assert alone.mask(1) == both.mask(1)
    spilling = Prompts((Point(FIRST, 1), Point((8, 20, 26), 2)))
    answer, _ = _answer(job, spilling, wanted=(1,))
    assert answer.paste(SHAPE)[8, 20, 26] == 0


def test_the_order_of_the_labels_wanted_does_not_matter(two_balls):
    job, _ = two_balls
    both, _ = _answer(job, TWO)
    asked, _ = _answer(job, TWO, wanted=(2, 1))
    np.testing.assert_array_equal(both.labels, asked.labels)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wanted": (9,)}, r"\[9\]"),
        ({"wanted": (3,)}, "at least one"),
        ({"head": "guess"}, "guess"),
    ],
)
def test_what_cannot_be_answered(two_balls, options, said):
    job, _ = two_balls
    with pytest.raises(PromptError, match=said):
        _answer(job, TWO, **options)


@pytest.mark.parametrize("meaning", list(Meaning))
def test_an_answer_is_the_box_that_just_holds_it(two_balls, meaning):
    from napari_dinomed.engine.messages import SegmentVolume

    job, _ = two_balls
    request = SegmentVolume("volume", Prompts(TWO.all[:1]), (new_label(1, meaning),))
    answer = job.engine.run(request)
    assert min(answer.labels.shape) > 0
    for axis in range(3):
        for side in (0, -1):
            assert answer.labels.take(side, axis).any()
    whole = answer.paste(SHAPE)
    assert np.count_nonzero(whole) == np.count_nonzero(answer.labels)
    assert answer.mask(1).count == np.count_nonzero(whole == 1)
    assert FIRST in answer.mask(1)


def test_an_answer_may_be_empty():
    from napari_dinomed.engine.messages import Segmented
    from napari_dinomed.segment.canvas import Canvas

    canvas = Canvas(np.uint8, 0.5)
    box = (slice(2, 5), slice(3, 9), slice(4, 8))
    placed = box, np.zeros((3, 6, 4), np.float32)
    canvas.paint(new_label(1), placed, np.zeros((0, 3), np.int64))
    found = canvas.finish()
    answer = Segmented(found.start, found.labels, 1, 0.1)
    assert answer.labels.shape == (0, 0, 0)
    assert not answer.mask(1)
    assert not answer.paste(SHAPE).any()


def test_what_is_painted_grows_to_hold_every_box():
    from napari_dinomed.segment.canvas import Canvas

    canvas = Canvas(np.uint16, 0.5)
    for number, start in ((300, 6), (2, 1)):
        box = (slice(start, start + 2),) * 3
        placed = box, np.full((2, 2, 2), 0.9, np.float32)
        canvas.paint(new_label(number), placed, np.array([(start,) * 3]))
    found = canvas.finish()
    assert found.start == (1, 1, 1)
    assert found.labels.shape == (7, 7, 7)
    assert found.labels[0, 0, 0] == 2
    assert found.labels[6, 6, 6] == 300
    assert np.count_nonzero(found.labels) == 16


def test_of_a_voxel_that_is_marked_twice_the_last_mark_holds(two_balls):
    job, _ = two_balls
    ring = Mask.of_voxels(np.array([(8, 20, x) for x in range(14, 27)]))
    there = (8, 20, 17)
    clicks = (Point(there, 1, include=False), Point(there, 1))
    strokes = (Stroke(ring, 1),)
    assert _labels(job, *clicks, strokes=strokes)[there] == 1
    assert _labels(job, *clicks[::-1], strokes=strokes)[there] == 0


def test_a_painted_slice_costs_no_time_for_each_voxel(two_balls):
    """Marks of a whole slice of 512² are handled in milliseconds."""
    from time import process_time

    from napari_dinomed.segment.marks import all_marks
    from napari_dinomed.segment.one_object.method import ObjectFinder

    belongs = ball((1, 512, 512), (0, 250, 250), 180)
    strokes = tuple(
        Stroke(Mask.of(belongs == side, (8, 0, 0)), 1, include=side)
        for side in (True, False)
    )
    begun = process_time()
    clicked, painted = Prompts(strokes).marks_for(1)
    marks = ObjectFinder(None, clicked, painted)._marks
    assert len(all_marks(painted, clicked)) == 512 * 512
    seconds = process_time() - begun
    assert len(marks.included) == len(marks.excluded) == 3
    print(f"marks of 512² voxels: {1000 * seconds:.1f} ms")
    assert seconds < 0.5


@pytest.mark.parametrize("further", [(8, 20, 27), (8, 26, 26), (12, 20, 20), SECOND])
def test_what_is_included_further_takes_no_voxel_away(two_balls, further):
    job, _ = two_balls
    before = _labels(job, Point(FIRST, 1)) == 1
    after = _labels(job, Point(FIRST, 1), Point(further, 1)) == 1
    assert after[before].all()
    assert after[further]


def test_what_is_excluded_further_adds_no_voxel(two_balls):
    job, _ = two_balls
    before = _labels(job, Point(FIRST, 1)) == 1
    after = _labels(job, Point(FIRST, 1), Point((8, 28, 28), 1, include=False)) == 1
    assert before[after].all()


def test_excluding_what_was_not_found_changes_nothing_far_away(two_balls):
    job, _ = two_balls
    before = _labels(job, Point(FIRST, 1)) == 1
    apart = Point((8, 5, 58), 1, include=False)
    assert dice(before, _labels(job, Point(FIRST, 1), apart) == 1) > 0.99


def _prepared(grey, monkeypatch, tmp_path):
    from napari_dinomed.volume import Geometry, Volume

    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    geometry = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), "mm")
    return prepare(Volume(np.ascontiguousarray(grey), geometry, "MR"), "filters")


def test_in_a_mirror_the_answer_is_mirrored(two_balls, monkeypatch, tmp_path):
    job, _ = two_balls
    clicks = Point(FIRST, 1), Point((8, 20, 26), 1)
    here = _labels(job, *clicks) == 1
    turned = _prepared(job.volume.array[::-1, ::-1, ::-1], monkeypatch, tmp_path)
    end = np.array(SHAPE) - 1
    there = [Point(tuple(int(v) for v in end - p.voxel), 1) for p in clicks]
    assert dice(here, (_labels(turned, *there) == 1)[::-1, ::-1, ::-1]) > 0.97


def test_other_units_of_grey_give_the_same_answer(two_balls, monkeypatch, tmp_path):
    job, _ = two_balls
    here = _labels(job, Point(FIRST, 1)) == 1
    scaled = _prepared(job.volume.array * 10 + 300, monkeypatch, tmp_path)
    assert dice(here, _labels(scaled, Point(FIRST, 1)) == 1) > 0.99

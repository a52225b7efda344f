"""All that looks alike, on a stack of thick slices with many discs and thin lines."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.bench.metrics import dice
from napari_dinomed.demo import find_sample
from napari_dinomed.engine.messages import Progress, SegmentVolume, SliceLabels, Stage
from napari_dinomed.headless import prepare
from napari_dinomed.segment.all_alike import appearance
from napari_dinomed.segment.all_alike.answer import Answer
from napari_dinomed.segment.all_alike.appearance import AlikeField, rest
from napari_dinomed.segment.all_alike.marks import Marks
from napari_dinomed.segment.all_alike.method import AlikeFinder
from napari_dinomed.segment.all_alike.options import Options
from napari_dinomed.segment.all_alike.share import chosen_share
from napari_dinomed.segment.painted_slices import lesson
from napari_dinomed.volume import Geometry, Volume

SHAPE = (8, 160, 160)
CENTRES = [(40, 40), (40, 120), (120, 40), (110, 115)]


def _discs(centres=CENTRES, radius=14):
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    flat = np.zeros(SHAPE[1:], bool)
    for row, column in centres:
        flat |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    return flat


def _stack(grey):
    array = grey.clip(0, 255).astype(np.uint8)
    return Volume(array, Geometry.from_spacing(grey.shape, (50.0, 5.0, 5.0), "nm"), "EM")


def _painted(flat, slices):
    return tuple(
        Stroke(Mask.of_voxels(np.insert(cells, 0, z, axis=1)), 1, include=belongs)
        for z in slices
        for belongs in (True, False)
        for cells in [np.argwhere(flat == belongs)[::3]]
    )


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    flat = _discs()
    columns = np.arange(SHAPE[2])
    lines = (columns % 53 < 3) & ~flat
    noise = np.random.default_rng(0).normal(0, 18, SHAPE)
    volume = _stack(90 + 60 * flat - 60 * lines + noise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        yield prepare(volume, "filters"), np.broadcast_to(flat, SHAPE)


@pytest.fixture(autouse=True)
def few_lessons(monkeypatch):
    """Discs are learnt soon."""
    monkeypatch.setattr(lesson, "_LESSONS", 80)
    monkeypatch.setattr(lesson, "_TRIAL_LESSONS", 40)


def _find(job, points=(), strokes=()):
    label = new_label(1, Meaning.ALL_LIKE_THIS)
    return job.segment((label,), Prompts((*strokes, *points))) == 1


def test_one_click_finds_them_all(discs):
    job, truth = discs
    mask = _find(job, (Point((4, 40, 40), 1),))
    assert dice(truth, mask) > 0.65
    for row, column in CENTRES:
        assert mask[:, row - 5 : row + 6, column - 5 : column + 6].mean() > 0.8


def test_an_excluded_click_takes_off_what_it_lies_in(discs):
    job, _ = discs
    mask = _find(job, (Point((4, 40, 40), 1), Point((4, 120, 40), 1, include=False)))
    assert not mask[4, 117:124, 37:44].any()
    assert mask[4, 40, 40]


def test_a_stroke_says_what_clicks_say(discs):
    job, truth = discs
    line = np.array([(4, 40, column) for column in range(30, 50)])
    stroke = Stroke(Mask.of_voxels(line), 1)
    assert dice(truth, _find(job, strokes=(stroke,))) > 0.65


@pytest.mark.parametrize(("radius", "count"), [(4, 16), (9, 8)])
def test_a_few_small_blobs_on_an_empty_ground_are_not_flooded(
    radius, count, tmp_path, monkeypatch
):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    random = np.random.default_rng(1)
    centres = random.integers(radius, SHAPE[1] - radius, (count, 2))
    flat = _discs(centres, radius)
    volume = replace(_stack(60 + 80 * flat + random.normal(0, 15, SHAPE)), modality="other")
    job = prepare(volume, "filters")
    mask = _find(job, (Point((4, *map(int, centres[0])), 1),))
    assert dice(np.broadcast_to(flat, SHAPE), mask) > 0.6


def test_the_slice_in_view_is_answered_before_the_volume_is_read(discs, monkeypatch):
    job, _ = discs
    read, whole = [], AlikeField.projected

    def projected(self, direction, slices):
        read.append(slices)
        return whole(self, direction, slices)

    monkeypatch.setattr(AlikeField, "projected", projected)
    marks = Prompts((Point((4, 44, 44), 1), Point((4, 80, 80), 1, include=False)))
    label = new_label(1, Meaning.ALL_LIKE_THIS)
    request = SegmentVolume("volume", marks, (label,), "auto", 0.5, view_index=4)
    steps = job.engine.handle(request)
    early = next(step for step in steps if isinstance(step, SliceLabels))
    assert read[-1] == slice(3, 6)
    final = job.engine.run(request).paste(SHAPE)
    assert dice(final[4] == 1, early.labels == 1) > 0.85


def test_all_that_a_click_needs_is_there_once_sections_are_encoded(discs, monkeypatch):
    job, _ = discs
    monkeypatch.setattr(AlikeField, "__init__", _unexpected)
    monkeypatch.setattr(appearance, "lines_of", _unexpected)
    assert _find(job, (Point((4, 42, 42), 1),)).any()


def test_undo_gives_the_answer_from_before(discs):
    job, _ = discs
    first, second = Point((4, 40, 40), 1), Point((4, 80, 80), 1, include=False)
    before = _find(job, (first,))
    _find(job, (first, second))
    np.testing.assert_array_equal(_find(job, (first,)), before)


def test_a_painted_slice_teaches_all_others(discs):
    job, truth = discs
    mask = _find(job, strokes=_painted(truth[4], [4]))
    others = [0, 1, 2, 3, 5, 6, 7]
    assert dice(truth[others], mask[others]) > 0.93
    assert mask[4, 80, 80] == 0


def test_the_edge_follows_the_grey_values(discs):
    """The rim that tokens and filters blur belongs to what it looks like."""
    job, _ = discs
    mask = _find(job, (Point((4, 40, 40), 1), Point((4, 120, 40), 1)))
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for row, column in CENTRES:
        distance = np.hypot(rows - row, columns - column)
        ring = (distance > 10) & (distance < 13)
        beyond = (distance > 17) & (distance < 20)
        assert mask[:, ring].mean() > 0.6
        assert mask[:, beyond].mean() < 0.3


def test_of_sections_the_answer_teaches_a_better_one(discs, tmp_path, monkeypatch):
    job, truth = discs
    clicks = (Point((4, 40, 40), 1), Point((4, 120, 40), 1))
    taught = dice(truth, _find(job, clicks))
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    monkeypatch.setattr(AlikeFinder, "_taught_by", lambda self, answer: answer)
    untaught = dice(truth, _find(prepare(job.volume, "filters"), clicks))
    assert taught > untaught + 0.05


def test_sections_are_seen_with_those_above_and_below(tmp_path, monkeypatch):
    """Stained unevenly, and darker or paler as a whole, they tell more together."""
    flat, random = _discs(), np.random.default_rng(1)
    stain = ndimage.gaussian_filter(random.normal(0, 1, SHAPE), (0, 3, 3))
    paler = 40 * random.normal(0, 1, (SHAPE[0], 1, 1))
    volume = _stack(100 + 50 * flat + 20 * stain / stain.std() + paler)
    scores = []
    for name in ("together", "alone"):
        monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path / name))
        mask = _find(prepare(volume, "filters"), (Point((4, 40, 40), 1),))
        scores.append(dice(np.broadcast_to(flat, SHAPE), mask))
        monkeypatch.setattr(appearance, "_see_with_neighbours", lambda looks: None)
    together, alone = scores
    assert together > alone + 0.1


@pytest.mark.parametrize("window", ["auto", "brain"])
def test_sections_too_small_or_too_bright_are_answered(window, tmp_path, monkeypatch):
    """Nothing can be taught by a few cells, or where all is as bright as can be shown."""
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    grey = np.full((2, 12, 12), 100.0)
    grey[:, 4:8, 4:8] = 200
    mask = _find(prepare(_stack(grey), "filters", window), (Point((1, 6, 6), 1),))
    assert mask[1, 6, 6]
    assert not mask[:, 0, 0].any()


def test_painted_sections_teach_darker_and_paler_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    flat = _discs()
    grey = np.random.default_rng(1).normal(0, 8, SHAPE) + 25 * flat
    offsets = np.array([60, 150, 90, 60, 180, 120, 75, 165])[:, None, None]
    job = prepare(_stack(grey + offsets), "filters")
    mask = _find(job, strokes=_painted(flat, [0, 7]))
    for z in range(1, 7):
        assert dice(flat, mask[z]) > 0.8, z


def test_a_click_on_what_was_painted_corrects_without_learning_again(discs, monkeypatch):
    job, truth = discs
    strokes = _painted(truth[4], [4])
    before = _find(job, strokes=strokes)
    monkeypatch.setattr(lesson, "teach", _unexpected)
    mask = _find(job, (Point((2, 40, 40), 1, include=False),), strokes)
    assert before[2, 38:43, 38:43].all()
    assert not mask[2, 38:43, 38:43].any()
    np.testing.assert_array_equal(mask[:, 80:], before[:, 80:])


def test_learning_can_be_given_up_and_begun_again(discs):
    job, truth = discs
    label = new_label(1, Meaning.ALL_LIKE_THIS)
    prompts = Prompts(_painted(truth[4], [4, 6]))
    request = SegmentVolume("volume", prompts, (label,), "auto", 0.5, preview=False)
    steps = job.engine.handle(request)
    begun = [event for event in itertools.islice(steps, 60) if event is not None]
    assert Progress(40, 80, Stage.LESSONS) in begun
    steps.close()
    others = [0, 1, 2, 3, 5, 7]
    mask = job.engine.run(request).paste(SHAPE) == 1
    assert dice(truth[others], mask[others]) > 0.93


def _unexpected(*_):
    raise AssertionError("it learnt again")


def test_excluded_clicks_one_after_another_raise_the_cut_ever_less():
    scores = np.random.default_rng(0).normal(size=20_000)
    options = Options()
    shares = [None]
    for count in range(1, 10):
        marked = np.array([2.0] + [1.4] * (count - 1))
        belongs = np.arange(count) < 1
        shares.append(
            chosen_share(scores, marked, belongs, shares[-1], options.sections, options)
        )
    steps = -np.diff(np.log(shares[1:]))
    assert (steps > 0).all()
    assert (np.diff(steps) < 0).all()
    assert shares[-1] > shares[1] / 2


def test_many_excluded_clicks_are_not_the_whole_rest():
    excluded = np.ones((1000, 2))
    assert rest(excluded[:0], Options()) == pytest.approx(0)
    assert rest(excluded[:1], Options()) == pytest.approx(0.2)
    assert rest(excluded, Options()) == pytest.approx(0.4)


def test_what_was_clicked_holds_whatever_is_clicked_later(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    sample = find_sample("em")
    found = prepare(sample.volume, "filters").segment(sample.labels, sample.prompts) == 1
    for point in sample.prompts.points:
        z, y, x = point.voxel
        near = found[z, y - 1 : y + 2, x - 1 : x + 2]
        assert (near == point.include).mean() > 0.7, point


def test_clicks_on_rims_complete_blobs_and_do_not_mean_lines():
    """Once two clicks meant discs; not what lies far from any, nor exclusions."""
    flat = np.broadcast_to(_discs(), SHAPE)
    found = Answer(np.where(flat, 1.0, -1.0).astype(np.float32), 0.1, is_thin=False)
    strengths = {(4, 40, 55): 1.5, (4, 120, 55): 1.5, (4, 110, 130): 1.5, (4, 70, 80): 1.5}
    field = SimpleNamespace(
        spacing=np.array([50.0, 5.0, 5.0]),
        cell=lambda voxel: voxel,
        has_membranes=True,
        thin=SimpleNamespace(strength=lambda cell: strengths.get(cell, -1.0)),
    )
    middles = [((4, *centre), True) for centre in CENTRES[:2]]

    def marks(*clicks):
        return Marks(field, clicks)

    rims = [(voxel, True) for voxel in list(strengths)[:3]]
    assert marks(*middles, rims[0])._rims(found) == (2,)
    assert marks(middles[0], rims[0])._rims(found) == ()
    assert marks(*middles, ((4, 70, 80), True))._rims(found) == ()
    assert marks(*middles, (rims[0][0], False))._rims(found) == ()
    assert marks(*middles, rims[0])._rims(replace(found, is_thin=True)) == ()
    known = replace(found, rims=(2, 3))
    assert marks(*middles, *rims)._rims(known) == (2, 3, 4)
    assert marks(*middles, *rims)._means_thin(False, ())
    assert not marks(*middles, *rims)._means_thin(False, (2, 3, 4))

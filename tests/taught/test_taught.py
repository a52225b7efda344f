"""What was taught on some volumes finds the same in others, and is kept in a safe file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.bench.metrics import dice
from napari_dinomed.errors import ModelError
from napari_dinomed.segment.regions import deepest
from napari_dinomed.taught.header import read_header
from napari_dinomed.taught.learners import LEARNERS
from napari_dinomed.taught.model import read_model
from napari_dinomed.taught.propose import proposed
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, merged, taught

LEGEND = (replace(new_label(1), name="bright"), replace(new_label(2), name="dark"))


def _taught(jobs, legend=LEGEND, model=None, **choices):
    model = begun(jobs[0][0].seen) if model is None else model
    for job, labels in jobs:
        model = taught(model, job.seen, labels, legend)
    *_, complete = settled(model, **choices)
    return complete


@pytest.fixture(scope="session")
def model(jobs):
    return _taught(jobs[:3])


def _proposed(model, job):
    *_, proposal = proposed(model, job.seen.described(model))
    return proposal


def _pasted(proposal, shape):
    labels, box = np.zeros(shape, int), proposal.box
    place = tuple(slice(s, s + n) for s, n in zip(box.start, box.labels.shape, strict=True))
    labels[place] = box.labels
    return labels


@pytest.mark.parametrize("learner", [None, *LEARNERS])
def test_a_volume_that_was_not_taught_is_labelled_without_a_click(jobs, learner):
    job, truth = jobs[3]
    proposal = _proposed(_taught(jobs[:3], learner=learner), job)
    labels = _pasted(proposal, truth.shape)
    assert dice(truth == 1, labels == 1) > 0.8
    assert dice(truth == 2, labels == 2) > 0.8
    assert not labels[2:4, 30:33, 2:8].any()  # as bright, but another thing
    doubts = [one.doubt for one in proposal.signs.values()]
    assert all(doubt is None or 0 <= doubt < 0.7 for doubt in doubts)


def test_all_alike_may_be_taught(jobs):
    job, truth = jobs[3]
    legend = tuple(replace(one, meaning=Meaning.ALL_LIKE_THIS) for one in LEGEND)
    labels = _pasted(_proposed(_taught(jobs[:2], legend), job), truth.shape)
    assert dice(truth == 2, labels == 2) > 0.7


def test_figures_are_of_volumes_that_did_not_teach(jobs, model):
    (bright, _) = model.header.lessons
    assert bright.volumes == 3
    assert bright.voxels == sum((labels == 1).sum() for _, labels in jobs[:3])
    assert len(bright.dice) == 3
    assert 0.6 < bright.mean_dice <= 1
    assert len(bright.readings) > 1
    assert set(bright.apart) == {0, 1, 2}
    assert all(0 < one.inside < 1 for one in bright.apart.values())
    assert all(one.surface for one in bright.amounts.values())


def test_one_volume_is_tried_on_its_own_halves(jobs):
    (bright, _) = _taught(jobs[:1]).header.lessons
    assert len(bright.dice) == 1
    assert 0.3 < bright.mean_dice <= 1
    assert all(reading.way.told == "looks" for reading in bright.readings)


def test_labels_of_one_name_are_one_label(jobs):
    swapped = (replace(LEGEND[0], name="dark"), replace(LEGEND[1], name="bright"))
    first, second = jobs[:2]
    labels = second[1]
    other = np.choose(labels, [0, 2, 1])
    begin = taught(begun(first[0].seen), *_seen(first), LEGEND)
    model = taught(begin, second[0].seen, other, swapped)
    assert [label.name for label in model.header.labels] == ["bright", "dark"]
    straight = taught(
        taught(begun(first[0].seen), *_seen(first), LEGEND), *_seen(second), LEGEND
    )
    assert torch.equal(
        model.examples.classes.sort().values, straight.examples.classes.sort().values
    )
    assert [lesson.volumes for lesson in model.header.lessons] == [2, 2]


def _seen(pair):
    return pair[0].seen, pair[1]


def test_the_file_holds_all_of_it_and_neither_voxel_nor_path(model, tmp_path, jobs):
    path = tmp_path / "m.dinomed"
    model.write(path)
    again = read_model(path)
    assert again.header == model.header
    assert torch.equal(again.examples.looks, model.examples.looks)
    assert read_header(path) == model.header
    assert again.to_bytes() == model.to_bytes()
    with safe_open(path, framework="np") as file:
        text = json.dumps(file.metadata())
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    assert str(tmp_path) not in text
    assert "/" not in model.header.sight.encoder
    assert all(shape != list(jobs[0][1].shape) for shape in shapes.values())
    assert (
        _pasted(_proposed(again, jobs[3][0]), jobs[3][1].shape).tolist()
        == _pasted(_proposed(model, jobs[3][0]), jobs[3][1].shape).tolist()
    )


@pytest.mark.parametrize("damage", ["cut", "other", "nan", "missing", "later"])
def test_a_file_that_is_no_model_is_refused(model, tmp_path, damage):
    path = tmp_path / "m.dinomed"
    data = model.to_bytes()
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "other":
        data = b"\x80\x04 not a model"
    elif damage == "nan":
        broken = replace(model.examples, weights=model.examples.weights * float("nan"))
        data = replace(model, examples=broken).to_bytes()
    elif damage == "missing":
        data = data.replace(b"examples.cases", b"examples.casus")
    else:
        data = data.replace(b'\\"version\\":1', b'\\"version\\":2')
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"m\.dinomed"):
        read_model(path)


def test_another_encoder_or_fewer_axes_are_refused_and_odd_spacing_is_said(jobs, model):
    sight = jobs[3][0].seen.sight
    assert model.header.require_sight(sight) == ()
    with pytest.raises(ModelError, match="Expected features of filters"):
        model.header.require_sight(replace(sight, signature="else"))
    with pytest.raises(ModelError, match="axes"):
        model.header.require_sight(replace(sight, axes=()))
    (odd,) = model.header.require_sight(replace(sight, spacing=(9.0, 1.0, 1.0)))
    assert "9 × 1 × 1" in odd
    (other,) = model.header.require_sight(replace(sight, modality="CT"))
    assert "MR" in other
    assert "CT" in other


def test_hardly_a_voxel_teaches_nothing(jobs):
    job, labels = jobs[0]
    few = np.where(labels == 1, labels, 0)
    few[:8] = few[9:] = 0
    few[:, :13] = few[:, 14:] = 0
    with pytest.raises(ModelError, match="at least 20 voxels of bright"):
        taught(begun(job.seen), job.seen, few, LEGEND)
    with pytest.raises(ModelError, match="without any"):
        taught(begun(job.seen), job.seen, 0 * few, LEGEND)


def test_the_same_volume_taught_again_takes_the_place_of_itself(jobs, model):
    again = _taught([(jobs[0][0], np.where(jobs[0][1] == 1, 1, 0))], model=model)
    assert again.header.volumes == 3
    bright, dark = again.header.lessons
    assert (bright.volumes, dark.volumes) == (3, 2)
    assert not ((again.examples.cases == 0) & (again.examples.classes == 2)).any()


def test_thinned_examples_stand_for_those_that_go(model):
    examples = model.examples
    thinned = examples.thinned(900)
    assert 800 < len(thinned) <= 900
    for case in range(3):
        for label in range(3):
            sums = [
                e.weights[(e.cases == case) & (e.classes == label)].sum()
                for e in (examples, thinned)
            ]
            torch.testing.assert_close(*sums)


def test_copies_that_were_taught_apart_can_be_merged(jobs):
    start = _taught(jobs[:1])
    one, other = (_taught(jobs[n : n + 1], model=start) for n in (1, 2))
    joined = merged(one, other)
    assert joined.header.volumes == 3  # the first is in both
    shared = len(start.examples)
    assert len(joined.examples) == len(one.examples) + len(other.examples) - shared
    assert merged(one, one).header == one.header
    with pytest.raises(ModelError, match="begun on different volumes"):
        merged(one, _taught(jobs[2:3]))


def _corrected(job, start, *prompts):
    answer = job.segment((LEGEND[0],), Prompts(prompts), starts={1: Mask.of(start)})
    return answer == 1


@pytest.fixture
def half(jobs):
    """Half of the bright ball, and the middle of what is missing."""
    _, labels = jobs[3]
    truth = labels == 1
    half = truth.copy()
    half[:, :, int(np.median(np.argwhere(truth)[:, 2])) :] = False
    middle = np.argwhere(truth & ~half).mean(0).round().astype(int)
    return half, tuple(middle.tolist())


def test_one_click_adds_what_a_proposal_missed(jobs, half):
    job, labels = jobs[3]
    start, middle = half
    found = _corrected(job, start, Point(middle, 1))
    assert dice(labels == 1, start) < 0.7
    assert dice(labels == 1, found) > 0.8


def test_a_stroke_adds_more_than_itself(jobs, half):
    job, labels = jobs[3]
    start, middle = half
    cube = np.argwhere(np.ones((3, 3, 3))) - 1 + np.array(middle)
    found = _corrected(job, start, Stroke(Mask.of_voxels(cube), 1))
    assert dice(labels == 1, found) > 0.8


def test_one_click_removes_what_spilled(jobs):
    job, labels = jobs[3]
    truth = labels == 1
    low, high = np.argwhere(truth).min(0), np.argwhere(truth).max(0)
    spilled = truth.copy()
    spilled[low[0] + 2 : high[0] - 1, high[1] - 4 : high[1] + 8, low[2] : low[2] + 10] = (
        True
    )
    voxel = (int((low[0] + high[0]) / 2), int(high[1]) + 4, int(low[2]) + 4)
    found = _corrected(job, spilled, Point(voxel, 1, include=False))
    assert not found[voxel]
    assert dice(truth, found) > dice(truth, spilled) + 0.05


def test_a_click_into_the_middle_of_a_proposal_confirms_it(jobs):
    job, labels = jobs[3]
    truth = labels == 1
    middle = tuple(np.argwhere(truth).mean(0).round().astype(int).tolist())
    heart = tuple(deepest(truth, job.volume.geometry.spacing, truth.shape).tolist())
    for voxel in (middle, heart):
        assert dice(truth, _corrected(job, truth, Point(voxel, 1))) > 0.9


def test_neighbours_that_all_agree_can_be_cut(jobs):
    model = _taught(jobs[:3], learner="knn")
    for lesson in model.header.lessons:
        assert lesson.mean_dice > 0.9


def test_exclusions_alone_keep_the_rest_of_a_proposal(jobs):
    job, labels = jobs[3]
    truth = labels == 1
    edge = tuple(np.argwhere(truth)[0].tolist())
    prompts = Prompts((Point(edge, 1, include=False),))
    answer = job.segment((LEGEND[0],), prompts, starts={1: Mask.of(truth)}) == 1
    assert not answer[edge]
    assert dice(truth, answer) > 0.85

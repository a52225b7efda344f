"""A model's file is whole, or refused with one line, however it was damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.errors import ModelError, WriteError
from napari_dinomed.io.atomic import stamp_of
from napari_dinomed.segment.one_object.looks import Basis
from napari_dinomed.taught.examples import Examples
from napari_dinomed.taught.header import KIND, Amount, Header, Lesson, Reading, Sight, Way
from napari_dinomed.taught.learners import LEARNERS
from napari_dinomed.taught.model import TaughtModel, read_model
from napari_dinomed.taught.settle import Told, settled
from napari_dinomed.taught.surroundings import PARTS
from napari_dinomed.taught.teach import Seen, merged
from napari_dinomed.volume import Window

CHANNELS, LOOKS, COUNT = 5, 8, 40
WAYS = (Way("knn", "looks"), Way("probe", "both"), Way("perceptron", "surroundings"))


@pytest.fixture(scope="module")
def model():
    """Two labels of two volumes, read in every way, of tokens that are made up."""
    sight = Sight("e", "e:1", (0,), Window(0.0, 1.0), "MR", (1.0, 1.0, 1.0))
    readings = tuple(Reading(way, 0.0, 1.0, (0.5, 0.5)) for way in WAYS)
    amounts = {0: Amount(30, 30.0), 1: Amount(20, 20.0)}
    lessons = tuple(Lesson(new_label(n), amounts, readings, 0.0, (0.5,)) for n in (1, 2))
    random = torch.Generator().manual_seed(0)
    numbers = torch.arange(COUNT, dtype=torch.int32)
    examples = Examples(
        torch.randn(COUNT, LOOKS, generator=random).half(),
        torch.randn(COUNT, PARTS, generator=random).half(),
        numbers % 3,
        numbers % 2,
        torch.ones(COUNT),
    )
    basis = Basis(torch.zeros(CHANNELS), torch.randn(CHANNELS, LOOKS, generator=random))
    told = Told.of(examples, lessons)
    learnt = {way: LEARNERS[way.learner].fit(*told.given(way)) for way in WAYS}
    header = Header(sight, 40.0, lessons, ("a", "b"))
    return TaughtModel(header, (basis,), examples, learnt)


def _damaged(model, path, change):
    """The file of a model whose header and tensors were changed."""
    model.write(path, stamp_of(path))
    header, tensors = json.loads(KIND.metadata(model.header)[KIND.key]), load_file(path)
    change(header, tensors)
    save_file(
        {name: one.contiguous() for name, one in tensors.items()},
        path,
        {KIND.key: json.dumps(header)},
    )
    return path


def _refused(path):
    with pytest.raises(ModelError, match=path.name) as raised:
        read_model(path)
    assert "\n" not in str(raised.value)


def test_a_whole_model_is_read(model, tmp_path):
    path = _damaged(model, tmp_path / "m.dinomed", lambda header, tensors: None)
    again = read_model(path)
    assert again.header == model.header
    assert again.to_bytes() == model.to_bytes()


HEADERS = {
    "no axis": lambda h: h["sight"].update(axes=[]),
    "a ninth axis": lambda h: h["sight"].update(axes=[9]),
    "an axis below 0": lambda h: h["sight"].update(axes=[-1]),
    "an axis twice": lambda h: h["sight"].update(axes=[0, 0]),
    "voxels of no size": lambda h: h["sight"].update(spacing=[0, 0, 0]),
    "voxels less than none": lambda h: h["sight"].update(spacing=[-1, 1, 1]),
    "pixels of no size": lambda h: h["sight"].update(pixel=0),
    "no length": lambda h: h.update(length=0),
    "a length without a third power": lambda h: h.update(length=1e200),
    "an infinite length": lambda h: h.update(length=float("inf")),
    "a window upside down": lambda h: h["sight"]["window"].update(low=9.0),
    "an endless window": lambda h: h["sight"]["window"].update(high=float("inf")),
    "no label": lambda h: h.update(lessons=[]),
    "a label twice": lambda h: h["lessons"][1].update(label=h["lessons"][0]["label"]),
    "a name twice": lambda h: h["lessons"][1]["label"].update(name="Label 1"),
    "a label that nothing reads": lambda h: h["lessons"][0].update(readings=[]),
    "a label of no volume": lambda h: h["lessons"][0].update(amounts={}),
    "an object of no size": lambda h: h["lessons"][0]["amounts"]["0"].update(size=0),
    "an object of no voxel": lambda h: h["lessons"][0]["amounts"]["0"].update(voxels=0),
    "fewer volumes": lambda h: h.update(cases=["a"]),
    "no volume": lambda h: h.update(cases=[]),
    "no spread": lambda h: h["lessons"][0]["readings"][0].update(spread=0),
    "a cut that is no number": lambda h: h["lessons"][0].update(cut=float("nan")),
    "an unknown learner": lambda h: h["lessons"][0]["readings"][0]["way"].update(
        learner=""
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_cannot_be_true_is_refused(model, tmp_path, name):
    change = HEADERS[name]
    _refused(_damaged(model, tmp_path / "m.dinomed", lambda header, _: change(header)))


EXAMPLES = {
    "another label": lambda t: t["examples.classes"].fill_(999),
    "no label": lambda t: t["examples.classes"].fill_(0),
    "another volume": lambda t: t["examples.cases"].fill_(999),
    "a volume below 0": lambda t: t["examples.cases"].fill_(-1),
    "one volume alone": lambda t: t["examples.cases"].fill_(0),
    "no weight": lambda t: t["examples.weights"].fill_(0),
    "labels between labels": lambda t: t.update(
        {"examples.classes": t["examples.classes"].float()}
    ),
    "none": lambda t: t.update(
        {name: one[:0] for name, one in t.items() if name.startswith("examples.")}
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_what_did_not_teach_are_refused(model, tmp_path, name):
    change = EXAMPLES[name]
    _refused(_damaged(model, tmp_path / "m.dinomed", lambda _, tensors: change(tensors)))


CUTS = {
    "missing": lambda one: None,
    "cut short": lambda one: one[:-1],
    "a single number": lambda one: one.flatten()[0],
    "an axis more": lambda one: one[None],
    "empty": lambda one: one[:0],
    "other numbers": lambda one: one.to(torch.float64),
}


@pytest.mark.parametrize("name", CUTS)
def test_every_tensor_is_looked_at(model, tmp_path, name):
    model.write(tmp_path / "m.dinomed")
    for key in load_file(tmp_path / "m.dinomed"):

        def change(_, tensors, key=key):
            changed = CUTS[name](tensors.pop(key))
            if changed is not None:
                tensors[key] = changed

        _refused(_damaged(model, tmp_path / "m.dinomed", change))


def test_no_number_may_be_none(model, tmp_path):
    for key in ("mean.0", "learnt.perceptron of surroundings.0.weight"):

        def change(_, tensors, key=key):
            tensors[key].view(-1)[-1] = float("nan")

        _refused(_damaged(model, tmp_path / "m.dinomed", change))


def test_tokens_of_another_length_are_refused(model):
    seen = Seen(model.header.sight, None, (), CHANNELS + 1, "c")
    with pytest.raises(ModelError, match=r"Expected tokens of 5 numbers.*got 6"):
        seen.described(model)


def test_models_of_other_planes_are_not_merged(model):
    sight = replace(model.header.sight, axes=(0, 1, 2))
    header = replace(model.header, sight=sight)
    other = replace(model, header=header, bases=model.bases * 3)
    with pytest.raises(ModelError, match="begun on different volumes"):
        merged(model, other)


def test_what_is_taught_anew_is_settled_anew(model):
    """Better figures of before do not keep what was read by then."""
    lessons = tuple(replace(one, dice=(1.0, 1.0)) for one in model.header.lessons)
    before = replace(model, header=replace(model.header, lessons=lessons))
    *_, complete = settled(before, "probe")
    assert {way.learner for way in complete.header.ways} == {"probe"}


def test_what_was_read_can_be_merged(model, tmp_path):
    path = tmp_path / "m.dinomed"
    model.write(path)
    other = replace(model, header=replace(model.header, cases=("c", "d")))
    since = stamp_of(path)
    joined = merged(read_model(path), other)
    *_, complete = settled(joined, "probe")
    complete.write(path, since)
    assert read_model(path).header.cases == ("a", "b", "c", "d")


def test_what_another_program_taught_meanwhile_is_not_replaced(model, tmp_path):
    path = tmp_path / "m.dinomed"
    model.write(path)
    since = stamp_of(path)
    other = replace(model, header=replace(model.header, cases=("c", "d")))
    with pytest.raises(WriteError, match="is there by now"):
        other.write(path)
    other.write(path, since)
    with pytest.raises(WriteError, match="changed by another program"):
        model.write(path, since)
    assert read_model(path).header.cases == ("c", "d")
    assert [one.name for one in tmp_path.iterdir()] == ["m.dinomed"]

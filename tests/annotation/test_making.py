"""Deeds: what a step changed is kept, and done again makes the same document."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from napari_dinomed.annotation.document import Claim, Document
from napari_dinomed.annotation.history import History
from napari_dinomed.annotation.labels import Meaning, State
from napari_dinomed.annotation.making import BLANK, Answer, Change, Features
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.annotation.proposals import with_proposals

SHAPE = (4, 8, 10)


def box(*sides):
    area = np.zeros(SHAPE, bool)
    area[tuple(slice(*side) for side in sides)] = True
    return Mask.of(area)


LEFT = box((0, 4), (1, 7), (0, 6))
RIGHT = box((1, 4), (2, 8), (4, 10))
STEPS = {
    "click": lambda d: d.with_prompt(Point((1, 3, 1), 1)),
    "answer": lambda d: d.answered(1, LEFT),
    "new label": lambda d: d.with_new_label(Meaning.ALL_LIKE_THIS),
    "click in it": lambda d: d.with_prompt(Point((2, 3, 5), 2)),
    "its answer": lambda d: d.answered(2, RIGHT),
    "stroke": lambda d: d.with_prompt(Stroke(box((0, 1), (0, 2), (7, 9)), 2)),
    "brush": lambda d: d.with_edit(box((3, 4), (0, 8), (0, 2)), 1),
    "eraser": lambda d: d.with_erasure(box((2, 3), (0, 8), (0, 10)), 2),
    "proposal": lambda d: with_proposals(d.with_new_label(), {3: box((0, 1))}),
    "lock": lambda d: d.with_label(replace(d.find(1), state=State.DONE)),
    "threshold": lambda d: replace(d, choices=replace(d.choices, threshold=0.7)),
    "take back a click": lambda d: d.with_prompts(d.prompts.without_label(2)),
    "remove": lambda d: d.without_label(2),
}


def test_every_kind_of_step_is_done_again():
    before = BLANK
    for name, step in STEPS.items():
        after = step(before)
        assert after != before, name
        change = Change.between(before, after, name)
        assert change.done_to(before) == after, name
        before = after


def test_every_part_of_a_document_is_kept():
    """A part that is added must be told of in a change, or it is lost when replayed."""
    apart = {"prompts": "said"}
    kept = {part.name for part in fields(Change)}
    for part in fields(Document):
        assert apart.get(part.name, part.name) in kept
    odd = replace(
        BLANK.with_new_label(),
        waiting=(2,),
        claims=(Claim(1, 2, (0, 0, 0)),),
        hand=LEFT,
        erased={1: LEFT},
        starts={2: RIGHT},
        masks={1: RIGHT},
        choices=replace(BLANK.choices, others=("x",)),
    )
    assert Change.between(BLANK, odd, "all").done_to(BLANK) == odd


def test_a_small_step_is_kept_small():
    """What it costs follows what was changed, not what is there."""
    large = Mask.of(np.ones((60, 200, 200), bool))
    document = Document.begun().with_edit(large, 1)
    dot = Mask.of(np.ones((1, 2, 2), bool), (30, 5, 5))
    change = Change.between(document, document.with_erasure(dot, 1), "eraser")
    assert change.masks[1].removed == dot
    assert change.masks[1].added.nbytes == 0


@pytest.fixture
def history():
    features = Features("filters", 0, 1)
    history = History(Document.begun())
    history = history.then(STEPS["click"](history.present), "click")
    history = history.then(STEPS["new label"](history.present), "new label")
    history = history.answered(1, LEFT, features)
    return history.then(STEPS["brush"](history.present), "brush")


def replayed(made):
    document = BLANK
    for deed in made:
        if isinstance(deed, Answer):
            document = document.answered(deed.label, LEFT)
        else:
            document = deed.done_to(document)
    return document


def test_wherever_undo_leads_the_making_leads_there_too(history):
    assert history.present.mask(1).count > LEFT.count
    while True:
        assert replayed(history.made) == history.present
        if not history.undoes:
            break
        history = history.undone()
    while history.redoes:
        history = history.redone()
        assert replayed(history.made) == history.present


def test_a_files_name_is_not_kept(history):
    named = history.then(STEPS["eraser"](history.present), "open Doe.json", "open a copy")
    assert named.undoes == "open Doe.json"
    assert "Doe" not in repr([step.text for step in named.made.since(())])

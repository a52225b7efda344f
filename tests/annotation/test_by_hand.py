"""A label given another shape as a whole, and what was painted on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.arranging import merged
from napari_dinomed.annotation.by_hand import paint_of, reshaped
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.history import History
from napari_dinomed.annotation.labels import MAX_LABEL, Meaning, State
from napari_dinomed.annotation.mask import EMPTY, Mask, union
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.errors import DocumentError

SHAPE = (4, 8, 9)


def box(*bounds) -> Mask:
    array = np.zeros(SHAPE, bool)
    array[tuple(slice(*pair) for pair in bounds)] = True
    return Mask.of(array)


LEFT, RIGHT = box((0, 4), (1, 7), (0, 4)), box((0, 4), (1, 7), (4, 9))
WHOLE = box((0, 4), (0, 8), (0, 9))
CORE = box((1, 3), (2, 5), (1, 3))


@pytest.fixture
def document():
    """Two labels side by side, each clicked and answered."""
    one = Document.begun().with_prompt(Point((1, 3, 1), 1)).answered(1, LEFT)
    return one.with_new_label().with_prompt(Point((1, 3, 7), 2)).answered(2, RIGHT)


@pytest.mark.parametrize("state", State)
def test_another_label_keeps_its_voxels(document, state):
    other = replace(document.find(2), state=state)
    wider = reshaped(document.with_label(other), 1, WHOLE)
    assert wider.mask(2) is document.mask(2)
    assert wider.mask(1) == WHOLE - RIGHT


def test_a_label_that_is_done_is_refused(document):
    locked = document.with_label(replace(document.find(1), state=State.DONE))
    with pytest.raises(DocumentError, match="done and locked"):
        reshaped(locked, 1, CORE)


def test_the_next_answer_keeps_what_was_made(document):
    """Neither comes back what was cut off, nor goes what was added."""
    wanted = CORE | (WHOLE - LEFT - RIGHT)
    made = reshaped(document, 1, wanted).with_prompt(Point((2, 3, 2), 1))
    assert made.answered(1, LEFT).mask(1) == wanted
    assert made.answered(1, EMPTY).mask(1) & wanted


def test_no_shape_changes_nothing(document):
    assert reshaped(document, 1, document.mask(1)) == document


def test_one_step_back_and_all_is_as_it_was_to_the_bit(document):
    history = History(document).then(reshaped(document, 1, CORE), "shrink spleen")
    assert history.undoes == "shrink spleen"
    assert history.present.mask(1) == CORE
    back = history.undone()
    assert back.present == document
    assert back.present.mask(1).to_bytes() == document.mask(1).to_bytes()
    assert back.redone().present == history.present


UPPER, LOWER = box((0, 2), (1, 3), (0, 4)), box((0, 2), (5, 7), (0, 4))


@pytest.fixture
def parted(document):
    """The left label, of which two parts became labels."""
    meant = replace(document.find(1), name="kidney", meaning=Meaning.ALL_LIKE_THIS)
    named = document.with_label(meant)
    return reshaped(named, 1, LEFT - UPPER - LOWER, (UPPER, LOWER))


def test_parts_become_labels_of_the_same_meaning_that_are_told_apart(parted):
    assert parted.mask(1) == LEFT - UPPER - LOWER
    assert (parted.mask(3), parted.mask(4)) == (UPPER, LOWER)
    made = parted.labels[-2:]
    assert [one.name for one in made] == ["kidney 2", "kidney 3"]
    assert {one.meaning for one in made} == {Meaning.ALL_LIKE_THIS}
    assert len({one.color for one in parted.labels}) == 4
    assert parted.mask(2) == RIGHT
    assert parted.prompts == Prompts((Point((1, 3, 1), 1), Point((1, 3, 7), 2)))


def test_parts_are_called_as_nothing_else_is(parted):
    again = reshaped(parted, 1, parted.mask(1) - CORE, (CORE,))
    assert again.labels[-1].name == "kidney 4"
    other = reshaped(again, 3, EMPTY, (UPPER,))
    assert other.labels[-1].name == "kidney 2 2"


def test_twenty_parts_have_twenty_colours(document):
    whole = Document.begun().answered(1, LEFT)
    parts = [Mask.of_voxels(voxel) for voxel in LEFT.voxels()[:19]]
    made = reshaped(whole, 1, LEFT - union(parts), parts)
    assert len({one.color for one in made.labels}) == 20


def test_no_answer_takes_from_a_part_or_brings_it_back(parted):
    answered = parted.with_prompt(Point((2, 3, 2), 1)).answered(1, LEFT)
    assert answered.mask(1) == parted.mask(1)
    assert answered.mask(3) == UPPER
    answered = parted.with_prompt(Point((1, 2, 2), 3)).answered(3, CORE)
    assert answered.mask(3) == UPPER | (CORE - parted.mask(1))


def test_parts_merged_again_give_the_label_back(document):
    parts = (UPPER, LOWER)
    parted = reshaped(document, 1, LEFT - UPPER - LOWER, parts)
    whole = merged(merged(parted, 3, 1), 4, 1)
    assert whole.mask(1) == LEFT
    assert whole.labels == document.labels


def test_there_may_be_no_number_left_for_a_part(document):
    full = replace(document, next_id=MAX_LABEL + 1)
    with pytest.raises(DocumentError, match="counts its labels up to"):
        reshaped(full, 1, LEFT - UPPER, (UPPER,))


def test_paint_is_what_a_hand_added_and_took_away(document):
    painted, erased = box((0, 4), (0, 1), (0, 4)), box((0, 1), (1, 7), (0, 2))
    made = document.with_edit(painted, 1).with_erasure(erased, 1)
    assert paint_of(made, 1) == (painted, erased)
    assert paint_of(made, 2) == (EMPTY, EMPTY)


def test_paint_that_a_stroke_says_is_none(document):
    """Nor is what was rubbed out for the sake of another label's stroke."""
    painted, erased = box((0, 4), (0, 1), (0, 4)), box((1, 2), (1, 7), (0, 3))
    made = document.with_edit(painted, 1).with_erasure(erased, 1)
    said = made.with_prompt(Stroke(painted, 1)).with_prompt(Stroke(erased, 2))
    assert paint_of(said, 1) == (EMPTY, EMPTY)

"""A label given another shape as a whole, and what was painted on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.by_hand import paint_of, reshaped
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.history import History
from napari_dinomed.annotation.labels import State
from napari_dinomed.annotation.mask import EMPTY, Mask
from napari_dinomed.annotation.prompts import Point, Stroke
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

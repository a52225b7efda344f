"""A label given another shape as a whole, and paint that teaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.by_hand import reshaped, taught_by_paint
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
    with pytest.raises(DocumentError, match="done and locked"):
        taught_by_paint(locked, 1)


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


def test_paint_and_erasure_become_strokes(document):
    painted, erased = box((0, 4), (0, 1), (0, 4)), box((0, 1), (1, 7), (0, 2))
    made = document.with_edit(painted, 1).with_erasure(erased, 1)
    taught = taught_by_paint(made, 1)
    assert taught.prompts.strokes == (Stroke(painted, 1), Stroke(erased, 1, False))
    assert taught.waiting == (1,)
    assert taught.mask(1) == made.mask(1)
    assert taught.hand == made.hand
    assert taught.erased == made.erased
    assert taught.answered(1, WHOLE).mask(1) == WHOLE - RIGHT - erased


def test_paint_teaches_once(document):
    painted, more = box((0, 4), (0, 1), (0, 4)), box((0, 4), (7, 8), (0, 4))
    taught = taught_by_paint(document.with_edit(painted, 1), 1).answered(1, LEFT)
    with pytest.raises(DocumentError, match="Nothing was painted on Label 1"):
        taught_by_paint(taught, 1)
    again = taught_by_paint(taught.with_edit(more, 1), 1)
    assert again.prompts.strokes == (Stroke(painted, 1), Stroke(more, 1))


def test_strokes_of_another_label_stay(document):
    """What was rubbed out for the other label's sake is that one's stroke already."""
    part = box((1, 2), (1, 7), (0, 3))
    made = document.with_erasure(part, 1).with_prompt(Stroke(part, 2))
    with pytest.raises(DocumentError, match="Nothing was painted"):
        taught_by_paint(made, 1)
    made = made.with_erasure(box((3, 4), (1, 7), (0, 3)), 1)
    taught = taught_by_paint(made, 1)
    assert Stroke(part, 2) in taught.prompts.strokes


def test_nothing_painted_is_said(document):
    with pytest.raises(DocumentError, match="Nothing was painted on Label 1"):
        taught_by_paint(document, 1)

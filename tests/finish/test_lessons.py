"""Paint that teaches: clicks for one object, strokes for all alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import Meaning, State
from napari_dinomed.annotation.mask import EMPTY, Mask
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.errors import DocumentError
from napari_dinomed.finish.lessons import taught_by_paint

SHAPE, SPACING = (8, 30, 40), (3.0, 1.0, 1.0)


def box(*bounds) -> Mask:
    array = np.zeros(SHAPE, bool)
    array[tuple(slice(*pair) for pair in bounds)] = True
    return Mask.of(array)


FOUND = box((1, 7), (5, 25), (5, 20))
ADDED, ERASED = box((3, 4), (8, 17), (20, 31)), box((5, 6), (10, 15), (6, 11))
RIM, SPECK = box((2, 3), (4, 5), (5, 20)), box((3, 4), (27, 29), (30, 33))


def corrected(meaning=Meaning.OBJECT, added=ADDED, erased=ERASED):
    """A label that was clicked on, answered, and put right by hand."""
    document = Document.begun(meaning).with_prompt(Point((4, 15, 10), 1))
    document = document.answered(1, FOUND)
    return document.with_edit(added, 1).with_erasure(erased, 1)


def test_an_object_is_told_by_clicks_in_the_middle_of_what_was_corrected():
    made = corrected()
    taught = taught_by_paint(made, 1, SPACING)
    new = taught.prompts.all[1:]
    assert new == (Point((3, 12, 24), 1), Point((5, 12, 8), 1, include=False))
    assert taught.waiting == (1,)


def test_what_a_hand_set_stays_whatever_is_answered():
    made = corrected()
    taught = taught_by_paint(made, 1, SPACING).answered(1, FOUND)
    assert taught.mask(1) & ADDED == ADDED
    assert taught.mask(1) & ERASED == EMPTY


def test_an_outline_put_right_is_no_lesson():
    both = taught_by_paint(corrected(added=ADDED | RIM | SPECK), 1, SPACING)
    assert [point.voxel[0] for point in both.prompts.points[1:]] == [3, 5]
    with pytest.raises(DocumentError, match="not its outline alone"):
        taught_by_paint(corrected(added=RIM, erased=SPECK), 1, SPACING)


def test_the_largest_three_parts_teach():
    squares = [
        box((z, z + 1), (0, side), (21, 21 + side))
        for z, side in ((1, 5), (3, 9), (5, 7), (7, 6))
    ]
    added = squares[0] | squares[1] | squares[2] | squares[3]
    taught = taught_by_paint(corrected(added=added, erased=EMPTY), 1, SPACING)
    assert [point.voxel[0] for point in taught.prompts.points[1:]] == [3, 5, 7]


def test_a_part_teaches_once():
    taught = taught_by_paint(corrected(), 1, SPACING).answered(1, FOUND)
    with pytest.raises(DocumentError, match="teaches anything new"):
        taught_by_paint(taught, 1, SPACING)


def test_of_all_alike_every_voxel_is_an_example():
    taught = taught_by_paint(corrected(Meaning.ALL_LIKE_THIS), 1, SPACING)
    assert taught.prompts.strokes == (Stroke(ADDED, 1), Stroke(ERASED, 1, include=False))
    with pytest.raises(DocumentError, match="teaches anything new"):
        taught_by_paint(taught.answered(1, FOUND), 1, SPACING)


def test_a_label_that_is_done_learns_nothing():
    made = corrected()
    done = made.with_label(replace(made.find(1), state=State.DONE))
    with pytest.raises(DocumentError, match="done and locked"):
        taught_by_paint(done, 1, SPACING)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dinomed.segment.prompts import Meaning, Point, Prompts
from napari_dinomed.session.state import Annotation, History

ONE = Annotation().with_new_label(Meaning.OBJECT)


def test_new_labels_take_free_numbers_names_and_colours():
    three = ONE.with_new_label(Meaning.OBJECT).with_new_label(Meaning.ALL_LIKE_THIS)
    assert [label.id for label in three.labels] == [1, 2, 3]
    assert len({label.color for label in three.labels}) == 3
    again = three.without_label(2).with_new_label(Meaning.OBJECT)
    assert [label.id for label in again.labels] == [1, 3, 2]


def test_a_label_goes_with_its_prompts():
    two = ONE.with_new_label(Meaning.OBJECT).with_points(
        (Point((0, 0, 0), 1), Point((0, 0, 1), 2))
    )
    assert two.without_label(1).prompts == Prompts((Point((0, 0, 1), 2),))


def test_finding_a_label_that_is_not_there():
    with pytest.raises(KeyError):
        ONE.find(2)


@given(st.lists(st.sampled_from(["do", "undo", "redo"]), max_size=30))
def test_undo_and_redo_walk_all_levels(steps):
    """The history behaves as two stacks do, however far back."""
    history, undone, redone = History(), [], []
    present = history.present
    for number, step in enumerate(steps):
        if step == "do":
            changed = present.with_points(
                (*present.prompts.points, Point((0, 0, number), 1))
            )
            history = history.then(changed)
            undone.append(present)
            redone.clear()
            present = changed
        elif step == "undo":
            history = history.undone()
            if undone:
                redone.append(present)
                present = undone.pop()
        else:
            history = history.redone()
            if redone:
                undone.append(present)
                present = redone.pop()
        assert history.present == present


def test_a_change_that_changes_nothing_is_no_step():
    history = History().then(ONE)
    assert history.then(ONE) is history

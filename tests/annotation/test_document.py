"""Who may change a voxel, and that a document is always one that can be saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from napari_dinomed.annotation.arranging import merged
from napari_dinomed.annotation.by_hand import reshaped
from napari_dinomed.annotation.continuing import continued_from
from napari_dinomed.annotation.document import Claim, Document
from napari_dinomed.annotation.fitting import require_fits
from napari_dinomed.annotation.history import History
from napari_dinomed.annotation.labels import Meaning, State
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.annotation.proposals import with_proposals
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.errors import DocumentError, PromptError
from napari_dinomed.finish.lessons import taught_by_paint
from napari_dinomed.volume import NamedLabel

SHAPE = (4, 8, 9)


def box(*bounds) -> Mask:
    array = np.zeros(SHAPE, bool)
    array[tuple(slice(*pair) for pair in bounds)] = True
    return Mask.of(array)


LEFT = box((0, 4), (1, 7), (0, 5))
RIGHT = box((0, 4), (1, 7), (3, 9))
IN_LEFT, IN_RIGHT, IN_BOTH = (1, 3, 1), (1, 3, 7), (1, 3, 4)


def region(label, role=Role.INSIDE) -> Region:
    return Region(((0, 0), (0, 5), (7, 5), (7, 0)), 0, (0, 4), 1, label, role)


def clicked(document, voxel, label, include=True):
    return document.with_prompt(Point(voxel, label, include))


@pytest.fixture
def spleen():
    """One label, clicked and answered."""
    return clicked(Document.begun(), IN_LEFT, 1).answered(1, LEFT)


@pytest.fixture
def two(spleen):
    """A second label beside it, whose answer reaches into the first."""
    return clicked(spleen.with_new_label(), IN_RIGHT, 2).answered(2, RIGHT)


def test_a_click_is_seen_at_once_and_waits_for_its_answer():
    document = clicked(Document.begun(), IN_LEFT, 1)
    assert document.mask(1) == Mask.of_voxels(np.array([IN_LEFT]))
    assert document.waiting == (1,)
    answered = document.answered(1, LEFT)
    assert answered.mask(1) == LEFT
    assert answered.waiting == ()


def test_an_answer_changes_its_label_alone(spleen, two):
    assert two.mask(1) is spleen.mask(1)
    assert two.mask(2) == RIGHT - LEFT


def test_another_label_gives_way_where_it_is_clicked(spleen):
    document = clicked(spleen.with_new_label(), IN_BOTH, 2)
    assert document.claims == (Claim(2, 1, IN_BOTH),)
    document = document.answered(2, RIGHT)
    assert document.mask(2) == RIGHT
    assert document.mask(1) == LEFT - RIGHT
    assert document.claims == ()
    later = clicked(document, IN_RIGHT, 2).answered(2, RIGHT | LEFT)
    assert later.mask(1) is document.mask(1)


def test_only_the_part_that_was_clicked_gives_way(spleen):
    """Of two parts that lie in the other label, the one without a click stays."""
    near, far = box((1, 2), (3, 4), (4, 5)), box((3, 4), (6, 7), (0, 2))
    document = clicked(spleen.with_new_label(), IN_BOTH, 2).answered(2, near | far)
    assert document.mask(2) == near
    assert document.mask(1) == LEFT - near


def test_a_click_taken_away_claims_nothing(spleen):
    document = clicked(spleen.with_new_label(), IN_BOTH, 2)
    document = clicked(document, IN_RIGHT, 2)
    document = document.with_prompts(
        document.prompts.without_points(lambda point: point.voxel == IN_BOTH)
    )
    assert document.claims == ()
    one = document.answered(2, RIGHT).mask(1)
    assert one == LEFT - Mask.of_voxels(np.array([IN_BOTH]))


def test_undo_gives_the_neighbour_back_to_the_bit(spleen):
    history = History(spleen)
    history = history.then(spleen.with_new_label(), "new label")
    document = clicked(history.present, IN_BOTH, 2)
    history = history.then(document, "1st click").answered(2, RIGHT)
    assert history.present.mask(1) != LEFT
    assert history.undone().present.masks == spleen.masks
    assert history.undone().redone().present == history.present


def test_what_a_hand_has_set_no_answer_changes(two):
    hole, extra = box((1, 2), (2, 4), (1, 3)), box((0, 1), (0, 1), (0, 9))
    document = two.with_erasure(hole, 1).with_edit(extra, 1)
    for label, answer in ((1, LEFT), (2, RIGHT | extra), (1, box((0, 1)))):
        document = clicked(document, (3, 6, 1 if label == 1 else 8), label)
        document = document.answered(label, answer)
        result = document.labels_of(SHAPE)
        assert (result[tuple(hole.voxels().T)] == 0).all()
        assert (result[tuple(extra.voxels().T)] == 1).all()


def test_what_was_erased_from_one_label_another_may_have(spleen):
    """A leak is rubbed out, and the organ that it leaked into is clicked."""
    leak = box((0, 4), (1, 7), (3, 5))
    document = spleen.with_erasure(leak, 1).with_new_label()
    document = clicked(document, IN_BOTH, 2).answered(2, RIGHT)
    assert document.mask(2) == RIGHT
    document = clicked(document, (3, 6, 1), 1).answered(1, LEFT)
    assert document.mask(1) == LEFT - leak
    assert not document.without_label(2).mask(2)


def test_what_was_erased_comes_back_where_it_is_clicked(spleen):
    near, far = box((0, 2), (1, 3), (1, 2)), box((0, 2), (6, 7), (1, 2))
    document = spleen.with_erasure(near, 1).with_erasure(far, 1)
    document = clicked(document, (0, 2, 1), 1).answered(1, LEFT)
    assert document.mask(1) == LEFT - far


def test_a_mark_lasts_as_long_as_its_prompt(two):
    """It is no work of the hand, even on what a hand had painted."""
    painted = box((3, 4), (1, 3), (1, 3))
    document = two.with_edit(painted, 1)
    stroked = document.with_prompt(Stroke(painted, 2)).answered(2, RIGHT | painted)
    assert stroked.mask(2) & painted == painted
    gone = stroked.with_prompts(stroked.prompts.unpainted(painted)).answered(2, RIGHT)
    assert not gone.mask(2) & painted


def test_strokes_of_what_is_done_stay():
    document = Document.begun().with_prompt(Stroke(LEFT, 1, include=True))
    document = document.answered(1, box((0, 1), (0, 1), (0, 1)))
    done = replace(document.find(1), state=State.DONE)
    document = document.with_label(done).with_new_label()
    document = document.with_prompt(Stroke(RIGHT, 2))
    assert document.prompts.strokes[0].mask == LEFT


def test_choices_take_nothing_from_a_label_without_prompts(two):
    painted = two.with_prompts(two.prompts.without_label(1)).with_edit(LEFT, 1)
    assert painted.asking(1).mask(1) == painted.mask(1)


def test_a_new_object_eats_no_finished_one_and_undo_gives_the_neighbour_back():
    """Open or done; and what was claimed of an open one comes back, voxel by voxel."""
    one = clicked(Document.begun(), IN_LEFT, 1).answered(1, LEFT)
    for state in State:
        known = replace(one.find(1), state=state)
        kept = one.with_label(known).with_new_label()
        grown = clicked(kept, IN_RIGHT, 2).answered(2, LEFT | RIGHT)
        assert grown.mask(1) is kept.mask(1)
        assert grown.mask(2) == RIGHT - LEFT
    history = History(one.with_new_label())
    history = history.then(clicked(history.present, IN_BOTH, 2), "click")
    history = history.answered(2, RIGHT)
    assert history.present.mask(1) == LEFT - RIGHT
    assert history.undone().present.mask(1) == LEFT


def test_a_label_that_is_done_changes_for_nobody(two):
    done = two.with_label(replace(two.find(1), state=State.DONE))
    for act in (
        lambda: clicked(done, IN_RIGHT, 1),
        lambda: clicked(done, IN_LEFT, 2),
        lambda: done.without_label(1),
        lambda: done.with_edit(RIGHT, 1),
        lambda: done.with_prompt(region(1)),
        lambda: done.with_prompt(region(2, Role.INCLUDE)),
        lambda: reshaped(done, 1, RIGHT),
        lambda: merged(done, 1, 2),
        lambda: merged(done, 2, 1),
        lambda: taught_by_paint(done, 1, (1.0, 1.0, 1.0)),
        lambda: done.with_prompts(Prompts()),
    ):
        with pytest.raises(DocumentError, match="done and locked"):
            act()
    assert done.with_edit(LEFT | RIGHT, 2).mask(1) is two.mask(1)
    assert done.with_erasure(LEFT | RIGHT, 2).mask(1) is two.mask(1)
    assert clicked(done, IN_RIGHT, 2).answered(2, LEFT | RIGHT).mask(1) is two.mask(1)
    assert clicked(done, IN_LEFT, 2, include=False).mask(1) is two.mask(1)
    assert reshaped(done, 2, LEFT | RIGHT).mask(1) is two.mask(1)
    assert with_proposals(done, {1: RIGHT, 2: LEFT | RIGHT}).mask(1) is two.mask(1)
    assert done.with_prompt(region(2, Role.EXCLUDE)).mask(1) is two.mask(1)


def test_removing_a_label_removes_its_voxels_and_grows_no_other(two):
    document = two.without_label(1)
    assert document.mask(2) is two.mask(2)
    assert not (document.labels_of(SHAPE) == 1).any()
    assert not document.prompts.of(1)


def test_numbers_are_never_given_again(two):
    document = two.without_label(2).with_new_label()
    assert [label.id for label in document.labels] == [1, 3]
    alone = document.without_label(1).without_label(3)
    assert [label.id for label in alone.labels] == [4]
    assert not alone.masks


def test_there_is_no_document_without_a_label():
    with pytest.raises(DocumentError, match="Expected labels"):
        Document(())
    with pytest.raises(DocumentError, match="Expected labels"):
        replace(Document.begun(), next_id=1)


def test_taking_the_last_included_click_back_takes_its_answer_but_not_the_hand(spleen):
    painted = box((0, 1), (0, 1), (0, 3))
    document = spleen.with_edit(painted, 1).with_prompts(Prompts())
    assert document.waiting == ()
    assert document.mask(1) == painted


def test_excluding_marks_the_voxel_at_once(spleen):
    document = clicked(spleen, IN_LEFT, 1, include=False)
    assert IN_LEFT not in document.mask(1)
    assert document.waiting == (1,)


def test_the_label_clicked_last_is_answered_first(two):
    document = clicked(clicked(two, (0, 2, 2), 1), (0, 2, 8), 2)
    assert document.waiting == (2, 1)


def test_strokes_do_not_overlap():
    document = Document.begun().with_prompt(Stroke(LEFT, 1))
    document = document.with_prompt(Stroke(RIGHT, 1, include=False))
    first, second = document.prompts.strokes
    assert first.mask == LEFT - RIGHT
    assert second.mask == RIGHT


def test_labels_from_elsewhere_are_a_start_that_clicks_only_add_to():
    labels = np.zeros(SHAPE, np.int64)
    labels[1:3, 2:5, 2:5] = 7
    labels[0, 0, 0] = 3
    legend = (
        NamedLabel(7, "liver", (1.0, 0.5, 0.0)),
        NamedLabel(9, "gone", (0.0, 0.0, 1.0)),
    )
    document = continued_from(Document.begun(Meaning.OBJECT), labels, legend)
    assert [(label.id, label.name) for label in document.labels] == [
        (3, "Label 3"),
        (7, "liver"),
        (9, "gone"),
    ]
    assert document.next_id == 10
    np.testing.assert_array_equal(document.labels_of(SHAPE), labels)
    after = clicked(document, (3, 7, 8), 7).answered(7, box((3, 4), (6, 8), (7, 9)))
    assert (after.labels_of(SHAPE)[labels == 7] == 7).all()
    assert after.mask(7).count == document.mask(7).count + 4


@pytest.mark.parametrize(
    "labels", [np.zeros(SHAPE, int), np.full(SHAPE, -1), np.full(SHAPE, 10**5)]
)
def test_labels_that_cannot_be_continued_from(labels):
    with pytest.raises(DocumentError, match="Expected labels from 1"):
        continued_from(Document.begun(), labels, ())


def test_a_document_of_another_grid(two):
    require_fits(two, SHAPE)
    with pytest.raises(DocumentError, match="another grid"):
        require_fits(two, (4, 8, 8))
    with pytest.raises(PromptError, match="outside"):
        require_fits(clicked(Document.begun(), (9, 0, 0), 1).answered(1, LEFT), SHAPE)
    with pytest.raises(DocumentError, match="does not have"):
        require_fits(replace(two, masks={5: LEFT}), SHAPE)
    with pytest.raises(DocumentError, match="same voxels"):
        require_fits(replace(two, masks={1: LEFT, 2: RIGHT}), SHAPE)


def test_an_answer_is_taken_by_all_that_wait_for_it(two):
    """Undoing what came after a click does not take the click's answer back."""
    asked = clicked(two, (0, 2, 8), 2)
    history = History(two).then(asked, "click")
    history = history.then(asked.with_new_label(), "new label").answered(2, RIGHT | LEFT)
    back = history.undone()
    assert back.present.waiting == ()
    assert back.present.mask(2) == history.present.mask(2)
    assert back.undone().present is two


def test_no_step_for_no_change(two):
    history = History(two)
    assert history.then(two, "nothing") is history
    assert history.undone() is history
    assert history.redone() is history
    assert history.undoes == history.redoes == ""


def test_steps_have_names(two):
    history = History(two).then(two.with_new_label(), "new label")
    assert history.undoes == "new label"
    assert history.undone().redoes == "new label"


voxels = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
areas = st.builds(
    lambda a, b: box(*((min(p), max(p) + 1) for p in zip(a, b, strict=True))),
    voxels,
    voxels,
)
numbers = st.integers(0, 3)


class Editing(RuleBasedStateMachine):
    """Any acts in any order: masks never overlap, hand and locks hold, undo is exact."""

    def __init__(self):
        super().__init__()
        self.history = History(Document.begun())

    @property
    def document(self):
        return self.history.present

    def pick(self, number):
        labels = self.document.labels
        return labels[number % len(labels)].id

    def step(self, make):
        before = self.document
        try:
            after = make(before)
        except (DocumentError, PromptError):
            return before
        for label in before.labels:
            if label.is_done and after.has(label.id):
                assert after.mask(label.id) == before.mask(label.id)
        self.history = self.history.then(after, "step")
        if after != before:
            assert self.history.undone().present is before
        return before

    @rule(number=numbers, voxel=voxels, include=st.booleans())
    def click(self, number, voxel, include):
        label = self.pick(number)
        self.step(lambda d: d.with_prompt(Point(voxel, label, include)))

    @rule(number=numbers, area=areas, include=st.booleans())
    def scribble(self, number, area, include):
        label = self.pick(number)
        self.step(lambda d: d.with_prompt(Stroke(area, label, include)))

    @precondition(lambda self: self.document.waiting)
    @rule(answer=areas, other=areas)
    def answer(self, answer, other):
        label, before = self.document.waiting[0], self.document
        claimed = {claim.other for claim in before.claims if claim.label == label}
        after = before.answered(label, answer | other)
        for known in before.labels:
            if known.id != label and known.id not in claimed:
                assert after.mask(known.id) == before.mask(known.id)
        own = before.mask(label) & before.hand
        assert after.mask(label) & before.hand == own
        erased = before.erased.get(label)
        assert erased is None or not after.mask(label) & erased
        found = after.mask(label) - after.hand
        assert before.prompts.allowed(found, label) == found
        self.history = self.history.answered(label, answer | other)
        assert self.document == after

    @rule(number=numbers, area=areas, role=st.sampled_from(Role), through=st.booleans())
    def draw(self, number, area, role, through):
        label = self.pick(number)
        z, (rows, columns) = area.box[0].start, area.box[1:]
        (a, b), (c, d) = ((part.start, part.stop) for part in (rows, columns))
        outline = ((a, c), (a, d), (b, d), (b, c))
        span = (0, SHAPE[0]) if through else (z, z + 1)
        region = Region(outline, 0, span, z, label, role)
        self.step(lambda d: d.with_prompt(region))

    @rule(number=numbers)
    def take_back_all_that_was_said(self, number):
        label = self.pick(number)
        self.step(lambda d: d.with_prompts(d.prompts.without(lambda p: p.label == label)))

    @rule(number=numbers, area=areas)
    def finish(self, number, area):
        label = self.pick(number)
        self.step(lambda d: reshaped(d, label, area))

    @rule(number=numbers, area=areas)
    def propose(self, number, area):
        label = self.pick(number)
        self.step(lambda d: with_proposals(d, {label: area}))

    @rule(number=numbers, other=numbers)
    def merge(self, number, other):
        label, into = self.pick(number), self.pick(other)
        self.step(lambda d: merged(d, label, into))

    @rule(number=numbers)
    def teach(self, number):
        label = self.pick(number)
        self.step(lambda d: taught_by_paint(d, label, (2.0, 1.0, 1.0)))

    @rule(number=numbers, area=areas, erase=st.booleans())
    def edit(self, number, area, erase):
        label = self.pick(number)
        self.step(
            lambda d: d.with_erasure(area, label) if erase else d.with_edit(area, label)
        )

    @rule()
    def add(self):
        before = self.step(lambda d: d.with_new_label())
        assert self.document.labels[-1].id == before.next_id

    @rule(number=numbers)
    def remove(self, number):
        label = self.pick(number)
        self.step(lambda d: d.without_label(label))

    @rule(number=numbers)
    def lock(self, number):
        known = self.document.find(self.pick(number))
        state = State.OPEN if known.is_done else State.DONE
        self.step(lambda d: d.with_label(replace(known, state=state)))

    @rule()
    def undo_and_redo(self):
        now = self.history
        assert now.undone().redone() == now or not now.past

    @rule()
    def undo(self):
        self.history = self.history.undone()

    @invariant()
    def it_can_be_saved(self):
        require_fits(self.document, SHAPE)

    @invariant()
    def figures_are_of_the_result(self):
        result = self.document.labels_of(SHAPE)
        for label in self.document.labels:
            assert (result == label.id).sum() == self.document.mask(label.id).count


Editing.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestEditing = Editing.TestCase

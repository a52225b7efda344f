"""Boxes and lassos: what they hold, what they forbid, and who may gainsay them."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.fitting import require_fits
from napari_dinomed.annotation.history import History
from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.annotation.region import Region, Role, held_by
from napari_dinomed.errors import PromptError

SHAPE = (6, 10, 12)
WHOLE = tuple(slice(0, n) for n in SHAPE)
LASSO = ((0.2, 1.0), (7.4, 2.1), (8.8, 9.0), (2.5, 6.3))


def rectangle(rows, columns):
    (a, b), (c, d) = rows, columns
    return ((a - 0.5, c - 0.5), (a - 0.5, d - 0.5), (b - 0.5, d - 0.5), (b - 0.5, c - 0.5))


def region(role=Role.INSIDE, axis=0, span=None, outline=None, label=1):
    span = span or (0, SHAPE[axis])
    return Region(outline or rectangle((2, 7), (3, 9)), axis, span, span[0], label, role)


def everything():
    return Mask.of(np.ones(SHAPE, bool))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("outline", [rectangle((1, 5), (2, 6)), LASSO])
def test_what_it_holds_is_a_prism_along_its_axis(axis, outline):
    whole = region(axis=axis, outline=outline, span=(1, 4)).mask.array(WHOLE)
    sides = [n for other, n in enumerate(SHAPE) if other != axis]
    plane = held_by(outline, (slice(0, sides[0]), slice(0, sides[1])))
    assert plane.any()
    assert not plane.all()
    for index, part in enumerate(np.moveaxis(whole, axis, 0)):
        np.testing.assert_array_equal(part, plane if 1 <= index < 4 else plane & False)


def test_outlines_side_by_side_share_no_pixel_and_miss_none():
    left, right = (
        ((0, 0), (9, 0), (6, 5), (0, 4)),
        ((0, 4), (6, 5), (9, 0), (9, 11), (0, 11)),
    )
    box = (slice(0, 9), slice(0, 11))
    np.testing.assert_array_equal(held_by(left, box) ^ held_by(right, box), True)


@pytest.mark.parametrize("role", [Role.EXCLUDE, Role.INSIDE])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_it_forbids(role, axis):
    """All of it, or in its slices all the rest; asked of a box, a mask, or voxels."""
    limit = region(role, axis, span=(1, 4), outline=LASSO)
    held = limit.mask.array(WHOLE)
    slices = np.zeros(SHAPE, bool)
    np.moveaxis(slices, axis, 0)[1:4] = True
    expected = held if role is Role.EXCLUDE else slices & ~held
    part = (slice(1, 5), slice(2, 9), slice(3, 12))
    np.testing.assert_array_equal(limit.forbidden(part), expected[part])
    np.testing.assert_array_equal(limit.cut(everything()).array(WHOLE), ~expected)
    voxels = np.argwhere(np.ones(SHAPE))
    np.testing.assert_array_equal(limit.forbidden_at(voxels), expected.ravel())


def test_every_plane_shows_it_where_it_is():
    limit = region(axis=0, outline=LASSO, span=(1, 4))
    held = limit.mask.array(WHOLE)
    for axis, length in enumerate(SHAPE):
        for index in range(length):
            sides = [slice(0, n) for other, n in enumerate(SHAPE) if other != axis]
            seen = np.zeros([side.stop for side in sides], bool)
            for outline in limit.seen_in(axis, index):
                seen ^= held_by(tuple(map(tuple, outline)), (sides[0], sides[1]))
            np.testing.assert_array_equal(seen, held.take(index, axis))


def test_what_a_label_is_inside_of_is_drawn_anew_and_narrowed_along_other_axes():
    first, second = region(), region(outline=rectangle((3, 6), (4, 8)))
    across = region(axis=1, outline=rectangle((1, 4), (2, 10)))
    prompts = Prompts((Point((2, 4, 5), 1),)).plus(first).plus(second).plus(across)
    assert prompts.regions == (second, across)
    left = prompts.allowed(everything(), 1).array(WHOLE)
    expected = np.zeros(SHAPE, bool)
    expected[1:4, 3:6, 4:8] = True
    np.testing.assert_array_equal(left, expected)
    assert prompts.allowed(everything(), 2) == everything()


@pytest.mark.parametrize(
    "said",
    [
        (Point((2, 0, 0), 1), region()),
        (region(), Point((2, 0, 0), 1)),
        (region(Role.EXCLUDE), Point((2, 3, 4), 1)),
        (region(), Stroke(Mask.of_voxels(np.array([[2, 0, 0]])), 1)),
        (region(), region(Role.INCLUDE, outline=rectangle((0, 2), (0, 2)))),
    ],
)
def test_what_is_included_beyond_its_region_is_refused(said):
    document = Document.begun().with_prompt(said[0])
    with pytest.raises(PromptError, match="Delete"):
        document.with_prompt(said[1])


def test_a_stroke_counts_as_far_as_it_lies_inside():
    stroke = Stroke(Mask.of(np.ones((1, 10, 12), bool), (2, 0, 0)), 1)
    document = Document.begun().with_prompt(region()).with_prompt(stroke)
    inside = region().mask.array(WHOLE)
    inside[[0, 1, 3, 4, 5]] = False
    np.testing.assert_array_equal(document.mask(1).array(WHOLE), inside)
    _, painted = document.prompts.marks_for(1)
    assert len(painted) == inside.sum()
    assert painted.belongs.all()


@pytest.mark.parametrize("role", list(Role))
def test_it_holds_at_once_and_undo_takes_it_back(role):
    begun = Document.begun().with_prompt(Point((2, 4, 5), 1)).answered(1, everything())
    said = region(role, span=(3, 6))
    history = History(begun).then(begun.with_prompt(said), "region")
    now, forbidden = history.present, said.forbidden(WHOLE)
    np.testing.assert_array_equal(now.mask(1).array(WHOLE), ~forbidden)
    assert now.waiting == (1,)
    # An answer that knows nothing of it is cut, too.
    now = now.answered(1, everything())
    np.testing.assert_array_equal(now.mask(1).array(WHOLE), ~forbidden)
    assert history.undone().present == begun


def test_it_is_enough_to_look_for_one_object():
    """All that look alike could be anything in it."""
    for meaning in Meaning:
        document = Document.begun(meaning).with_prompt(region())
        assert bool(document.waiting) is (meaning is Meaning.OBJECT)
        require_fits(document, SHAPE)


def test_what_is_not_in_the_volume_is_refused():
    beyond = [
        region(span=(0, 7)),
        region(span=(2, 2)),
        region(outline=rectangle((20, 30), (3, 9))),
        region(outline=((1.1, 1.1), (1.1, 1.4), (1.4, 1.4))),
    ]
    for one in beyond:
        with pytest.raises(PromptError, match="holds voxels"):
            Prompts((one,)).require_inside(SHAPE)
    Prompts((region(), region(outline=rectangle((-5, 7), (3, 99))))).require_inside(SHAPE)


def test_json_round_trip_and_what_is_damaged():
    adapter = TypeAdapter(Prompts)
    prompts = Prompts((Point((1, 1, 1), 1), region(), region(Role.EXCLUDE, 2)))
    data = adapter.dump_json(prompts)
    assert adapter.validate_json(data) == prompts
    for right, wrong in (("inside", "beside"), ("1.5", "NaN"), ("1.5", "1e300")):
        with pytest.raises(ValidationError):
            adapter.validate_json(data.decode().replace(right, wrong, 1))

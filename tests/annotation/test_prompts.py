from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Painted, Point, Prompts, Stroke
from napari_dinomed.errors import PromptError

PROMPTS = Prompts(
    (
        Point((1, 2, 3), 1),
        Stroke(Mask.of_voxels(np.array([(0, 0, 0), (0, 0, 1)])), 2),
        Point((4, 5, 6), 2),
        Point((7, 8, 9), 1, include=False),
    )
)


def test_adding_gives_a_new_value():
    more = PROMPTS.plus(Point((0, 1, 2), 3))
    assert len(more.points) == 4
    assert len(PROMPTS.points) == 3


def test_marks_are_labels_and_background():
    voxels, classes = PROMPTS.marks()
    assert dict(zip(map(tuple, voxels.tolist()), classes.tolist(), strict=True)) == {
        (0, 0, 0): 2,
        (0, 0, 1): 2,
        (1, 2, 3): 1,
        (4, 5, 6): 2,
        (7, 8, 9): 0,
    }


def test_the_last_mark_on_a_voxel_wins():
    twice = PROMPTS.plus(Point((1, 2, 3), 2))
    voxels, classes = twice.marks()
    assert classes[(voxels == (1, 2, 3)).all(1)].tolist() == [2]


def test_what_another_label_includes_does_not_belong():
    clicked, painted = PROMPTS.marks_for(1)
    assert clicked == (((1, 2, 3), True), ((4, 5, 6), False), ((7, 8, 9), False))
    assert painted.voxels.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert painted.belongs.tolist() == [False, False]


def test_what_another_label_excludes_says_nothing():
    clicked, _ = PROMPTS.marks_for(2)
    assert clicked == (((1, 2, 3), False), ((4, 5, 6), True))


def test_what_an_answer_heeds_ends_with_the_last_said_of_its_label():
    assert PROMPTS.until_last_of(2) == Prompts(PROMPTS.all[:3])
    assert not PROMPTS.until_last_of(3)


def test_painted_marks_are_thinned_evenly_on_either_side():
    voxels = np.column_stack([np.zeros(100), np.zeros(100), np.arange(100)]).astype(
        np.int32
    )
    marks = Painted(voxels, np.arange(100) < 90).thinned(10)
    assert sum(belongs for _, belongs in marks) == 10
    assert [voxel for voxel, belongs in marks if not belongs] == [
        (0, 0, x) for x in range(90, 100)
    ]


def test_each_stroke_is_heard_however_long_another_is():
    long = np.zeros((3, 40, 40), bool)
    long[1] = True
    short = np.zeros_like(long)
    short[2, 4, 5] = True
    prompts = Prompts((Stroke(Mask.of(long), 1), Stroke(Mask.of(short), 1, include=False)))
    thinned = prompts.marks_for(1)[1].each_thinned(3)
    assert thinned.lengths == (3, 1)
    # Answers are kept by it: where strokes end is part of what was said.
    assert Painted(thinned.voxels, thinned.belongs, (2, 2)).key != thinned.key
    assert thinned.belongs.tolist() == [True, True, True, False]
    assert thinned.voxels[-1].tolist() == [2, 4, 5]
    assert np.unique(thinned.voxels[:3], axis=0).shape == (3, 3)


def test_no_prompts_have_no_marks():
    voxels, classes = Prompts().marks()
    assert voxels.shape == (0, 3)
    assert classes.shape == (0,)
    assert not Prompts()


@pytest.mark.parametrize("voxel", [(-1, 0, 0), (0, 9, 0), (0, 0, 10)])
def test_outside(voxel):
    with pytest.raises(PromptError, match="outside"):
        Prompts((Point(voxel, 1),)).require_inside((8, 9, 10))


def test_an_unknown_label():
    with pytest.raises(PromptError, match="label 2"):
        PROMPTS.require_labels([1])


@pytest.mark.parametrize("label", [0, -1, 65_536, "one"])
def test_labels_out_of_range_are_refused(label):
    values = {"all": [{"voxel": [0, 0, 0], "label": label}]}
    with pytest.raises(ValidationError):
        TypeAdapter(Prompts).validate_python(values)


def test_json_round_trip():
    adapter = TypeAdapter(Prompts)
    assert adapter.validate_json(adapter.dump_json(PROMPTS)) == PROMPTS
    assert np.array_equal(
        PROMPTS.marks()[0], adapter.validate_json(adapter.dump_json(PROMPTS)).marks()[0]
    )

"""What holds for every tool: grids, neighbours, mirrors, messages, and the one list."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_dinomed.errors import FinishError
from napari_dinomed.finish import TOOLS, find_tool
from napari_dinomed.finish.options import Amount, Scale, made, options_of
from tests.finish.use import used

# What each tool is used with below: values that change the rough blob.
VALUES = {
    "fill-holes": {},
    "fill-between": {"along": "z"},
    "smooth": {"radius": 2},
    "grow": {"distance": 3},
    "shrink": {"distance": 1},
    "hollow": {"thickness": 2},
    "keep-largest": {},
    "remove-small": {"volume": 0.05},
    "keep-touched": {"voxels": ((8, 18, 24),)},
    "split": {"by": "gaps", "volume": 0.02},
    "grey-range": {"low": 20, "high": 70},
    "cut": {"outline": ((10.2, 8.1), (26.3, 14.2), (15.4, 33.7)), "axis": 0},
}
KEYS = [tool.key for tool in TOOLS]


@pytest.fixture
def grey():
    return np.random.default_rng(7).integers(0, 100, (18, 40, 44)).astype(np.int16)


@pytest.fixture
def subject_of(blob):
    def subject(key):
        """The blob; with slices missing for the tool that fills them."""
        mask = blob.copy()
        if key == "fill-between":
            mask[1::3] = mask[2::3] = False
        return mask

    return subject


def mirrored(values, shape, axis):
    """Values of a tool for a mirrored label."""
    values = dict(values)
    if "voxels" in values:
        values["voxels"] = tuple(
            tuple(shape[a] - 1 - v if a == axis else v for a, v in enumerate(voxel))
            for voxel in values["voxels"]
        )
    if "outline" in values and axis > 0:
        corners = np.array(values["outline"])
        corners[:, axis - 1] = shape[axis] - 1 - corners[:, axis - 1]
        values["outline"] = tuple(map(tuple, corners))
    return values


def moved(values, by):
    """Values of a tool for a label that was moved."""
    values = dict(values)
    if "voxels" in values:
        values["voxels"] = tuple(map(tuple, np.add(values["voxels"], by).tolist()))
    if "outline" in values:
        values["outline"] = tuple(map(tuple, np.add(values["outline"], by[1:])))
    return values


def test_the_values_here_are_of_all_tools():
    assert list(VALUES) == KEYS


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_label_gives_the_mirrored_answer(key, axis, subject_of, grey, spacing):
    mask, values = subject_of(key), VALUES[key]
    plain = used(key, mask, spacing, grey=grey, **values)
    other = used(
        key,
        np.flip(mask, axis),
        spacing,
        grey=np.flip(grey, axis),
        **mirrored(values, mask.shape, axis),
    )
    np.testing.assert_array_equal(other, np.flip(plain, axis))
    assert (plain != mask).any()


@pytest.mark.parametrize("key", KEYS)
def test_no_voxel_of_another_label_is_taken(key, subject_of, grey, spacing):
    mask = subject_of(key)
    free = used(key, mask, spacing, grey=grey, **VALUES[key])
    taken = np.zeros_like(mask)
    taken[:, ::2] = True
    taken &= ~mask
    answer = used(key, mask, spacing, (taken,), grey, **VALUES[key])
    assert not (answer & taken).any()
    if (free & ~mask).any():
        assert (free & taken).any(), "nothing of it was in the way"
        assert (answer & ~mask).any()


@pytest.mark.parametrize("key", KEYS)
def test_where_a_label_lies_in_the_volume_does_not_matter(key, subject_of, grey, spacing):
    """Only the label's box is looked at: the same comes of it in a larger volume."""
    mask, room = np.pad(subject_of(key), 8), ((4, 6), (8, 3), (9, 9))
    near, far = moved(VALUES[key], (8, 8, 8)), moved(VALUES[key], (12, 16, 17))
    grey = np.pad(grey, 8)
    plain = used(key, mask, spacing, grey=grey, **near)
    larger = used(key, np.pad(mask, room), spacing, grey=np.pad(grey, room), **far)
    np.testing.assert_array_equal(larger, np.pad(plain, room))


@pytest.mark.parametrize("key", KEYS)
def test_a_label_without_a_voxel_is_said(key, grey):
    with pytest.raises(FinishError, match="Nothing is spleen yet"):
        used(key, np.zeros(grey.shape, bool), grey=grey, **VALUES[key])


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("shrink", {"distance": 50}),
        ("remove-small", {"volume": 50}),
        ("grey-range", {"low": 200, "high": 300}),
        ("keep-touched", {"voxels": ((0, 0, 0), (99, 0, 0))}),
        ("cut", {"outline": ((-9, -9), (-9, 99), (99, 99), (99, -9)), "axis": 2}),
    ],
)
def test_nothing_is_done_where_nothing_would_be_left(key, values, grey):
    mask = np.zeros(grey.shape, bool)
    mask[4:9, 9:20, 9:20] = True
    with pytest.raises(FinishError, match="Nothing would be left of spleen"):
        used(key, mask, grey=grey, **values)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("fill-holes", {}),
        ("fill-between", {}),
        ("smooth", {"radius": 0.01}),
        ("grow", {"distance": 0.9}),
        ("shrink", {"distance": 0.9}),
        ("hollow", {"thickness": 50}),
        ("keep-largest", {}),
        ("remove-small", {"volume": 0.001}),
        ("keep-touched", {"voxels": ((5, 10, 10),)}),
        ("split", {"volume": 0.001}),
        ("split", {"by": "gaps", "volume": 0.001}),
        ("grey-range", {"low": -1, "high": 100}),
        ("cut", {"outline": ((0, 0), (0, 3), (3, 3)), "axis": 0}),
    ],
)
def test_nothing_changed_is_said_with_the_reason(key, values, grey):
    mask = np.zeros(grey.shape, bool)
    mask[4:9, 9:20, 9:20] = True
    with pytest.raises(FinishError, match=r"spleen stays as it is: \w+") as refused:
        used(key, mask, grey=grey, **values)
    assert find_tool(key).idle in str(refused.value)


@pytest.mark.parametrize("tool", TOOLS, ids=KEYS)
def test_a_tool_says_what_it_does(tool):
    assert tool.does.endswith(".")
    assert tool.step.format("spleen") != tool.step
    assert dataclasses.is_dataclass(tool.options)
    assert tool.options.__dataclass_params__.frozen


def test_a_tool_that_is_not_known_is_refused():
    with pytest.raises(FinishError, match=r"Expected a tool of fill-holes, .*got 'melt'"):
        find_tool("melt")


def test_amounts_are_read_in_what_users_think_in():
    remove = find_tool("remove-small").options
    patient = Scale("mm", (3.0, 1.0, 1.0))
    assert made(remove, {"volume": "2.5"}, patient).volume == 2500
    cells = Scale("nm", (50.0, 4.0, 4.0))
    assert made(remove, {"volume": "0.002"}, cells).volume == pytest.approx(2e6)
    assert made(remove, {}, patient).volume == 1000
    assert made(remove, {}, cells).volume == pytest.approx(1000 * 50 * 4 * 4)
    grow = find_tool("grow").options
    assert made(grow, {}, patient).distance == 2
    assert made(grow, {}, Scale("mm", (5.0, 3.0, 3.0))).distance == 3
    assert made(grow, {}, cells).distance == 8
    grey = made(find_tool("grey-range").options, {}, Scale("mm", (1, 1, 1), (-100, 200)))
    assert (grey.low, grey.high) == (-100, 200)


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("grow", {"distance": "much"}, "a number of mm over 0 for distance, got 'much'"),
        ("grow", {"distance": -1}, "a number of mm over 0"),
        ("grow", {"distance": "nan"}, "a number of mm over 0"),
        ("remove-small", {"volume": 0}, "a number of ml over 0"),
        ("grey-range", {"low": "inf"}, "Expected a number for low"),
        ("fill-holes", {"where": "4d"}, "Expected volume, z, y, x for where, got '4d'"),
        ("grow", {"radius": 2}, "Expected an option of distance; got 'radius'"),
        ("cut", {"axis": 0}, "Expected outline: draw on the canvas"),
        ("keep-largest", {"n": 2}, "Expected an option of none; got 'n'"),
    ],
)
def test_an_option_that_will_not_do_is_refused(key, values, said):
    with pytest.raises(FinishError, match=said):
        made(find_tool(key).options, values, Scale("mm", (1.0, 1.0, 1.0)))


def test_options_are_listed_with_what_they_are_counted_in():
    (distance,) = options_of(find_tool("grow").options)
    assert isinstance(distance.kind, Amount)
    (where,) = options_of(find_tool("fill-holes").options)
    assert [choice.text for choice in where.choices][:2] == ["in 3-D", "in each z slice"]
    (side,) = options_of(find_tool("cut").options)
    assert side.name == "side"

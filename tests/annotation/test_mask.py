from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_dinomed.annotation.flood import flooded
from napari_dinomed.annotation.mask import EMPTY, Mask

SHAPE = (3, 5, 7)
BOX = tuple(slice(0, n) for n in SHAPE)
arrays = hnp.arrays(bool, SHAPE)


@given(arrays, arrays)
def test_masks_are_sets_of_voxels(a, b):
    one, other = Mask.of(a), Mask.of(b)
    np.testing.assert_array_equal((one | other).array(BOX), a | b)
    np.testing.assert_array_equal((one - other).array(BOX), a & ~b)
    np.testing.assert_array_equal((one & other).array(BOX), a & b)
    assert one.count == a.sum()
    assert (one == other) == np.array_equal(a, b)


@given(arrays)
def test_there_and_back(a):
    mask = Mask.of(a)
    assert Mask.from_bytes(mask.to_bytes()) == mask
    assert Mask.of_voxels(mask.voxels()) == mask
    np.testing.assert_array_equal(mask.voxels(), np.argwhere(a))
    for voxel in np.ndindex(SHAPE):
        assert (voxel in mask) == a[voxel]


@given(arrays, st.tuples(*(st.integers(0, 3) for _ in range(3))))
def test_a_mask_lies_where_it_was_put(a, start):
    mask = Mask.of(a, start)
    np.testing.assert_array_equal(mask.voxels(), np.argwhere(a) + start)


@given(arrays, arrays)
def test_changes_hold_all_that_differs_and_no_equal_slice(a, b):
    changed = dict(Mask.of(a).changes(Mask.of(b)))
    assert set(changed) == set(np.flatnonzero((a != b).any((1, 2))))
    for index, box in changed.items():
        outside = np.ones(SHAPE[1:], bool)
        outside[box] = False
        assert not (a[index] & outside).any()
        assert not (b[index] & outside).any()


def test_what_does_not_change_is_shared():
    mask = Mask.of(np.ones(SHAPE, bool))
    one = Mask.of_voxels(np.array([[1, 2, 3]]))
    assert mask | one is mask
    assert mask - Mask.of_voxels(np.array([[1, 9, 9]])) is mask
    assert (mask - one).planes[0] is mask.planes[0]


def test_an_empty_mask():
    assert not EMPTY
    assert EMPTY.count == 0
    assert EMPTY.box == (slice(0, 0),) * 3
    assert Mask.from_bytes(b"") == EMPTY
    assert Mask.of(np.zeros(SHAPE, bool)) == EMPTY


def test_a_painted_slice_is_small():
    """A whole slice of 2048 by 2048, or a disc in it, takes far less than 100 kB."""
    disc = np.hypot(*np.ogrid[-1024:1024, -1024:1024]) < 900
    for plane in (np.ones_like(disc), disc):
        assert Mask.of(plane[None]).nbytes < 20_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:10],
        lambda data: data + data,
        lambda data: data[:24] + bytes(len(data) - 24),
        lambda data: data[:12] + (2**31).to_bytes(4, "little") * 2 + data[20:],
        lambda data: data[:20] + (2**31).to_bytes(4, "little") + data[24:],
        lambda data: (
            data[:12]
            + (8).to_bytes(4, "little") * 2
            + (len(zlib.compress(bytes(10**6)))).to_bytes(4, "little")
            + zlib.compress(bytes(10**6))
        ),
    ],
    ids=["cut", "cut header", "twice", "zeros", "huge", "long", "bomb"],
)
def test_damaged_bytes_are_refused(damage):
    data = Mask.of(np.ones((1, 5, 7), bool)).to_bytes()
    with pytest.raises(ValueError, match=r"."):
        Mask.from_bytes(damage(data))


def test_voxels_outside_are_found():
    mask = Mask.of_voxels(np.array([[2, 4, 6]]))
    mask.require_inside(SHAPE)
    with pytest.raises(ValueError, match="voxels up to"):
        mask.require_inside((3, 5, 6))


@given(arrays, st.tuples(*(st.integers(0, n - 1) for n in SHAPE)))
def test_flooding_finds_the_connected_part(a, seed):
    parts, _ = ndimage.label(a)
    expected = (parts == parts[seed]) & a[seed]
    np.testing.assert_array_equal(flooded(Mask.of(a), [seed]).array(BOX), expected)

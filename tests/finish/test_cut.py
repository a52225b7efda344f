"""Cutting by grey values and by a lasso."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import FinishError
from tests.finish.use import used

MASK = np.zeros((6, 20, 24), bool)
MASK[1:5, 4:16, 4:20] = True


def test_only_what_lies_between_two_grey_values_stays():
    grey = np.broadcast_to(np.arange(24.0), MASK.shape)
    kept = used("grey-range", MASK, grey=grey, low=8, high=11)
    assert np.flatnonzero(kept.any((0, 1))).tolist() == [8, 9, 10, 11]
    np.testing.assert_array_equal(kept, MASK & (grey >= 8) & (grey <= 11))


def test_grey_values_need_an_image():
    with pytest.raises(FinishError, match="Expected the image"):
        used("grey-range", MASK, low=0, high=1)


@pytest.mark.parametrize("axis", range(3))
def test_a_lasso_cuts_through_the_whole_label(axis):
    outline = ((5.5, 5.5), (5.5, 9.5), (9.5, 9.5), (9.5, 5.5))
    mask = np.moveaxis(MASK, 0, axis)
    hole = np.zeros_like(mask)
    plane = [slice(6, 10)] * 3
    plane[axis] = slice(None)
    hole[tuple(plane)] = True
    cut = used("cut", mask, outline=outline, axis=axis)
    np.testing.assert_array_equal(cut, mask & ~hole)
    kept = used("cut", mask, outline=outline, axis=axis, side="outside")
    np.testing.assert_array_equal(kept, mask & hole)

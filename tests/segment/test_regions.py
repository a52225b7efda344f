"""Connected parts of masks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.segment.regions import numbered


@pytest.mark.parametrize("shape", product((1, 2, 3, 5), repeat=3))
def test_single_cells_apart_are_as_many_things(shape):
    apart = (np.indices(shape) % 2 == 0).all(0)
    things, count = numbered(apart)
    assert count == apart.sum() == ndimage.label(apart, np.ones((3, 3, 3)))[1]
    assert things.shape == shape
    assert sorted(things[apart]) == list(range(1, count + 1))


def test_labels_that_touch_are_things_of_their_own():
    labels = np.zeros((2, 3, 3), np.uint8)
    labels[0, :2, :2], labels[0, 2, 2], labels[1, 2, 0] = 1, 2, 1
    things, count = numbered(labels)
    assert count == 3 - 1  # by a corner, the last is one with the first
    assert things[1, 2, 0] == things[0, 1, 1] != things[0, 2, 2]

"""Labels without what is too faint and what is too small to be meant."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import FinishError
from napari_dinomed.finish.above import above
from napari_dinomed.volume import Geometry, Volume

SHAPE = (6, 10, 12)


def _pet() -> tuple[Volume, np.ndarray]:
    """A hot focus of 27 voxels with a faint rim, and a hot one of 4; 8 mm³ a voxel."""
    suv = np.ones(SHAPE, np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:6, 1:6, 1:6], suv[2:5, 2:5, 2:5] = 1, 9
    labels[2, 8, 8:12], suv[2, 8, 8:12] = 2, 7
    return Volume(suv, Geometry.from_spacing(SHAPE, (2.0, 2.0, 2.0), "mm"), "PET"), labels


@pytest.mark.parametrize(
    ("floor", "least", "counts"),
    [
        (None, 0, (125, 4)),
        (2.5, 0, (27, 4)),
        (8.0, 0, (27, 0)),
        (2.5, 0.032, (27, 4)),
        (2.5, 0.033, (27, 0)),
        (2.5, 0.3, (0, 0)),
        (None, 0.3, (125, 0)),
        (None, 1e308, (0, 0)),
    ],
)
def test_faint_voxels_go_first_and_then_small_parts(floor, least, counts):
    volume, labels = _pet()
    before = labels.copy()
    kept = above(labels, volume, floor, least)
    assert ((kept == 1).sum(), (kept == 2).sum()) == counts
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize(
    ("floor", "least", "said"),
    [
        (float("nan"), 0.0, "least grey value, got nan"),
        (float("-inf"), 0.0, "least grey value, got -inf"),
        (None, float("inf"), "least volume, got inf"),
        (None, float("nan"), "least volume, got nan"),
    ],
)
def test_what_is_no_number_is_refused(floor, least, said):
    volume, labels = _pet()
    with pytest.raises(FinishError, match=f"Expected a number for the {said}"):
        above(labels, volume, floor, least)

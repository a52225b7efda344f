from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.prompts import NOT_PAINTED, Painted
from napari_dinomed.segment.kept import Kept
from napari_dinomed.segment.marks import all_marks, typical


def test_painted_marks_come_first_and_clicks_in_order():
    painted = Painted(np.array([(3, 2, 1)], np.int32), np.array([False]))
    marks = all_marks(painted, (((1, 2, 3), True), ((4, 5, 6), False)))
    assert marks.voxels.tolist() == [[3, 2, 1], [1, 2, 3], [4, 5, 6]]
    assert marks.belongs.tolist() == [False, True, False]


def test_no_marks():
    assert all_marks(NOT_PAINTED, ()).voxels.shape == (0, 3)


def test_the_first_mark_counts_most():
    assert typical([4.0, 0.0, 0.0]) == pytest.approx(2.4)


def test_what_was_not_used_for_longest_makes_room():
    kept = Kept(2)
    kept.keep("a", 1)
    kept.keep("b", 2)
    assert kept.get("a") == 1
    kept.keep("c", 3)
    assert len(kept) == 2
    assert "b" not in kept
    assert kept.get("b") is None
    assert kept.get("a") == 1

"""Holes and connected parts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import FinishError
from tests.conftest import ball
from tests.finish.use import used


def test_filling_holes_a_second_time_changes_nothing(blob):
    filled = used("fill-holes", blob)
    assert (filled & ~blob).sum() > 20
    with pytest.raises(FinishError, match="no hole"):
        used("fill-holes", filled)


def test_a_shell_becomes_a_ball_and_a_tube_does_not():
    whole = ball((20, 20, 20), (10, 10, 10), 8)
    shell = whole & ~ball((20, 20, 20), (10, 10, 10), 5)
    np.testing.assert_array_equal(used("fill-holes", shell), whole)
    tube = shell.copy()
    tube[10, 10] = False
    with pytest.raises(FinishError, match="no hole"):
        used("fill-holes", tube)


@pytest.mark.parametrize("axis", range(3))
def test_a_tube_is_filled_in_the_slices_that_it_closes(axis):
    tube = np.zeros((12, 12, 12), bool)
    tube[:, 2:10, 2:10] = True
    tube[:, 4:8, 4:8] = False
    tube = np.moveaxis(tube, 0, axis)
    filled = used("fill-holes", tube, where="zyx"[axis])
    assert filled.sum() == 12 * 64
    with pytest.raises(FinishError, match="no hole"):
        used("fill-holes", tube, where="zyx"[axis - 1])


def test_a_bay_at_the_border_of_the_volume_is_no_hole():
    cup = np.ones((6, 9, 9), bool)
    cup[0:3, 3:6, 3:6] = False
    with pytest.raises(FinishError, match="no hole"):
        used("fill-holes", cup)


def test_a_tumour_in_a_liver_is_left_to_its_label():
    liver = ball((20, 20, 20), (10, 10, 10), 9)
    tumour = ball((20, 20, 20), (10, 10, 10), 3)
    cyst = ball((20, 20, 20), (10, 10, 15), 1)
    filled = used("fill-holes", liver & ~tumour & ~cyst, others=(tumour,))
    np.testing.assert_array_equal(filled, liver & ~tumour)


def test_the_largest_part_stays():
    large, small = np.zeros((2, 10, 20, 20), bool)
    large[2:8, 2:9, 2:9] = True
    small[2:8, 12:15, 12:15] = True
    np.testing.assert_array_equal(used("keep-largest", large | small), large)


def test_parts_that_only_touch_at_a_corner_are_two():
    mask = np.zeros((4, 8, 8), bool)
    mask[1, 1:5, 1:5] = mask[2, 5:7, 5:7] = True
    assert used("keep-largest", mask).sum() == 16


def test_parts_below_a_volume_go_by_their_millilitres():
    mask = np.zeros((10, 40, 40), bool)
    mask[2:7, 5:15, 5:15] = True  # 500 voxels of 3 mm³: 1.5 ml
    mask[2:7, 20:28, 20:28] = True  # 320 voxels: 0.96 ml
    kept = used("remove-small", mask, (3.0, 1.0, 1.0), volume=1)
    assert kept.sum() == 500
    with pytest.raises(FinishError, match="no part of it is that small"):
        used("remove-small", mask, (3.0, 1.0, 1.0), volume=0.96)


def test_parts_that_were_clicked_on_stay():
    mask = np.zeros((4, 10, 30), bool)
    mask[1:3, 2:8, 2:6] = mask[1:3, 2:8, 10:14] = mask[1:3, 2:8, 20:24] = True
    kept = used("keep-touched", mask, voxels=((1, 3, 3), (2, 7, 21), (0, 0, 0)))
    expected = mask.copy()
    expected[..., 10:14] = False
    np.testing.assert_array_equal(kept, expected)

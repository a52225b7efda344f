from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.segment.correct import correction_share, depth_inside


def test_depth_is_the_distance_to_the_edge_in_the_unit_of_the_spacing():
    region = np.zeros((9, 21, 21), bool)
    region[2:7, 5:16, 5:16] = True
    assert depth_inside(region, (4, 10, 10), np.array([10.0, 1, 1])) == 6
    assert depth_inside(region, (4, 10, 10), np.array([1.5, 1, 1])) == 4.5


@pytest.mark.parametrize("region", [np.zeros((9, 9, 9), bool), np.ones((9, 9, 9), bool)])
def test_a_click_that_lies_in_no_error_still_corrects_something(region):
    assert depth_inside(region, (4, 4, 4), np.ones(3)) == 3


def test_the_deeper_the_click_the_further_it_speaks():
    distance = np.linspace(0, 60, 61, dtype=np.float32)
    shallow, deep = (correction_share(distance, reach, 5, 1.4) for reach in (15.0, 60.0))
    assert shallow[0] == deep[0] == 1
    assert (np.diff(deep) <= 0).all()
    assert (deep[1:50] > shallow[1:50]).all()


def test_late_clicks_change_little_far_away():
    far = np.array([1e3], np.float32)
    floors = [correction_share(far, 5.0, count, 1.4)[0] for count in (1, 2, 5, 10)]
    assert floors[0] == 1
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] < 0.2

"""Depths within slices, and radii."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.segment.all_alike.depths import depths, typical_radius

SPACING = np.array([50.0, 4.0, 2.0])


def test_depth_is_measured_within_the_slice_in_the_unit_of_the_spacing():
    mask = np.zeros((3, 9, 11), bool)
    mask[1, 2:7, 1:10] = True
    deep = depths(mask, SPACING)
    assert deep[1, 4, 5] == 10
    assert deep[1, 2, 5] == 4
    assert not deep[[0, 2]].any()


def test_what_goes_on_beyond_the_rim_is_deep_there():
    mask = np.ones((2, 5, 5), bool)
    assert depths(mask, SPACING)[0, 0, 0] == 2
    assert np.isinf(depths(mask, SPACING, goes_on=True)).all()


@pytest.mark.parametrize("radius", [6, 12, 20])
def test_a_disc_has_about_its_radius(radius):
    rows, columns = np.mgrid[:64, :64]
    disc = (rows - 32) ** 2 + (columns - 32) ** 2 < radius**2
    found = typical_radius(np.broadcast_to(disc, (4, 64, 64)), np.array([5.0, 1.0, 1.0]))
    assert found == pytest.approx(radius, rel=0.25)


def test_nothing_has_no_radius():
    assert typical_radius(np.zeros((2, 4, 4), bool), SPACING) == 0

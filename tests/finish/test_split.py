"""A label split into labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import FinishError
from napari_dinomed.segment.instances import split_instances
from tests.conftest import ball
from tests.finish.use import all_of

SHAPE = (24, 60, 90)


@pytest.fixture
def touching():
    """Two balls with a neck between them, and two small ones apart."""
    return (
        ball(SHAPE, (12, 30, 25), 10)
        | ball(SHAPE, (12, 30, 42), 9)
        | ball(SHAPE, (12, 30, 65), 5)
        | ball(SHAPE, (12, 30, 80), 2)
    )


def test_necks_part_what_gaps_do_not(touching):
    first, second, third = all_of("split", touching, volume=0.1)
    assert first[12, 30, 25]
    assert second[12, 30, 42]
    assert third[12, 30, 65]
    first, second = all_of("split", touching, by="gaps", volume=0.1)
    assert first[12, 30, 25]
    assert first[12, 30, 42]
    np.testing.assert_array_equal(second, ball(SHAPE, (12, 30, 65), 5))


def test_parted_at_necks_as_into_instances(touching):
    things = split_instances(touching, (1, 1, 1))
    parts = all_of("split", touching, volume=0.001)
    assert len(parts) == things.max() == 4
    for number, part in enumerate(parts, 1):
        np.testing.assert_array_equal(part, things == number)


@pytest.mark.parametrize("by", ["necks", "gaps"])
def test_no_voxel_is_lost_and_small_parts_stay_with_the_label(touching, by):
    parts = all_of("split", touching, by=by, volume=0.1)
    np.testing.assert_array_equal(np.sum(parts, axis=0), touching)
    assert parts[0][12, 30, 80]
    sizes = [np.count_nonzero(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)


def test_the_least_volume_is_one_of_the_file(touching):
    """514 voxels of 2 µl are a ball of 1.03 ml."""
    assert np.count_nonzero(ball(SHAPE, (12, 30, 65), 5)) == 515
    spacing = (2.0, 1.0, 1.0)
    assert len(all_of("split", touching, spacing, by="gaps", volume=1.03)) == 2
    with pytest.raises(FinishError, match="stays as it is: it is one part, or all others"):
        all_of("split", touching, spacing, by="gaps", volume=1.04)


def crumbs(count):
    """So many voxels in a row, none of which touch, and one more at the first."""
    mask = np.zeros((3, 3, 2 * count + 3), bool)
    mask[1, 1, 3::2] = mask[1, 1, 1:3] = True
    return mask[:, :, : 2 * count + 2]


@pytest.mark.parametrize("by", ["necks", "gaps"])
def test_more_than_twenty_parts_are_too_many(by):
    assert len(all_of("split", crumbs(20), by=by, volume=0.001)) == 20
    with pytest.raises(FinishError, match=r"spleen has 21 parts .* 20 .* Split into inst"):
        all_of("split", crumbs(21), by=by, volume=0.001)

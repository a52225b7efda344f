"""A mask split into things."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.segment.instances import split_instances, split_labels

SHAPE = (24, 60, 90)


def _ball(centre, radius, spacing=(1.0, 1.0, 1.0)):
    grid = np.indices(SHAPE)
    distance = sum(
        ((axis - place) * length) ** 2
        for axis, place, length in zip(grid, centre, spacing, strict=True)
    )
    return distance < radius**2


def test_touching_balls_are_told_apart_and_all_of_the_mask_is_numbered():
    mask = _ball((12, 30, 25), 10) | _ball((12, 30, 42), 9)
    instances = split_instances(mask, (1, 1, 1))
    assert set(np.unique(instances)) == {0, 1, 2}
    assert instances[12, 30, 25] == 1
    assert instances[12, 30, 42] == 2
    np.testing.assert_array_equal(instances > 0, mask)


@pytest.mark.parametrize("noise", [0, 1])
def test_one_long_thing_stays_one(noise):
    mask = np.zeros(SHAPE, bool)
    for step in np.linspace(0, 1, 60):
        mask |= _ball((12, 15 + 30 * step**2, 10 + 70 * step), 6 + noise * (step * 7 % 1))
    instances = split_instances(mask, (1, 1, 1))
    assert instances.max() == 1


def test_distances_follow_the_spacing():
    spacing = (4.0, 1.0, 1.0)
    above, below = _ball((3, 30, 40), 12, spacing), _ball((8, 30, 40), 12, spacing)
    assert split_instances(above | below, spacing).max() == 2
    assert split_instances(above | below, (0.2, 1.0, 1.0)).max() == 1


def test_a_thing_cut_by_the_volumes_end_is_not_narrower_there():
    mask = _ball((0, 30, 40), 15) | _ball((12, 30, 40), 12)
    assert split_instances(mask, (1, 1, 1)).max() == 1


def test_things_apart_are_numbered_by_size():
    mask = _ball((12, 15, 15), 4) | _ball((12, 40, 60), 9)
    mask[0, 0, 89] = True
    instances = split_instances(mask, (1, 1, 1))
    assert instances[12, 40, 60] == 1
    assert instances[12, 15, 15] == 2
    assert instances[0, 0, 89] == 3


@pytest.mark.parametrize("value", [False, True])
def test_nothing_and_everything(value):
    instances = split_instances(np.full(SHAPE, value), (1, 1, 1))
    assert np.unique(instances).tolist() == [int(value)]


def test_a_spur_belongs_to_what_it_grows_from():
    mask = _ball((12, 30, 30), 11) | _ball((12, 30, 44), 3) | _ball((12, 30, 41), 2)
    assert split_instances(mask, (1, 1, 1)).max() == 1


def test_labels_that_touch_are_split_apart():
    labels = np.zeros(SHAPE, np.uint8)
    labels[_ball((12, 30, 30), 10)] = 1
    labels[_ball((12, 30, 38), 10)] = 7
    labels[_ball((12, 30, 70), 6)] = 1
    things = split_labels(labels, (1, 1, 1))
    assert things.max() == 3
    assert [things[12, 30, x] for x in (25, 40, 70)] == [1, 3, 2]

"""Grow, shrink, hollow, smooth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.errors import FinishError
from tests.conftest import ball
from tests.finish.use import used


def test_three_millimetres_are_one_thick_slice_and_three_thin_ones():
    mask = np.zeros((9, 15, 15), bool)
    mask[4, 7, 7] = True
    grown = used("grow", mask, (3.0, 1.0, 1.0), distance=3)
    reached = [np.flatnonzero(grown.any(tuple({0, 1, 2} - {a}))) for a in range(3)]
    assert [(r[0], r[-1]) for r in reached] == [(3, 5), (4, 10), (4, 10)]


def test_growing_is_all_that_is_near_enough(blob, spacing):
    apart = ndimage.distance_transform_edt(~blob, spacing)
    np.testing.assert_array_equal(
        used("grow", blob, spacing, distance=2.9), blob | (apart <= 2.9)
    )
    deep = ndimage.distance_transform_edt(blob, spacing)
    np.testing.assert_array_equal(used("shrink", blob, spacing, distance=1.7), deep > 1.7)


def test_growing_then_shrinking_closes(blob, spacing):
    closed = used("shrink", used("grow", blob, spacing, distance=3), spacing, distance=3)
    assert closed[blob].all()
    assert (closed & ~blob).any()


def test_growing_goes_round_another_label_not_through_it():
    mask, wall = np.zeros((2, 9, 9, 21), bool)
    mask[4, 4, 8] = True
    wall[:, :, 10] = True
    grown = used("grow", mask, others=(wall,), distance=4)
    assert grown[4, 4, 9]
    assert not grown[..., 10:].any()
    wall[:3] = wall[6:] = False
    round_it = used("grow", mask, others=(wall,), distance=4)
    assert round_it[..., 11:].any()


def test_what_the_volume_cuts_off_is_not_worn_away():
    mask = np.zeros((6, 20, 20), bool)
    mask[:4, :10, 5:15] = True
    shrunk = used("shrink", mask, distance=2)
    assert shrunk[0, 0, 7:13].all()
    assert not shrunk[2:].any()


def test_a_hollow_ball_is_as_thick_as_asked():
    whole = ball((40, 40, 40), (20, 20, 20), 15)
    shell = used("hollow", whole, thickness=4)
    line = np.flatnonzero(shell[20, 20])
    assert list(line) == [*range(5, 9), *range(32, 36)]
    assert not (shell & ~whole).any()


@pytest.mark.parametrize("radius", [1.0, 2.5, 5.0])
def test_smoothing_keeps_the_volume(blob, spacing, radius):
    even = used("smooth", blob, spacing, radius=radius)
    assert even.sum() == pytest.approx(blob.sum(), rel=0.005)


def test_smoothing_keeps_the_volume_where_all_is_symmetric():
    """A box has the worst ties there are: 48 voxels that nothing tells apart."""
    box = np.zeros((40, 40, 40), bool)
    box[8:32, 8:32, 8:32] = True
    even = used("smooth", box, radius=3)
    assert even.sum() == pytest.approx(box.sum(), rel=0.005)
    assert not even[8, 8, 8]


def test_smoothing_makes_a_rough_ball_round(spacing):
    truth = ball((24, 64, 70), (12, 32, 35), 22, spacing)
    edge = np.abs(
        ndimage.distance_transform_edt(truth, spacing)
        - ndimage.distance_transform_edt(~truth, spacing)
    )
    flipped = (edge < 3) & (np.random.default_rng(0).random(truth.shape) < 0.3)
    rough = truth ^ flipped
    even = used("smooth", rough, spacing, radius=2)
    assert (even ^ truth).sum() < 0.4 * (rough ^ truth).sum()


def test_smoothing_leaves_the_border_of_the_volume_alone():
    """What the volume cuts off is not rounded there as if it ended."""
    slab = np.zeros((12, 24, 24), bool)
    slab[:6] = True
    slab[5:7] ^= np.random.default_rng(0).random((2, 24, 24)) < 0.2
    even = used("smooth", slab, radius=2)
    assert even[:5].all()
    assert not even[7:].any()


def test_smoothing_beside_a_neighbour_keeps_the_volume(blob, spacing):
    neighbour = ~blob
    neighbour[:, :, :22] = False
    even = used("smooth", blob, spacing, (neighbour,), radius=2)
    assert not (even & neighbour).any()
    assert even.sum() == pytest.approx(blob.sum(), rel=0.005)


def test_less_than_a_voxel_is_said():
    mask = np.zeros((5, 9, 9), bool)
    mask[2, 3:6, 3:6] = True
    with pytest.raises(FinishError, match="less than a voxel"):
        used("shrink", mask, (3.0, 1.0, 1.0), distance=0.5)


@pytest.mark.parametrize("tool", ["grow", "smooth", "shrink", "hollow"])
def test_lengths_beyond_the_volume_are_as_its_diagonal(blob, spacing, tool):
    """No kernel is longer than the volume, whatever was asked."""
    option = {"smooth": "radius", "hollow": "thickness"}.get(tool, "distance")
    diagonal = float(np.linalg.norm(np.multiply(blob.shape, spacing)))
    answers = []
    for length in (diagonal, 1e9, 1e308):
        try:
            answers.append(used(tool, blob, spacing, **{option: length}).tolist())
        except FinishError as error:
            answers.append(str(error))
    assert answers[0] == answers[1] == answers[2]

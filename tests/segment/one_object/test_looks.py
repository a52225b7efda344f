from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_dinomed.features.tokens import TokenBank
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.looks import PARTS, Basis, Looks

SHAPE = (6, 32, 48)


def _bank(axis=0, channels=80):
    random = np.random.default_rng(axis)
    depth, grid = (6, (4, 6)) if axis == 0 else (16, (6, 6))
    bank = TokenBank((depth, channels, *grid), SHAPE, axis, SHAPE[axis] // depth)
    tokens = random.normal(0, 1, (depth, channels, *grid))
    # One direction that all share, and one far stronger than the others.
    tokens[:, 0] += 50
    tokens[:, 1] *= 30
    bank.put(0, tokens.astype(np.float16))
    return bank


def _looks(bank, channels):
    return Looks.of(bank, Basis.of(bank, channels))


@pytest.mark.parametrize("axis", [0, 1])
def test_looks_are_of_unit_length_and_no_part_outweighs_the_others(axis):
    looks = _looks(_bank(axis), 80)
    assert looks.unit.shape[-1] == PARTS
    flat = looks.unit.float().flatten(0, 2)
    torch.testing.assert_close(flat.norm(dim=1), torch.ones(len(flat)), atol=1e-2, rtol=0)
    variance = flat.var(0)
    assert variance.max() / variance.min() < 4
    assert flat.mean(0).abs().max() < 0.1


def test_channels_that_tell_the_place_are_left_out():
    bank = _bank()
    other = _bank()
    other.tokens[..., 70:] += torch.randn(other.tokens[..., 70:].shape).half()
    torch.testing.assert_close(_looks(bank, 70).unit, _looks(other, 70).unit)


def test_what_never_varies_is_not_blown_up():
    bank = _bank(channels=8)
    bank.tokens[..., 5] = 3
    looks = _looks(bank, 8)
    assert torch.isfinite(looks.unit).all()
    assert looks.unit.float().norm(dim=-1).min() > 0.9


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("most", [10**6, 60])
def test_likeness_on_cells_is_the_cosine_between_looks_in_its_spread(axis, most):
    """Read on the lattice and interpolated, or read at each cell: nearly the same."""
    looks = _looks(_bank(axis), 80)
    cells = Cells.over((slice(1, 5), slice(4, 28), slice(8, 40)), (1.0, 1.0, 1.0), most)
    mark = looks.at(np.array([[3, 16, 20]]))
    likeness = looks.within(cells).likeness(mark)
    assert likeness.shape == cells.shape
    places = np.stack(np.meshgrid(*map(cells.middles, range(3)), indexing="ij"), -1)
    unit = looks.at(places.reshape(-1, 3))
    cosine = (unit @ mark.T).reshape(cells.shape)
    expected = (cosine * PARTS**0.5 / 4).clamp(max=1)
    both = torch.stack([likeness.flatten(), expected.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.9


def test_gathering_is_projection_turned_round():
    looks = _looks(_bank(), 80)
    cells = Cells.over((slice(0, 6), slice(0, 32), slice(0, 48)), (1.0, 1.0, 1.0), 500)
    part = looks.within(cells)
    values, weights = (
        torch.rand(cells.shape),
        functional.normalize(torch.rand(PARTS), dim=0),
    )
    there = (part.gathered(values) * (part.looks @ weights)).sum()
    back = (values * part.projected(weights)).sum()
    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-3)

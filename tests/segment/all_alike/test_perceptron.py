"""A perceptron that learns from an answer."""

from __future__ import annotations

import pytest
import torch

from napari_dinomed.segment.all_alike.perceptron import teach


def looks_around_the_middle():
    """Two circles: what belongs lies within, which no plane parts from the rest."""
    looks = torch.randn((4000, 2), generator=torch.Generator().manual_seed(1))
    return looks, looks.norm(dim=1) < 0.8


def test_it_learns_what_no_plane_parts():
    looks, belongs = looks_around_the_middle()
    assert ((teach(looks, belongs)(looks) > 0) == belongs).float().mean() > 0.95


def test_a_few_wrong_cells_are_not_learnt():
    looks, belongs = looks_around_the_middle()
    wrong = torch.rand(len(looks), generator=torch.Generator().manual_seed(2)) < 0.1
    read = teach(looks, belongs ^ wrong)(looks) > 0
    # .90 or .89, as libraries round.
    assert (read == belongs)[wrong].float().mean() > 0.85


def test_the_same_cells_teach_the_same_whatever_was_drawn_before():
    looks, belongs = looks_around_the_middle()
    first = teach(looks, belongs)(looks)
    state = torch.get_rng_state()
    torch.rand(7)
    second = teach(looks, belongs)(looks)
    assert torch.equal(first, second)
    torch.set_rng_state(state)
    expected = torch.rand(3)
    torch.set_rng_state(state)
    teach(looks, belongs)
    assert torch.equal(torch.rand(3), expected)


def test_parts_that_never_vary_do_no_harm():
    looks, belongs = looks_around_the_middle()
    flat = torch.cat([looks, torch.zeros(len(looks), 1)], dim=1)
    assert teach(flat, belongs)(flat).isfinite().all()


@pytest.fixture
def threads():
    usual = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(usual)


def test_the_same_cells_teach_the_same_on_any_number_of_threads(threads):
    looks, belongs = looks_around_the_middle()
    looks = torch.cat([looks] * 20, dim=1)
    answers = []
    for count in (1, 3):
        threads(count)
        read = teach(looks, belongs)
        assert torch.get_num_threads() == count
        threads(1)
        answers.append(read(looks))
    assert torch.equal(*answers)

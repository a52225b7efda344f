"""What a model computes in is settled once on a machine."""

from __future__ import annotations

import pytest
import torch

from napari_dinomed.features import precision
from napari_dinomed.features.device import CPU
from napari_dinomed.features.precision import settled_precision
from napari_dinomed.features.remembered import note_of


def tokens() -> torch.Tensor:
    return torch.ones((4, 8))


@pytest.fixture
def trials(monkeypatch) -> list[torch.dtype | None]:
    """What trials will find, one after the other."""
    found: list[torch.dtype | None] = []
    monkeypatch.setattr(precision, "fastest_precision", lambda *_: found.pop(0))
    return found


@pytest.mark.parametrize("first", [None, torch.bfloat16])
def test_what_was_settled_first_holds(trials, first):
    trials += [first, torch.bfloat16 if first is None else None]
    assert settled_precision(CPU, "a", tokens) == first
    assert settled_precision(CPU, "a", tokens) == first
    assert len(trials) == 1
    assert settled_precision(CPU, "b", tokens) == trials_left(first)


def trials_left(first: torch.dtype | None) -> torch.dtype | None:
    return torch.bfloat16 if first is None else None


def test_a_process_that_was_first_meanwhile_is_followed(home, monkeypatch):
    def slow(*_):
        note_of("precision", "a").parent.mkdir(parents=True)
        note_of("precision", "a").write_text("bfloat16")

    monkeypatch.setattr(precision, "fastest_precision", slow)
    assert settled_precision(CPU, "a", tokens) == torch.bfloat16


@pytest.mark.parametrize("damage", [b"", b"fast", b"\xff\xfe"])
def test_a_damaged_note_is_tried_again(home, trials, damage):
    note_of("precision", "a").parent.mkdir(parents=True)
    note_of("precision", "a").write_bytes(damage)
    trials += [torch.bfloat16]
    assert settled_precision(CPU, "a", tokens) == torch.bfloat16


def test_without_a_place_to_keep_it_a_trial_decides(home, trials):
    (home / "cache").write_text("no folder")
    trials += [torch.bfloat16]
    assert settled_precision(CPU, "a", tokens) == torch.bfloat16

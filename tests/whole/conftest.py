from __future__ import annotations

import pytest

from napari_dinomed.whole import readout


@pytest.fixture(autouse=True)
def few_parts(monkeypatch):
    """What is made up here is told by few parts of it, and how surely by few draws."""
    monkeypatch.setattr(readout, "_FOLDS", 4)
    monkeypatch.setattr(readout, "_DRAWS", 100)


@pytest.fixture
def few_choices(monkeypatch, few_parts):
    """For tests that do not ask how well something is told."""
    monkeypatch.setattr(readout, "_FOLDS", 2)
    monkeypatch.setattr(readout, "_DEALS", 1)
    monkeypatch.setattr(readout, "_NEIGHBOURS", (1, 3))
    monkeypatch.setattr(readout, "_STRENGTHS", (1.0,))

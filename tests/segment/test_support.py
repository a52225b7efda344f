"""How far support falls, on volumes with little or much air around the patient."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.headless import prepare
from napari_dinomed.segment.grow import Grower
from napari_dinomed.segment.level import Level
from napari_dinomed.segment.support import SupportField
from napari_dinomed.volume import Geometry, Volume, Window
from tests.conftest import ball


@pytest.fixture
def field(tmp_path, monkeypatch):
    """A field of support, after a margin of air."""
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    shape = (24, 48, 48)
    body = np.full(shape, 80) + 60 * ball(shape, (12, 20, 20), 7)
    body = body + np.random.default_rng(0).normal(0, 4, shape)

    def open_field(margin, window):
        grey = np.pad(body, ((0, 0), (margin, margin), (margin, margin))).astype(np.int16)
        geometry = Geometry.from_spacing(grey.shape, (1.0, 1.0, 1.0), "mm")
        volume = Volume(grey, geometry, "MR")
        banks = prepare(volume, "filters").banks
        return SupportField(volume, window, banks, "euclidean")

    return open_field


@pytest.fixture
def fallen(field):
    """The median of a click's support and the unit of depth, after a margin of air."""

    def measure(margin, window):
        opened = field(margin, window)
        support = opened.of((12, 20 + margin, 20 + margin))
        return -float(np.median(support)), opened.depth_unit(support)

    return measure


def test_air_around_the_patient_counts_less_than_the_patient(fallen):
    tight_median, tight_unit = fallen(0, Window(0, 160))
    wide_median, wide_unit = fallen(24, Window(0, 160))
    assert tight_unit == pytest.approx(tight_median)
    assert wide_median > 1.5 * tight_median
    assert wide_unit / tight_unit < (wide_median / tight_median) ** 0.75


def test_where_the_window_shows_nothing_every_cell_counts(fallen):
    median, unit = fallen(0, Window(0, 10_000))
    assert unit == pytest.approx(median)
    assert unit > 0


def test_what_is_kept_has_a_limit(field, monkeypatch):
    from napari_dinomed.segment import grow, support

    monkeypatch.setattr(support, "_KEPT_LEVELS", 3)
    opened = field(0, Window(0, 160))
    monkeypatch.setattr(grow, "choose_level", lambda *_: Level(0.4, 1.0))
    geometry = Geometry.from_spacing((24, 48, 48), (1.0, 1.0, 1.0), "mm")
    volume = Volume(np.zeros((24, 48, 48)), geometry, "MR")
    for x in range(6):
        clicks = (((12, 20, 20 + x), True),)
        Grower(volume, Window(0, 160), opened, clicks)._level(clicks, 1)
        assert len(opened.levels) == min(x + 1, 3)

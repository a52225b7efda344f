"""How an encoder may see a volume."""

from __future__ import annotations

from napari_dinomed.annotation.choices import Choices
from napari_dinomed.session.sight import Sights
from napari_dinomed.volume import CT_PRESETS, choose_window


def test_a_window_that_only_another_version_knows_is_the_volumes_own(ball_volume):
    volume, _ = ball_volume
    sights = Sights(volume)
    assert sights.of(Choices(window="spine")).window == choose_window(volume)
    assert sights.of(Choices(window="lung")).window == CT_PRESETS["lung"]

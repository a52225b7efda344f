"""What is chosen for one volume is offered for the next of its kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from napari.layers import Image

from napari_dinomed.plugin.encoders import advice, known_of, remember, remembered
from napari_dinomed.plugin.layers import image_options
from napari_dinomed.settings import load_settings


def encoder_of(bench) -> str:
    return bench.session.document.choices.encoder


def another(bench, volume, modality):
    """Go to another image, of a kind."""
    other = replace(volume, array=volume.array + 1, modality=modality)
    image = Image(other.array, **image_options(other, modality))
    bench.viewer.layers.append(image)
    bench.bind(image)


def test_the_encoder_is_remembered_for_each_kind(bench, loop, ball_volume):
    volume, _ = ball_volume
    assert volume.modality == "MR"
    assert encoder_of(bench) == "filters"
    bench.choose_encoder("dinov3-s")
    another(bench, volume, "CT")
    assert encoder_of(bench) == "filters"
    another(bench, replace(volume, array=volume.array + 5), "MR")
    assert encoder_of(bench) == "dinov3-s"
    bench.undo()
    assert encoder_of(bench) == "dinov3-s"
    bench.choose_encoder("filters")
    assert load_settings().encoders == {"MR": "filters"}


def test_weights_that_are_gone_are_not_begun_with(tmp_path):
    path = tmp_path / "vit.safetensors"
    path.write_bytes(b"")
    remember("EM", f"file:{path}")
    assert remembered("EM") == f"file:{path}"
    path.unlink()
    assert remembered("EM") == "filters"


@pytest.mark.parametrize(
    ("kind", "encoder", "is_told"),
    [("EM", "filters", True), ("EM", "dinov3-s", False), ("CT", "filters", False)],
)
def test_what_suits_a_kind_is_said(kind, encoder, is_told):
    assert bool(advice(kind, encoder)) is is_told
    assert "filters" in known_of(kind)


def test_settings_of_before_are_read(home):
    settings = '{"cache_limit": 1, "offline": false, "accepted_licences": [], '
    (home / "settings.json").write_text(settings + '"label_suffix": ".nii"}')
    assert load_settings().encoders == {}
    assert remembered("CT") == "filters"

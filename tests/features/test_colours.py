"""Pictures in colour: an encoder is shown their colours, all else their luminance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.engine.messages import from_plain, open_request, to_plain
from napari_dinomed.errors import VolumeError
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.features.checkpoint import Checkpoint, Statistics, import_timm
from napari_dinomed.features.encoder import EncoderSpec
from napari_dinomed.features.filters import FilterEncoder
from napari_dinomed.features.stack import SlicePlan, SliceStack
from napari_dinomed.volume import (
    Geometry,
    Volume,
    choose_window,
    luminance,
    seen_with,
    with_colours,
)

SHAPE = (2, 32, 48)
# As bright as each other, by the luma of red, green and blue.
RED, GREEN = (187, 0, 0), (0, 95, 0)


def picture(dtype=np.uint8, scale=1) -> Volume:
    """Red on the left and as bright a green on the right."""
    colours = np.zeros((*SHAPE, 3), dtype)
    colours[:, :, :24], colours[:, :, 24:] = RED, GREEN
    colours = colours * np.array(scale, dtype)
    geometry = Geometry.from_spacing(SHAPE, (1.0, 0.5, 0.5), "µm")
    return with_colours(Volume(luminance(colours), geometry), colours)


def stack_of(volume: Volume) -> SliceStack:
    return SliceStack(volume, choose_window(volume))


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 1), (np.float32, 1 / 255)])
def test_an_encoder_is_shown_red_green_and_blue(dtype, scale):
    volume = picture(dtype, scale)
    assert np.ptp(volume.array) <= 1 * scale
    shown = stack_of(volume).colours(0, 2)
    assert shown.shape == (2, 3, *SHAPE[1:])
    np.testing.assert_allclose(shown[:, :, 0, 0], [np.divide(RED, 255)] * 2, atol=1e-6)
    np.testing.assert_allclose(shown[:, :, 0, -1], [np.divide(GREEN, 255)] * 2, atol=1e-6)


def test_twelve_bits_are_as_bright_as_eight():
    eight, twelve = stack_of(picture()), stack_of(picture(np.uint16, 16))
    np.testing.assert_allclose(eight.colours(0, 2), twelve.colours(0, 2), atol=0.01)


def test_tokens_tell_hues_that_filters_cannot():
    volume = picture()
    torch.manual_seed(0)
    model = import_timm().create_model(
        "test_vit", num_classes=0, img_size=32, dynamic_img_size=True
    )
    checkpoint = Checkpoint(model.eval(), "test_vit", Statistics((0.5,) * 3, (0.5,) * 3))
    encoder = BackboneEncoder(
        checkpoint, EncoderSpec("random", "random"), "0", torch.device("cpu"), print
    )
    plan = SlicePlan(32, 48)
    (tokens,) = encoder.encode(stack_of(volume), 0, 1, plan)
    assert _apart(tokens) > 0.1
    (grey,) = FilterEncoder().encode(stack_of(volume), 0, 1, plan)
    assert _apart(grey[:17]) < 0.02


def _apart(tokens) -> float:
    """How much the far left and the far right differ, beside how large they are."""
    left, right = (tokens[..., column].astype(np.float32) for column in (0, -1))
    return float(np.abs(left - right).mean() / np.abs(tokens).mean())


def test_two_pictures_that_differ_in_hue_alone_are_two():
    volume = picture()
    mirrored = with_colours(volume, np.ascontiguousarray(volume.colours[:, :, ::-1]))
    assert mirrored.fingerprint != volume.fingerprint


def test_colours_cross_to_the_engine():
    request = open_request("a", picture())
    kind, body, arrays = to_plain(request)
    again = from_plain(kind, body, arrays)
    np.testing.assert_array_equal(again.colours, picture().colours)


def test_a_picture_in_colour_is_looked_at_alone():
    grey = Volume(picture().array, picture().geometry)
    for pair in ((picture(), grey), (grey, picture())):
        with pytest.raises(VolumeError, match="looked at alone"):
            seen_with(pair[0], [pair[1]])


def test_colours_of_another_shape_are_refused():
    with pytest.raises(VolumeError, match=r"\(z, y, x, 3\)"):
        with_colours(picture(), np.zeros((2, 32, 48, 4), np.uint8))

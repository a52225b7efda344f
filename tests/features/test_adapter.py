"""Adapters: what they do to a model, what their file says, and whom they belong to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dinomed.errors import ModelError, WeightsError, WriteError
from napari_dinomed.features.adapter import (
    KIND,
    Adapter,
    AdapterHeader,
    Scale,
    Trial,
    read_adapter,
)
from napari_dinomed.features.checkpoint import import_timm
from napari_dinomed.features.lora import fold, insert
from napari_dinomed.volume import Geometry, Volume, with_colours
from napari_dinomed.volume.colours import stain_of

SCALE = Scale((50.0, 4.0, 4.0), "nm", 8.0)
TRIAL = Trial("mitochondria", "probe", (0.5, 0.5, 0.5), (0.6, 0.65, 0.7))
HEADER = AdapterHeader(
    "dinov3-s",
    "0123456789abcdef",
    "EM",
    SCALE,
    side=256,
    read=4,
    rank=2,
    blocks=(0, 1),
    rate=1e-3,
    lessons=9,
    labels=("mitochondria",),
    volumes=1,
    slices=4,
    held_out="slices",
    trials=(TRIAL,),
)


def _tokens(model):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    return model.forward_intermediates(image, norm=True, intermediates_only=True)[-1]


@pytest.mark.parametrize(
    "architecture",
    ["vit_tiny_patch16_dinov3_qkvb", "vit_small_plus_patch16_dinov3", "test_vit"],
)
def test_an_adapter_does_nothing_until_taught_and_folds_into_the_weights(architecture):
    """Biases of their own, gated MLPs and plain blocks alike."""
    options = {"depth": 2} if architecture != "test_vit" else {"img_size": 64}
    torch.manual_seed(0)
    model = import_timm().create_model(architecture, num_classes=0, **options).eval()
    model.requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "gamma" in name:  # new models hardly listen to their blocks
            parameter.fill_(1.0)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = _tokens(model)
    adapters = insert(model, 2, range(len(model.blocks)))
    assert all({"attn", "mlp"} & set(name.split(".")) for name in adapters)
    for adapter in adapters.values():
        adapter.begin(torch.Generator().manual_seed(0))
    torch.testing.assert_close(_tokens(model), frozen)
    tensors = {}
    for name, adapter in adapters.items():
        torch.nn.init.normal_(adapter.up, std=0.1)
        tensors |= {f"{name}.down": adapter.down, f"{name}.up": adapter.up}
    adapted = _tokens(model)
    assert (adapted - frozen).abs().max() > 0.1
    adapted.sum().backward()
    assert all(tensor.grad.abs().max() > 0 for tensor in tensors.values())
    plain = import_timm().create_model(architecture, num_classes=0, **options).eval()
    plain.load_state_dict(state)
    fold(plain, {name: tensor.detach() for name, tensor in tensors.items()})
    torch.testing.assert_close(_tokens(plain), adapted.detach(), atol=1e-4, rtol=1e-4)


def test_what_is_no_transformer_or_another_one_is_refused():
    with pytest.raises(WeightsError, match="Expected a vision transformer"):
        insert(import_timm().create_model("convnext_atto", num_classes=0), 2, (0,))
    tensors = {"blocks.0.attn.qkv.up": torch.ones(3, 2)}
    tensors["blocks.0.attn.qkv.down"] = torch.ones(2, 5)
    with pytest.raises(WeightsError, match="does not fit the encoder"):
        fold(import_timm().create_model("test_vit", num_classes=0), tensors)


def test_the_file_comes_back_and_names_no_folder(tmp_path):
    path = tmp_path / "mito.dinoadapt"
    Adapter(HEADER, {"blocks.0.attn.qkv.up": torch.ones(3, 2)}).write(path)
    adapter = read_adapter(path)
    assert adapter.header == HEADER
    assert adapter.tensors["blocks.0.attn.qkv.up"].shape == (3, 2)
    assert str(tmp_path).encode() not in path.read_bytes()
    with pytest.raises(WriteError, match="is there by now"):
        adapter.write(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match=r"Expected a adapter|Expected an adapter"):
        KIND.read(path)


def test_better_is_more_than_the_spread_over_folds():
    assert HEADER.is_better
    assert HEADER.gains == pytest.approx((0.1, 0.15, 0.2))
    for adapted in ((0.7, 0.5, 0.6), (0.51, 0.51, 0.51), (0.9, 0.51, 0.515)):
        assert not replace(HEADER, trials=(replace(TRIAL, adapted=adapted),)).is_better


def test_a_fold_that_fails_without_it_neither_sells_nor_refuses_it():
    """Of four slices one, frozen, was read as nothing: gains of .09, .81, .20 and .01."""
    frozen, adapted = (0.70, 0.00, 0.63, 0.80), (0.79, 0.81, 0.83, 0.81)
    header = replace(HEADER, trials=(replace(TRIAL, frozen=frozen, adapted=adapted),))
    assert header.is_better
    assert header.gain == pytest.approx(0.145)


def _stained(*densities):
    """A picture in which each pixel has so much of some dyes, and some glass."""
    amounts = np.random.default_rng(0).uniform(0, 1, (1, 40, 40, len(densities)))
    amounts[:, :10] = 0
    colours = (255 * np.exp(-amounts @ np.array(densities))).astype(np.uint8)
    geometry = Geometry.from_spacing((1, 40, 40), (0.5, 0.5, 0.5), "µm")
    return with_colours(Volume(colours[..., 0], geometry), colours)


def test_another_stain_is_told_and_more_of_the_same_is_not():
    haematoxylin, eosin, brown = (0.65, 0.7, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)
    blue = [0.7 * part for part in haematoxylin]
    usual, darker, immuno = (
        stain_of(_stained(*dyes))
        for dyes in ((haematoxylin, eosin), (haematoxylin, blue, eosin), (blue, brown))
    )
    assert sum(usual) == pytest.approx(1)
    header = replace(HEADER, stain=usual)
    assert header.differences("EM", SCALE, darker) == ()
    assert header.differences("EM", SCALE, immuno) == ("it was adapted on another stain",)
    (grey,) = header.differences("EM", SCALE)
    assert "on pictures in colour, and this is grey images" in grey
    assert stain_of(_stained((0.0, 0.0, 0.0))) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert stain_of(replace(_stained(eosin), colours=None)) is None


def test_a_volume_of_another_kind_is_told():
    assert HEADER.differences("EM", SCALE) == ()
    (kind,) = HEADER.differences("CT", SCALE)
    assert "adapted on EM" in kind
    (size,) = HEADER.differences("EM", replace(SCALE, pixel=20.0))
    assert "seen at 8 nm" in size
    assert "seen at 20 nm" in size
    assert HEADER.differences("EM", replace(SCALE, unit="mm"))
    assert HEADER.differences("EM", replace(SCALE, unit="px"))
    spacing = tuple(length / 1000 for length in SCALE.spacing)
    micrometres = Scale(spacing, "µm", SCALE.pixel / 1000)
    assert HEADER.differences("EM", micrometres) == ()
    worse = replace(HEADER, trials=(replace(TRIAL, adapted=(0.4, 0.4, 0.4)),))
    assert "did not do better" in worse.differences("EM", SCALE)[0]
    with pytest.raises(WeightsError, match="made for dinov3-s"):
        HEADER.require_weights("f" * 64)

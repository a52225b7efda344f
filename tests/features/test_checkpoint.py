"""Every layout of weights gives the same tokens; what does not fit is refused."""

from __future__ import annotations

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from napari_dinomed.errors import WeightsError
from napari_dinomed.features.checkpoint import import_timm, load_checkpoint

META_NAMES = (
    ("reg_token", "storage_tokens"),
    ("gamma_1", "ls1.gamma"),
    ("gamma_2", "ls2.gamma"),
    ("mlp.fc1_g.", "mlp.w1."),
    ("mlp.fc1_x.", "mlp.w2."),
)


def _random_model(architecture):
    torch.manual_seed(0)
    model = import_timm().create_model(architecture, num_classes=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.05)
        model.rope.periods.copy_(model.rope.periods.bfloat16().float())
    return model


def _to_meta(model) -> dict[str, torch.Tensor]:
    """The same weights in the layout of Meta's release, training-only parts included."""
    is_gated = any("fc1_g" in key for key in model.state_dict())
    state = {}
    for key, value in model.state_dict().items():
        if key.endswith(("q_bias", "v_bias")):
            continue
        for ours, theirs in META_NAMES:
            key = key.replace(ours, theirs)
        if is_gated:
            key = key.replace("mlp.fc2.", "mlp.w3.")
        state[key] = value
    width = model.embed_dim
    for number, block in enumerate(model.blocks):
        bias = torch.zeros(3 * width)
        if block.attn.q_bias is not None:
            bias[:width], bias[2 * width :] = block.attn.q_bias, block.attn.v_bias
        bias[width : 2 * width] = torch.nan
        state[f"blocks.{number}.attn.qkv.bias"] = bias
        state[f"blocks.{number}.attn.qkv.bias_mask"] = torch.ones(3 * width)
    state["mask_token"] = torch.zeros(1, width)
    state["rope_embed.periods"] = model.rope.periods.bfloat16()
    return state


def _tokens(model):
    torch.manual_seed(1)
    with torch.inference_mode():
        return model.forward_intermediates(
            torch.rand(1, 3, 96, 64), indices=[2, 11], norm=True, intermediates_only=True
        )


def _assert_same_tokens(loaded, expected):
    for ours, theirs in zip(_tokens(loaded), _tokens(expected), strict=True):
        torch.testing.assert_close(ours, theirs)


ARCHITECTURES = (
    "vit_small_patch16_dinov3",
    "vit_small_plus_patch16_dinov3",
    "vit_tiny_patch16_dinov3_qkvb",
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_timms_layout(tmp_path, architecture):
    model = _random_model(architecture)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    loaded = load_checkpoint(tmp_path / "weights.safetensors")
    assert loaded.architecture == architecture
    assert loaded.statistics.mean == (0.485, 0.456, 0.406)
    _assert_same_tokens(loaded.model, model)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_metas_layout(tmp_path, architecture):
    model = _random_model(architecture)
    torch.save(_to_meta(model), tmp_path / "weights.pth")
    loaded = load_checkpoint(tmp_path / "weights.pth")
    assert loaded.architecture == architecture
    _assert_same_tokens(loaded.model, model)


def test_meddinov3s_layout(tmp_path):
    """A training checkpoint of DINOv3; its input is Hounsfield units, not photographs."""
    model = _random_model("vit_small_patch16_dinov3")
    teacher = {f"backbone.{key}": value for key, value in _to_meta(model).items()}
    teacher["dino_head.mlp.0.weight"] = torch.zeros(2, 2)
    teacher["ibot_head.last_layer.weight"] = torch.zeros(2, 2)
    torch.save({"teacher": teacher, "iteration": 7}, tmp_path / "weights.pth")
    loaded = load_checkpoint(tmp_path / "weights.pth")
    _assert_same_tokens(loaded.model, model)
    window = loaded.statistics.window
    assert (window.low, window.high) == (-1000.0, 1000.0)
    mean_hu = loaded.statistics.mean[0] * 2000 - 1000
    assert mean_hu == pytest.approx(65.1084)
    assert loaded.statistics.std[0] * 2000 == pytest.approx(178.0166)


def test_the_real_vit(vit_weights):
    loaded = load_checkpoint(vit_weights)
    assert loaded.architecture == "vit_tiny_patch16_224"
    assert loaded.statistics.mean == loaded.statistics.std == (0.5, 0.5, 0.5)


def test_a_sidecar_goes_before_the_architectures_own_statistics(tmp_path):
    model = _random_model("vit_small_patch16_dinov3")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    sidecar = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "window": [-100, 300]}
    (tmp_path / "w.safetensors.json").write_text(json.dumps(sidecar))
    statistics = load_checkpoint(tmp_path / "w.safetensors").statistics
    assert statistics.mean == (0.1, 0.2, 0.3)
    assert statistics.window.high == 300


@pytest.mark.parametrize("sidecar", ["{", '{"mean": [1, 2]}', '{"mean": [1, 2, 3]}', "[]"])
def test_a_damaged_sidecar(tmp_path, sidecar):
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors.json").write_text(sidecar)
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_weights_of_another_shape(tmp_path):
    state = _random_model("vit_small_patch16_dinov3").state_dict()
    state["blocks.3.mlp.fc1.weight"] = torch.zeros(8, 384)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"blocks\.3\.mlp\.fc1\.weight is \(8, 384\)"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_weights_with_a_part_missing(tmp_path):
    state = _random_model("vit_small_patch16_dinov3").state_dict()
    del state["norm.weight"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"norm\.weight is missing"):
        load_checkpoint(tmp_path / "w.safetensors")


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_bomb_does_not_go_off(tmp_path, writer):
    target = tmp_path / "bombed"
    path = tmp_path / "bomb.pth"
    if writer == "torch":
        torch.save({"model": _Bomb(str(target))}, path)
    else:
        path.write_bytes(pickle.dumps({"model": _Bomb(str(target))}))
    with pytest.raises(WeightsError, match=r"bomb\.pth"):
        load_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x00" * 64])
def test_a_file_that_is_not_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load_checkpoint(tmp_path / name)


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="no file"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_an_unknown_architecture(tmp_path):
    save_file({"layer.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="no vision transformer"):
        load_checkpoint(tmp_path / "w.safetensors")


ELSEWHERE = (
    "hf-hub:someone/model",
    "hf_hub:someone/model",
    "local-dir:/etc",
    "https://example.org/model",
    "../vit_small_patch16_dinov3",
    "vit_small_patch16_dinov3@main",
    "",
    "no_such_model",
)


@pytest.mark.parametrize("architecture", ELSEWHERE)
def test_a_sidecar_makes_timm_read_from_nowhere_else(tmp_path, monkeypatch, architecture):
    timm = import_timm()
    monkeypatch.setattr(timm, "create_model", None)
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    (tmp_path / "w.safetensors.json").write_text(json.dumps({"architecture": architecture}))
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        load_checkpoint(path)


def test_a_sidecar_names_an_architecture_and_its_training(tmp_path):
    model = _random_model("vit_small_patch16_dinov3")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    named = {"architecture": "vit_small_patch16_dinov3.lvd1689m"}
    (tmp_path / "w.safetensors.json").write_text(json.dumps(named))
    loaded = load_checkpoint(tmp_path / "w.safetensors")
    assert loaded.architecture == named["architecture"]


ODD_SIDECARS = (
    '{"architecture": 5}',
    '{"architecture": ["vit_small_patch16_dinov3"]}',
    '{"mean": "abc", "std": [1, 1, 1]}',
    '{"mean": [0, 0, 0], "std": [1, 0, 1]}',
    '{"mean": [0, 0, NaN], "std": [1, 1, 1]}',
    '{"mean": [0, 0, 0], "std": [1, 1, Infinity]}',
    '{"mean": [{}, 0, 0], "std": [1, 1, 1]}',
    '{"mean": [1%s, 0, 0], "std": [1, 1, 1]}' % ("0" * 4000),
    '{"window": [5, 5]}',
    '{"window": null}',
    '{"window": {"low": 1, "high": 2}}',
    "[" * 60_000,
    '{"a": ' * 10_000,
    '"architecture"',
    "\x00",
    " " * 100_000 + "{}",
)


@pytest.mark.parametrize("sidecar", ODD_SIDECARS, ids=lambda text: text[:30])
def test_an_odd_sidecar_is_one_error(tmp_path, sidecar):
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors.json").write_text(sidecar)
    with pytest.raises(WeightsError, match=r"in w\.safetensors\.json"):
        load_checkpoint(tmp_path / "w.safetensors")


def _make(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path)
    else:
        path.mkdir()


@pytest.mark.skipif(os.name == "nt", reason="has no pipes and devices among its files")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to itself"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.safetensors.json"])
def test_what_is_no_ordinary_file_is_one_error_at_once(tmp_path, name, kind):
    if name.endswith(".json"):
        save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    _make(tmp_path / name, kind)
    with pytest.raises(WeightsError, match=name):
        load_checkpoint(tmp_path / name.removesuffix(".json"))


ODD_STATES = (
    {"patch_embed.proj.weight": torch.zeros(384, 3, 16, 16), "pos_embed": torch.zeros(3)},
    {"storage_tokens": torch.zeros(1), "a.attn.qkv.bias": torch.zeros(1)},
    {"stages.3.blocks.0.conv_dw.weight": torch.tensor(1.0)},
    {1: torch.zeros(1)},
    {"model": {"module.": torch.zeros(1)}},
)


@pytest.mark.parametrize("number", range(len(ODD_STATES)))
def test_odd_tensors_are_one_error(tmp_path, number):
    torch.save(ODD_STATES[number], tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth"):
        load_checkpoint(tmp_path / "w.pth")

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_dinomed.errors import EngineError
from napari_dinomed.features import backbone
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.features.checkpoint import Checkpoint, Statistics, import_timm
from napari_dinomed.features.device import choose_device, placed
from napari_dinomed.features.encoder import EncoderSpec
from napari_dinomed.features.stack import SlicePlan, SliceStack
from napari_dinomed.volume import choose_window, seen_with

PLAN = SlicePlan(height=64, width=75)


def _encoder(architecture, notices=None, **options):
    torch.manual_seed(0)
    model = import_timm().create_model(architecture, num_classes=0, **options).eval()
    statistics = Statistics((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return BackboneEncoder(
        Checkpoint(model, architecture, statistics),
        EncoderSpec("test", "test"),
        "hash",
        torch.device("cpu"),
        (notices if notices is not None else []).append,
    )


@pytest.fixture
def stack(ball_volume):
    volume, _ = ball_volume
    return SliceStack(volume, choose_window(volume))


@pytest.mark.parametrize(
    ("architecture", "channels"),
    [
        ("vit_tiny_patch16_dinov3_qkvb", 4 * 192),
        ("vit_tiny_patch16_224", 4 * 192),
        ("convnext_tiny", 384 + 768),
    ],
)
def test_tokens_lie_on_the_promised_grid(stack, architecture, channels):
    options = {"dynamic_img_size": True} if "224" in architecture else {}
    encoder = _encoder(architecture, **options)
    tokens = encoder.encode(stack, 2, 5, PLAN)
    rows, columns = encoder.grid(stack.slice_shape, PLAN)
    assert tokens.shape == (3, channels, rows, columns)
    assert encoder.spec.channels == channels
    assert tokens.dtype == np.float16
    assert np.isfinite(tokens).all()


def test_prefix_tokens_are_dropped_and_layers_are_in_order(stack):
    """What the encoder gives is the model's own patch tokens, block by block."""
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb")
    encoder._precision = None
    got = encoder.encode(stack, 8, 9, PLAN)
    size = tuple(16 * n for n in encoder.grid(stack.slice_shape, PLAN))
    grey = torch.from_numpy(stack.read(8, 9))[:, None]
    resized = torch.nn.functional.interpolate(grey, size, mode="bilinear", antialias=True)
    images = ((resized - 0.5) / 0.25).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        expected = encoder.model.forward_intermediates(
            images, indices=[2, 5, 8, 11], norm=True, intermediates_only=True
        )
    np.testing.assert_allclose(got, torch.cat(expected, 1).numpy(), atol=5e-3, rtol=5e-3)


def test_half_precision_describes_the_same(stack):
    """Whichever precision is the fastest here, tokens point where exact ones do."""
    fastest, exact = (_encoder("vit_tiny_patch16_dinov3_qkvb") for _ in range(2))
    exact._precision = None
    tokens = (
        torch.from_numpy(e.encode(stack, 8, 10, PLAN)).float() for e in (fastest, exact)
    )
    assert torch.cosine_similarity(*tokens, dim=1).mean() > 0.999


def test_a_batch_gives_what_single_slices_give(stack):
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb")
    together = encoder.encode(stack, 0, 4, PLAN)
    apart = [encoder.encode(stack, index, index + 1, PLAN) for index in range(4)]
    np.testing.assert_allclose(together, np.concatenate(apart), atol=5e-3)


FULL = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    MemoryError(),
]


@pytest.mark.parametrize("full", FULL, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_then_takes_the_cpu(stack, monkeypatch, full):
    # Which precision is faster may be found otherwise the second time.
    monkeypatch.setattr(backbone, "settled_precision", lambda device, model, describe: None)
    notices = []
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb", notices)
    expected = encoder.encode(stack, 0, 4, PLAN)
    encoder._most, encoder._batches = 4, {}
    monkeypatch.setattr(backbone, "settled_batch", lambda device, model, encode: 4)
    encoder._device = torch.device("meta")  # stands for a GPU that is too small
    forward = encoder._forward

    def too_small(slices, grid):
        if encoder._device.type != "cpu":
            raise full
        return forward(slices, grid)

    monkeypatch.setattr(encoder, "_forward", too_small)
    monkeypatch.setattr(backbone, "describe_device", str)
    np.testing.assert_array_equal(encoder.encode(stack, 0, 4, PLAN), expected)
    assert [n.rpartition("with ")[2] for n in notices] == [
        "2 slices at a time.",
        "1 slices at a time.",
        "the CPU.",
    ]


def test_without_memory_for_one_slice_there_is_one_error_and_the_next_may_do(
    stack, monkeypatch
):
    monkeypatch.setattr(backbone, "settled_precision", lambda device, model, describe: None)
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb")
    forward, full = (
        encoder._forward,
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    )

    def fail(slices, grid):
        raise full

    monkeypatch.setattr(encoder, "_forward", fail)
    with pytest.raises(EngineError, match="single slice"):
        encoder.encode(stack, 0, 4, PLAN)
    monkeypatch.setattr(encoder, "_forward", forward)
    assert len(encoder.encode(stack, 0, 4, PLAN)) == 4


def test_other_errors_of_a_device_are_not_taken_for_a_lack_of_memory(stack, monkeypatch):
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb")

    def fail(slices, grid):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(encoder, "_forward", fail)
    with pytest.raises(RuntimeError, match="assert"):
        encoder.encode(stack, 0, 4, PLAN)


def test_a_model_that_does_not_fit_on_a_device_is_on_the_cpu(monkeypatch):
    class Large(torch.nn.Linear):
        def to(self, device):
            if device.type != "cpu":
                raise torch.OutOfMemoryError
            return super().to(device)

    said = []
    model = Large(1, 1)
    assert placed(model, torch.device("meta"), said.append) == (model, torch.device("cpu"))
    assert "going on with the CPU" in said[0]


def test_a_device_that_is_not_there():
    missing = "mps" if not torch.backends.mps.is_available() else "xpu"
    with pytest.raises(EngineError, match=missing):
        choose_device(missing)


def test_it_is_loaded_by_file_name(tmp_path, stack):
    model = import_timm().create_model("vit_tiny_patch16_dinov3_qkvb", num_classes=0)
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    name = f"file:{tmp_path / 'mine.safetensors'}"
    encoder = BackboneEncoder.from_name(name, "cpu", print)
    assert encoder.encode(stack, 0, 1, PLAN).shape[1] == encoder.spec.channels == 768
    assert "CPU" in encoder.device


def test_further_images_are_further_colours(ball_volume):
    """Two or three images make a colour picture; the same one thrice is grey again."""
    volume, _ = ball_volume
    window = choose_window(volume)
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb")

    def encode(*others):
        return encoder.encode(SliceStack(seen_with(volume, others), window), 2, 4, PLAN)

    dark = replace(volume, array=-volume.array)
    alone = encode()
    np.testing.assert_allclose(encode(volume, volume), alone, atol=0.05)
    assert np.abs(encode(dark) - alone.astype(np.float32)).max() > 0.5
    assert encode(dark).shape == alone.shape

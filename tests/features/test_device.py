"""Devices and precisions."""

from __future__ import annotations

import time

import pytest
import torch

from napari_dinomed.errors import EngineError
from napari_dinomed.features import device
from napari_dinomed.features.device import fastest_precision
from napari_dinomed.features.encoder import make_encoder

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("is_slower", "is_wrong", "chosen"),
    [(False, False, torch.bfloat16), (True, False, None), (False, True, None)],
)
def test_half_precision_must_be_faster_and_right(monkeypatch, is_slower, is_wrong, chosen):
    monkeypatch.setattr(device, "half_precision", lambda _: torch.bfloat16)

    def describe():
        is_half = torch.is_autocast_enabled("cpu")
        time.sleep(0.05 if is_half == is_slower else 0.01)
        return -torch.ones(3, 2) if is_half and is_wrong else torch.ones(3, 2)

    assert fastest_precision(CPU, describe) == chosen


def test_without_half_precision_none_is_tried(monkeypatch):
    monkeypatch.setattr(device, "half_precision", lambda _: None)
    assert fastest_precision(CPU, lambda: pytest.fail("tried")) is None


@pytest.mark.parametrize("name", ["filters", "dinov3-s"])
def test_a_device_that_is_not_here_is_refused_whatever_encodes(name):
    with pytest.raises(EngineError, match=r"a device out of .*cpu.*; got 'quantum'"):
        make_encoder(name, "quantum", lambda _: None)


@pytest.mark.parametrize(
    ("chosen", "count", "names"),
    [
        (None, 2, ("0", "1")),
        ("3, GPU-7", 2, ("3", "GPU-7")),
        ("0,9,1", 1, ("0",)),
        (None, 0, ()),
    ],
)
def test_gpus_are_named_as_those_that_may_be_seen_are(monkeypatch, chosen, count, names):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert device.gpus() == names

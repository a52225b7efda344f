"""How many slices are encoded at once is tried once, and remembered."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest
import torch

from napari_dinomed.features import batch
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.features.batch import best_batch, settled_batch
from napari_dinomed.features.device import CPU
from tests.features.test_backbone import PLAN, _encoder, stack  # noqa: F401

GPU = torch.device("meta")  # stands for one


@pytest.fixture
def gpu(monkeypatch):
    """A device that batches are tried on."""
    monkeypatch.setitem(batch.MOST, "meta", 32)
    monkeypatch.setattr(batch, "describe_device", str)
    monkeypatch.setattr("napari_dinomed.features.device.wait_for", lambda device: None)
    return GPU


def test_the_smallest_that_a_larger_one_is_hardly_faster_than():
    # A launch that takes as long as four slices, and room for any number.
    seconds = {size: max(4, size) for size in (1, 2, 4, 8, 16, 32)}
    assert best_batch(seconds.__getitem__, 32) == 4
    assert best_batch(lambda size: 5 + size, 32) == 32
    assert best_batch(lambda size: 5 + size, 8) == 8
    assert best_batch(lambda size: size, 32) == 1


@pytest.mark.parametrize("most", [0, 1, 4, 16])
@pytest.mark.parametrize(
    "full", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()], ids=repr
)
def test_what_has_no_room_is_too_large(most, full):
    def seconds(size):
        if size > most:
            raise full
        return 5 + size

    assert best_batch(seconds, 32) == max(1, most)


def test_another_error_is_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        best_batch(lambda size: _raise(RuntimeError("shapes differ")), 32)


def _raise(error):
    raise error


def test_it_is_tried_once_for_each_model(gpu):
    tried = []
    first = settled_batch(gpu, "a", tried.append)
    sizes = set(tried)
    assert sizes == set(takewhile(lambda n: n <= max(sizes), (1, 2, 4, 8, 16, 32)))
    assert settled_batch(gpu, "a", lambda size: pytest.fail("tried again")) == first
    tried.clear()
    settled_batch(gpu, "b", tried.append)
    assert tried


def test_a_processor_is_not_tried():
    assert settled_batch(CPU, "a", lambda size: pytest.fail("tried")) == 2


@pytest.mark.parametrize("found", [1, 3, 8])
def test_slices_are_encoded_so_many_at_once(stack, monkeypatch, found):  # noqa: F811
    encoder = _encoder("vit_tiny_patch16_dinov3_qkvb")
    expected = encoder.encode(stack, 0, 4, PLAN)
    encoder._most, encoder._batches = 8, {}
    monkeypatch.setattr("napari_dinomed.features.backbone.settled_batch", lambda *_: found)
    sizes, forward = [], BackboneEncoder._forward

    def seen(self, slices, grid):
        sizes.append(len(slices))
        return forward(self, slices, grid)

    monkeypatch.setattr(BackboneEncoder, "_forward", seen)
    np.testing.assert_allclose(encoder.encode(stack, 0, 4, PLAN), expected, atol=5e-3)
    assert sizes == {1: [1, 1, 1, 1], 3: [3, 1], 8: [4]}[found]

from __future__ import annotations

import pytest
import torch

from napari_dinomed.segment.one_object.cues import NAMES
from napari_dinomed.segment.one_object.network import load_network


@pytest.fixture(scope="module")
def network():
    return load_network()


@pytest.mark.parametrize("shape", [(12, 16, 20), (9, 35, 17), (1, 5, 3)])
def test_a_mirrored_volume_has_the_mirrored_answer(network, shape):
    cues = torch.randn((len(NAMES), *shape), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        here, there = network(cues), network(cues.flip(1, 2, 3)).flip(0, 1, 2)
    assert here.shape == shape
    torch.testing.assert_close(there, here, atol=1e-3, rtol=1e-3)


def test_its_weights_are_small_enough_to_ship(network):
    assert sum(value.numel() for value in network.parameters()) < 200_000

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_dinomed.adapt.painted import Lesson
from napari_dinomed.annotation.labels import new_label
from napari_dinomed.features.checkpoint import import_timm
from napari_dinomed.volume import Geometry, Volume

SHAPE = (6, 96, 96)
LABELS = (new_label(1),)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> str:
    """A very small transformer whose weights are random, by its encoder's name."""
    torch.manual_seed(0)
    model = import_timm().create_model(
        "test_vit", num_classes=0, img_size=96, dynamic_img_size=True
    )
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(model.state_dict(), path)
    path.with_name(path.name + ".json").write_text('{"architecture": "test_vit"}')
    return f"file:{path}"


def grain(seed: int, slices: int = 6) -> Lesson:
    """Noise that is streaked along rows in some squares (label 1), else along diagonals.

    Both have the same grey values, so that what is linear in them tells nothing.
    """
    random = np.random.default_rng(seed)
    noise = random.normal(0, 20, (2, slices, 96, 96))
    straight, slanted = (
        sum(np.roll(one, (step, rows * step), (2, 1)) for step in range(9))
        for rows, one in enumerate(noise)
    )
    squares = random.integers(0, 2, (slices, 3, 3)).astype(np.uint8)
    squares[:, 0, 0], squares[:, 1, 1] = 0, 1
    labels = np.kron(squares, np.ones((1, 32, 32), np.uint8))
    grey = np.where(labels, straight, slanted) + 128
    geometry = Geometry.from_spacing((slices, 96, 96), (50.0, 4.0, 4.0), "nm")
    volume = Volume(grey.clip(0, 255).astype(np.uint8), geometry, "EM")
    return Lesson(volume, labels, LABELS)

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.volume import Geometry, Volume

# Longer runs of what is fuzzed and killed at random; see CONTRIBUTING.md.
LONG = bool(os.environ.get("NAPARI_DINOMED_LONG_TESTS"))
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What shares a process where several run tests: files, for what they set up.

    Windows on one display take the focus from each other: one process has them all.
    """
    for item in items:
        is_window = item.get_closest_marker("display")
        group = "window" if is_window else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """Settings, weights and cache of one test alone; no test reaches the network."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real volumes, which are not part of the project")
    return SHARED / "data"


@pytest.fixture(scope="session")
def vit_weights() -> Path:
    path = SHARED / "weights" / "vit_tiny_patch16_224.safetensors"
    if not path.is_file():
        pytest.skip("needs real ViT weights, which are not part of the project")
    return path


def ball(shape, centre, radius, spacing=(1.0, 1.0, 1.0)) -> np.ndarray:
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    distance = sum(
        ((axis - c) * s) ** 2 for axis, c, s in zip(grid, centre, spacing, strict=True)
    )
    return distance <= radius**2


@pytest.fixture
def ball_volume() -> tuple[Volume, np.ndarray]:
    """A bright ball in a dim, noisy box, 3 × 0.7 × 0.7 mm; and its mask."""
    shape, spacing = (16, 48, 56), (3.0, 0.7, 0.7)
    mask = ball(shape, (8, 24, 30), 9.0, spacing)
    noise = np.random.default_rng(0).normal(0, 4, shape)
    array = (np.where(mask, 100, 20) + noise).astype(np.int16)
    geometry = Geometry.from_spacing(shape, spacing, "mm")
    return Volume(array, geometry, "MR"), mask

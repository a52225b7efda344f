from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from napari_dinomed.volume import Geometry, Volume
from tests.displays import own_display

# Longer runs of what is fuzzed and killed at random; see CONTRIBUTING.md.
LONG = bool(os.environ.get("NAPARI_DINOMED_LONG_TESTS"))
SHARED = Path(__file__).resolve().parents[2] / "shared"


# Files that take longest are begun first: else one process ends with one of them, and
# the other has nothing to do.
LONGEST = (
    "tests/plugin/test_window.py",
    "tests/test_cli.py",
    "tests/batch/test_batch.py",
    "tests/batch/test_kills.py",
    "tests/whole/test_whole.py",
)
has_own_display = pytest.StashKey[bool]()


def pytest_configure(config):
    """Each of several processes has a display of its own, where that can be had."""
    # How long an example takes tells of the machine, and what else it does.
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")
    is_alone = not hasattr(config, "workerinput")
    display = contextlib.nullcontext(True) if is_alone else own_display()
    closing = contextlib.ExitStack()
    config.stash[has_own_display] = closing.enter_context(display)
    config.add_cleanup(closing.close)


def pytest_collection_modifyitems(items):
    def place(item):
        is_it = [item.path.as_posix().endswith(name) for name in (*LONGEST, "")]
        return is_it.index(True)

    items.sort(key=place)


def pytest_collection_finish():
    """What the tests and their libraries are made of is not looked at for garbage.

    napari does so at the end of every window; a million objects take it seconds.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def display(request, tmp_path_factory):
    """A window is alone on its display: two would take the focus from each other."""
    is_window = request.node.get_closest_marker("display") is not None
    if is_window and not request.config.stash[has_own_display]:
        with FileLock(tmp_path_factory.getbasetemp().parent / "display.lock"):
            yield
    else:
        yield


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

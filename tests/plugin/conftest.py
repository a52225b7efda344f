from __future__ import annotations

import collections
import functools
import os
import sys
import time

import numpy as np
import pytest

# A process that has drawn with OpenGL and then loads torch may crash, or what torch's
# optimizers load: that is one more LLVM. The product's window never does; tests of
# everything else share this process.
import torch._dynamo  # noqa: F401
from napari.components import ViewerModel
from napari.layers import Image

from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.workbench import Workbench
from tests.fakes import FakeEngine


def needs_display(test):
    """Mark a test of a file that mostly needs no window."""
    has_one = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    is_bare = sys.platform.startswith("linux") and not has_one
    test = pytest.mark.skipif(is_bare, reason="needs a display; run under xvfb-run")(test)
    return pytest.mark.display(test)


@pytest.fixture
def qtbot(qtbot):
    """Waits as long as a busy machine may take for what it waits for."""
    qtbot.waitUntil = functools.partial(qtbot.waitUntil, timeout=60_000)
    return qtbot


class Loop:
    """An event loop to be run by hand: what is delivered waits until then."""

    def __init__(self):
        self.waiting = collections.deque()

    def deliver(self, work):
        self.waiting.append(work)

    def run(self):
        for _ in range(10_000):
            if not self.waiting:
                return
            self.waiting.popleft()()
        raise AssertionError("the loop does not come to rest")

    def wait(self, until):
        """Run what threads deliver until something is so."""
        end = time.monotonic() + 60
        self.run()
        while not until():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)
            self.run()


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def image(ball_volume):
    volume, _ = ball_volume
    return Image(volume.array, **image_options(volume, "ball"))


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def bench(image, engine, loop):
    viewer = ViewerModel()
    viewer.layers.append(image)
    workbench = Workbench(viewer, engine, loop.deliver)
    workbench.bind(image)
    loop.run()
    yield workbench
    if not workbench.is_closed:
        workbench.close()


@pytest.fixture
def click(loop):
    def add(workbench, *voxel):
        workbench.sheet.prompts.layer.add(np.array([voxel], dtype=float))
        loop.run()

    return add


@pytest.fixture
def brush(loop):
    def paint(workbench, box, value):
        layer = workbench.sheet.result.layer
        where = np.meshgrid(*(np.arange(*pair) for pair in box), indexing="ij")
        layer.data_setitem(tuple(axis.ravel() for axis in where), value)
        loop.run()

    return paint


@pytest.fixture
def save(loop):
    """Save labels, and wait until what became of it is said."""

    def save_labels(workbench, path):
        workbench.exchange.save_labels(path)
        workbench.exchange._writer.submit(lambda: None).result()
        loop.run()

    return save_labels

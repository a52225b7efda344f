from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from napari_dinomed.engine.asked import Call
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import from_plain, to_plain
from napari_dinomed.engine.place import HERE
from napari_dinomed.headless import prepare
from napari_dinomed.taught import learners
from napari_dinomed.volume import Geometry, Volume
from tests.conftest import ball

SHAPE, SPACING = (24, 40, 44), (2.0, 1.0, 1.0)


def scan(seed: int) -> tuple[Volume, np.ndarray]:
    """A bright ball (1), a dark one (2), a bright rod that is neither; places vary."""
    random = np.random.default_rng(seed)
    z, y, x = random.integers(-2, 3, 3)
    bright = ball(SHAPE, (8 + z, 14 + y, 14 + x), 9, SPACING)
    dark = ball(SHAPE, (15 + z, 27 + y, 30 + x), 9, SPACING) & ~bright
    grey = 60 + 60 * bright - 50 * dark + random.normal(0, 4, SHAPE)
    grey[2:4, 30:33, 2:12] += 60
    volume = Volume(
        grey.clip(0, 255).astype(np.uint8),
        Geometry.from_spacing(SHAPE, SPACING, "mm"),
        "MR",
    )
    return volume, bright + 2 * dark.astype(np.int32)


@pytest.fixture(scope="session", autouse=True)
def few_lessons():
    """What is made up here is learnt soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners, "_LESSONS", 200)
        yield


@pytest.fixture(scope="session")
def jobs(tmp_path_factory):
    """Four scans, seen by the filters, and their labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        yield [
            (prepare(volume, "filters"), labels) for volume, labels in map(scan, range(4))
        ]


def _sent(message):
    return from_plain(*to_plain(message))


class InProcess:
    """An engine's client without a process: every answer comes at once, as if sent."""

    place = HERE
    where = "CPU on this machine"

    def __init__(self):
        self.engine = Engine()

    def recover(self):
        """It never hangs."""

    def submit(self, request, on_event=None):
        future = Future()
        try:
            result = self.engine.run(_sent(request), on_event)
            future.set_result(_sent(result))
        except Exception as error:  # noqa: BLE001 - as a process would send it
            future.set_exception(error)
        return Call(future, lambda: None)

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.messages import OpenVolume, SegmentVolume
from napari_dinomed.engine.place import Place
from napari_dinomed.volume import Geometry

STUB = Path(__file__).with_name("stub.py")


class Stub:
    """A client of an engine that does as it is told; see `stub`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clients: list[EngineClient] = []

    def client(self, *deeds: str, **options) -> EngineClient:
        # -S: it needs nothing that is installed, and starts in a twentieth of a second.
        command = (sys.executable, "-S", "-E", str(STUB), str(self.folder), *deeds)
        self.clients.append(EngineClient(Place(command), **options))
        return self.clients[-1]

    def came(self, kind: type) -> int:
        """How many messages of a kind came to all engines together."""
        path = self.folder / kind.__name__
        return path.stat().st_size if path.exists() else 0


@pytest.fixture
def stub(tmp_path):
    made = Stub(tmp_path)
    yield made
    for client in made.clients:
        client.close()


@pytest.fixture(scope="package")
def shared_client():
    """One real engine for all tests that leave it alive: to start one takes seconds."""
    client = EngineClient()
    yield client
    client.close()


def opening(name="v"):
    shape = (2, 3, 4)
    geometry = Geometry.from_spacing(shape, (1.0, 1.0, 1.0), "mm")
    return OpenVolume(name, np.zeros(shape, np.uint8), geometry, "MR")


def click(name="v", *points, **options):
    prompts = Prompts((Point((8, 24, 30), 1), *points))
    labels = tuple(new_label(number, Meaning.OBJECT) for number in (1, 2))
    return SegmentVolume(name, prompts, labels, view_index=8, **options)

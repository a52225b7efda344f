"""What a user's acts cost on the window's thread: by what they change, not by the volume.

``PYTHONPATH=. python tests/benchmarks/document.py`` makes volumes up and does each act
several times on a viewer without a window; the engine does not answer, but for the row
"answer". It prints the median time, the time that napari alone takes for the same act on a
layer that nobody listens to, and the bytes of the document's file and of the request.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_dinomed.annotation.continuing import continued_from
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.messages import Envelope, SegmentVolume
from napari_dinomed.engine.wire import send
from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.workbench import Workbench
from napari_dinomed.volume import Geometry, Volume
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = ((30, 101, 122), (24, 512, 512), (128, 512, 512), (9, 2048, 2048))
ACTS = ("rename", "brush", "undo", "click", "answer", "paint_slice")
REPEATS = 7


class Measured:
    """A volume of a size, with two organs in it, and the acts that are timed."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape, self.waiting = shape, []
        self.engine = FakeEngine(holds=(SegmentVolume,))
        array = np.random.default_rng(0).integers(-100, 200, shape).astype(np.int16)
        volume = Volume(array, Geometry.from_spacing(shape, (1.0, 0.8, 0.8), "mm"), "CT")
        viewer = ViewerModel()
        viewer.layers.append(Image(array, **image_options(volume, "ct")))
        self.bench = Workbench(viewer, self.engine, self.waiting.append)
        self.bench.bind(viewer.layers[0])
        self._loop()
        self._fill()

    def _loop(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def _fill(self) -> None:
        """Two labels that fill a third of the volume each, and an answer for the rest."""
        session = self.bench.session
        labels = np.zeros(self.shape, np.uint8)
        third = self.shape[2] // 3
        labels[:, :, :third], labels[:, :, -third:] = 1, 2
        self.rest = Mask.of(labels == 0)
        session.change(continued_from(session.document, labels, ()), "start")
        self._loop()

    def rename(self, turn: int) -> None:
        """A label gets another name."""
        self.bench.labels.change(1, name=f"organ {turn}")
        self._loop()

    def brush(self, turn: int) -> None:
        """A stroke of the brush across half a slice."""
        self._stroke(self.bench.sheet.result.layer, turn)
        self._loop()

    def undo(self, turn: int) -> None:
        """The last step taken back."""
        del turn
        self.bench.undo()
        self._loop()

    def click(self, turn: int) -> None:
        """A click, up to the request for its answer."""
        voxel = [turn % n for n in self.shape]
        self.bench.sheet.prompts.layer.add(np.array([voxel], float))
        self._loop()

    def answer(self, turn: int) -> None:
        """An answer that adds a third of the volume, taken and shown."""
        del turn
        before = self.bench.session.document
        self.bench.sheet.show(before, before.answered(1, self.rest))

    def paint_slice(self, turn: int) -> None:
        """A whole slice painted at once as an example."""
        self.bench.sheet.scribbles.layer.fill((turn % self.shape[0], 0, 0), 1)
        self._loop()

    def napari_alone(self, act: str) -> float:
        """What napari takes for an act on layers that nobody listens to."""
        labels = Labels(np.zeros(self.shape, np.uint16))
        points = Points(ndim=3)
        bare: dict[str, Callable[[int], None]] = {
            "brush": lambda n: self._stroke(labels, n),
            "click": lambda n: points.add(np.array([[n, n, n]], float)),
            "paint_slice": lambda n: labels.fill((n % self.shape[0], 0, 0), 1),
        }
        return self.time(bare[act]) if act in bare else 0.0

    def _stroke(self, layer: Labels, turn: int) -> None:
        layer.brush_size = 20
        with layer.block_history():
            for column in range(10, self.shape[2] // 2, 10):
                layer.paint((turn % self.shape[0], self.shape[1] // 2, column), 2)

    def time(self, act: Callable[[int], None]) -> float:
        """Median milliseconds."""
        times = []
        for turn in range(REPEATS):
            begun = time.perf_counter()
            act(turn)
            times.append(1000 * (time.perf_counter() - begun))
        return statistics.median(times)

    def file_size(self) -> int:
        """Bytes of the document on disk."""
        (path,) = Path(os.environ["NAPARI_DINOMED_HOME"]).rglob("*.dinomed.json")
        return path.stat().st_size

    def request_size(self) -> int:
        """Bytes of the last request for an answer."""
        stream, asked = io.BytesIO(), self.engine.of(SegmentVolume)
        if asked:
            send(stream, Envelope(1, asked[-1].request))
        return len(stream.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, action="append")
    for shape in parser.parse_args().shape or SHAPES:
        with tempfile.TemporaryDirectory() as home:
            os.environ["NAPARI_DINOMED_HOME"] = home
            measured = Measured(tuple(shape))
            print(f"\n{' × '.join(map(str, shape))}")
            for act in ACTS:
                spent = measured.time(getattr(measured, act))
                print(
                    f"  {act:12} {spent:7.1f} ms, napari alone "
                    f"{measured.napari_alone(act):7.1f} ms; file "
                    f"{measured.file_size():>9,} B, request {measured.request_size():>8,} B"
                )
            measured.bench.close()


if __name__ == "__main__":
    main()

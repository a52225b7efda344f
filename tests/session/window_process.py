"""Windows of a process of its own, without a window: told on a line what to do.

It answers each line with JSON: the clicks, whether it only looks, what it said.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.errors import DinomedError
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.session import Session
from napari_dinomed.volume import Geometry, Volume
from tests.fakes import FakeEngine

SHAPE = (8, 8, 32)


def volume_number(number: int) -> Volume:
    array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) + number
    return Volume(array, Geometry.from_spacing(SHAPE, (1, 1, 1), "mm"), "MR")


class Window:
    """The window that is worked in."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.saved: list[int] = []
        self.session: Session

    def do(self, what: str, *numbers: int) -> None:
        try:
            getattr(self, what)(*numbers)
        except DinomedError as error:
            self.said.append(str(error))

    def open(self, number: int) -> None:
        volume = volume_number(number)
        self.session = Session(volume, FakeEngine(), Autosave(volume.fingerprint))
        self.session.noticed.connect(lambda text: self.said.append(text))
        self.session.failed.connect(lambda text: self.said.append(text))
        self.session.open()

    def click(self, number: int) -> None:
        z, y, x = (int(i) for i in np.unravel_index(number, SHAPE))
        self.session.add(Point((z, y, x), 1))
        if self.session.keeping.is_saved:
            self.saved.append(number)

    def take_over(self) -> None:
        self.session.take_over()

    def fight(self, first: int, last: int) -> None:
        """Click without end, and take over whenever another has."""
        for number in range(first, last):
            if self.session.is_read_only:
                self.do("take_over")
            self.do("click", number)

    def stop_in_writing(self) -> None:
        """Stand still once the next document is about to be written."""
        Autosave._require_unchanged = lambda _: os.kill(os.getpid(), signal.SIGSTOP)

    def close(self) -> None:
        self.session.close()

    def state(self) -> dict[str, object]:
        points = self.session.document.prompts.points
        state = {
            "clicks": [int(np.ravel_multi_index(one.voxel, SHAPE)) for one in points],
            "only_looks": self.session.is_read_only,
            "said": self.said,
            "saved": self.saved,
        }
        self.said, self.saved = [], []
        return state


def main() -> None:
    window = Window()
    for line in sys.stdin:
        what, *numbers = line.split()
        window.do(what, *map(int, numbers))
        print(json.dumps(window.state()), flush=True)


if __name__ == "__main__":
    main()

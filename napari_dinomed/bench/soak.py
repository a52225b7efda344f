"""Many clicks and slice changes, by the real session on the real engine: does it grow.

In: how many clicks. Out: memory, open files and threads of both processes as they went
on, and how fast each of them grows.
"""

from __future__ import annotations

import gc
import os
import queue
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.errors import EngineError
from napari_dinomed.session.activity import View
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.session import Session
from napari_dinomed.volume.phantom import ct_abdomen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_dinomed.annotation.document import Document

SHAPE = (16, 48, 56)
# Clicks on one label before it is removed and another one begins.
_CLICKS_A_LABEL = 8
# How often is looked, all in all.
_LOOKS = 200
# Share of the looks in which caches and allocators fill, which no slope is drawn through.
_WARMING = 0.25
# Seconds for which an answer may stay away: the first waits for the engine's libraries,
# on a machine that has other work, too.
_PATIENCE = 600


@dataclass(frozen=True)
class Look:
    """Both processes after so many clicks.

    Parameters
    ----------
    clicks, seconds
        So far.
    window_mb, engine_mb
        Resident memory of the process that clicks, and of the engine.
    window_files, engine_files
        Open file descriptors, or handles.
    window_threads, engine_threads
        Threads.
    """

    clicks: int
    seconds: float
    window_mb: float
    engine_mb: float
    window_files: int
    engine_files: int
    window_threads: int
    engine_threads: int


QUANTITIES = tuple(asdict(Look(*(0,) * 8)))[2:]


def slopes(looks: Sequence[Look]) -> dict[str, float]:
    """How much each quantity grows in 1,000 clicks, once caches are filled."""
    rest = looks[int(len(looks) * _WARMING) :]
    clicks = np.array([look.clicks for look in rest], float) / 1000
    if len(rest) < 2:
        return dict.fromkeys(QUANTITIES, 0.0)
    return {
        name: float(np.polyfit(clicks, [getattr(look, name) for look in rest], 1)[0])
        for name in QUANTITIES
    }


def soak(clicks: int, on_look: Callable[[Look], None] = lambda _: None) -> list[Look]:
    """Click and leaf through slices, take steps back, remove labels and begin others.

    Parameters
    ----------
    clicks
        How many.
    on_look
        Told of each look.

    Raises
    ------
    EngineError
        Where an answer stays away.
    """
    client = EngineClient()
    with tempfile.TemporaryDirectory() as folder:
        try:
            hand = _Hand(client, Path(folder))
            looks = []
            for look in hand.work(clicks):
                looks.append(look)
                on_look(look)
            hand.session.close()
        finally:
            client.close()
    return looks


class _Hand:
    """A user without a window, who always waits for the answer."""

    def __init__(self, client: EngineClient, folder: Path) -> None:
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._client = client
        self._random = np.random.default_rng(0)
        volume, truth = ct_abdomen(SHAPE)
        self._inside = np.argwhere(truth > 0)
        image = folder / "soak.nii"
        self.session = Session(
            volume,
            client,
            Autosave(volume.fingerprint, image, is_beside=True),
            self._events.put,
        )
        self._wrong: list[str] = []
        self.session.failed.connect(self._wrong.append)
        self.session.open()

    def work(self, clicks: int) -> Iterator[Look]:
        """Looks, evenly spread."""
        begun, every = time.perf_counter(), max(1, clicks // _LOOKS)
        for number in range(1, clicks + 1):
            self._act(number)
            if number % every == 0:
                yield self._look(number, time.perf_counter() - begun)

    def _act(self, number: int) -> None:
        session, random = self.session, self._random
        session.computing.look_at(View(0, int(random.integers(SHAPE[0]))))
        z, y, x = self._inside[random.integers(len(self._inside))].tolist()
        label = session.document.labels[-1].id
        is_first = not session.document.prompts.of(label)
        session.add(Point((z, y, x), label, bool(is_first or random.random() < 0.7)))
        self._until_answered()
        if number % 5 == 0:
            session.undo()
            session.redo()
        if number % _CLICKS_A_LABEL == 0:
            session.change(_begun_anew(session.document, label), "remove a label")
        self._until_answered()

    def _until_answered(self) -> None:
        while self.session.document.waiting:
            try:
                self._events.get(timeout=_PATIENCE)()
            except queue.Empty as error:
                raise EngineError(f"No answer came for {_PATIENCE} s.") from error
            if self._wrong:
                raise EngineError(self._wrong[0])

    def _look(self, clicks: int, seconds: float) -> Look:
        # What waits to be collected is no leak.
        gc.collect()
        own, engine = psutil.Process(), psutil.Process(self._client.process_id)
        return Look(
            clicks,
            round(seconds, 1),
            *(round(one.memory_info().rss / 1e6, 2) for one in (own, engine)),
            *(_files(one) for one in (own, engine)),
            *(one.num_threads() for one in (own, engine)),
        )


def _begun_anew(document: Document, label: int) -> Document:
    return document.with_new_label(document.find(label).meaning).without_label(label)


def _files(process: psutil.Process) -> int:
    return int(process.num_handles() if os.name == "nt" else process.num_fds())


def as_json(looks: Sequence[Look]) -> dict[str, Any]:
    """Slopes and looks, ready for JSON."""
    return {"a thousand clicks add": slopes(looks), "looks": [asdict(one) for one in looks]}

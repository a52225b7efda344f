"""Which encoder suits this volume: each is tried on the labels that are there already.

In: a volume, voxels of its labels, names of encoders, and an engine that has nothing else
to do. Out: one row after another; features that were computed stay on disk, so that the
encoder that is chosen is there at once. Where asked, each is also tried finer, coarser and
along other axes: that more is better is not to be taken for granted (arXiv 2509.06467).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal

from napari_dinomed.engine.messages import (
    EncodeVolume,
    JudgeEncoding,
    Progress,
    open_request,
)
from napari_dinomed.errors import Cancelled
from napari_dinomed.features.naming import SIDES, EncoderName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.engine.asked import Call
    from napari_dinomed.engine.messages import Encoded, Judged
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.volume import Planes, Volume, Window

_NAME = "compared"

Vary = Literal["sides", "planes"]
"""In what an encoder is tried otherwise: how finely, or along how many axes it sees."""


@dataclass(frozen=True)
class Trial:
    """An encoder by its full name, and along how many axes it sees slices."""

    encoder: str
    planes: Planes = "auto"


@dataclass(frozen=True)
class Row:
    """What came of one trial.

    Parameters
    ----------
    trial
        What was tried.
    dice
        By readout, the mean over labels; empty where none could be judged.
    seconds
        That features took.
    slices
        That were computed, not found on disk.
    side, axes
        Pixels of a slice's shorter side, 0 where every voxel is seen; and along how many
        axes slices were seen, 0 where none was.
    why
        Why there is nothing, if so.
    """

    trial: Trial
    dice: Mapping[str, float]
    seconds: float = 0.0
    slices: int = 0
    side: int = 0
    axes: int = 0
    why: str = ""

    @property
    def best(self) -> float:
        """Of its readouts; 0 where there is none."""
        return max(self.dice.values(), default=0.0)

    @property
    def seen(self) -> str:
        """How finely, and along how many axes, in words."""
        if not self.axes:
            return "–"
        fine = f"{self.side} pixels" if self.side else "every voxel"
        return f"{fine}, {'three axes' if self.axes > 1 else 'one axis'}"


def varied(row: Row, vary: Vary, depth: int) -> list[Trial]:
    """The same seen finer and coarser, or along other axes.

    Nothing where that is no choice: filters see every voxel, an adapter has the side that
    it was made with, and one slice has no other axes.

    Parameters
    ----------
    row
        What came of a trial.
    vary
        In what.
    depth
        Slices of the volume.
    """
    if not row.side:
        return []
    if vary == "planes":
        planes: Planes = "one" if row.axes > 1 else "three"
        return [replace(row.trial, planes=planes)] if depth > 1 else []
    name = EncoderName.parse(row.trial.encoder)
    if name.adapter is not None:
        return []
    return [
        replace(row.trial, encoder=replace(name, side=side).in_full)
        for side in (row.side // 2, 2 * row.side)
        if side in SIDES
    ]


def trusted(document: Document) -> dict[int, Mask]:
    """Voxels to judge by: of labels that are done, or, where none is, of all."""
    done = {one.id for one in document.labels if one.is_done and document.mask(one.id)}
    return {n: mask for n, mask in document.masks.items() if not done or n in done}


class Comparing:
    """Tries encoders, one after another; what is varied, as soon as the usual is there.

    Parameters
    ----------
    volume, window
        What they see.
    masks
        Voxels of labels, by number.
    encoders
        Names.
    engine
        Who computes.
    deliver
        Runs a function on the thread that is told.
    """

    came = Signal(Row)
    progressed = Signal(Trial, Progress)
    """What is tried, and how far its features are."""
    ended = Signal()

    def __init__(
        self,
        volume: Volume,
        window: Window,
        masks: Mapping[int, Mask],
        encoders: Sequence[str],
        engine: Asks,
        deliver: Deliver,
    ) -> None:
        self._volume, self._window, self._masks = volume, window, dict(masks)
        self._encoders = tuple(encoders)
        self._left = [Trial(encoder) for encoder in encoders]
        self._usual: list[Row] = []
        self._varied: list[Vary] = []
        self._engine, self._deliver = engine, deliver
        self._call: Call | None = None
        self._is_over, self._is_idle = False, False
        self._begun = 0.0

    def start(self) -> None:
        """Begin; returns at once."""
        self._ask(
            open_request(_NAME, self._volume), lambda _: self._next(), self._lose_volume
        )

    def vary(self, vary: Vary) -> None:
        """Try each encoder otherwise as well: those that came, and those to come."""
        if vary in self._varied or self._is_over:
            return
        self._varied.append(vary)
        for row in self._usual:
            self._left += self._otherwise(row, vary)
        if self._is_idle and self._left:
            self._is_idle = False
            self._next()

    def cancel(self) -> None:
        """Stop; nothing more comes."""
        self._is_over = True
        for signal in (self.came, self.progressed, self.ended):
            signal.disconnect()
        if self._call is not None:
            self._call.cancel()

    def _next(self) -> None:
        if not self._left:
            self._end()
            return
        trial = self._left.pop(0)
        self._begun = time.monotonic()
        self._ask(
            EncodeVolume(_NAME, trial.encoder, self._window, planes=trial.planes),
            partial(self._judge, trial),
            partial(self._lose, trial),
            lambda progress: self.progressed.emit(trial, progress),
        )

    def _judge(self, trial: Trial, encoded: Encoded) -> None:
        seconds = time.monotonic() - self._begun

        def take(judged: Judged) -> None:
            dice = mean_dice(judged)
            why = "" if dice else "No label is large enough to be hidden in part."
            seen = (encoded.computed, encoded.side, encoded.axes)
            self._tell(Row(trial, dice, seconds, *seen, why))

        self._ask(JudgeEncoding(_NAME, self._masks), take, partial(self._lose, trial))

    def _lose(self, trial: Trial, error: BaseException) -> None:
        self._tell(Row(trial, {}, why=str(error)))

    def _otherwise(self, row: Row, vary: Vary) -> list[Trial]:
        return varied(row, vary, self._volume.array.shape[0])

    def _tell(self, row: Row) -> None:
        if row.trial.encoder in self._encoders and row.trial.planes == "auto":
            self._usual.append(row)
            for vary in self._varied:
                self._left += self._otherwise(row, vary)
        self.came.emit(row)
        self._next()

    def _end(self) -> None:
        self._is_idle = True
        self.ended.emit()

    def _lose_volume(self, error: BaseException) -> None:
        self.came.emit(Row(Trial(""), {}, why=str(error)))
        self._is_over = True
        self.ended.emit()

    def _ask(
        self,
        request: Any,
        take: Callable[[Any], None],
        lose: Callable[[BaseException], None],
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        if self._is_over:
            return

        def hear(event: Any) -> None:
            if isinstance(event, Progress):
                self._deliver(lambda: progress(event))

        def settle(future: Any) -> None:
            self._deliver(lambda: self._settle(future, take, lose))

        self._call = self._engine.submit(request, hear)
        self._call.future.add_done_callback(settle)

    def _settle(
        self,
        future: Any,
        take: Callable[[Any], None],
        lose: Callable[[BaseException], None],
    ) -> None:
        error = future.exception()
        if self._is_over or isinstance(error, Cancelled):
            return
        if error is None:
            take(future.result())
        else:
            lose(error)


def mean_dice(judged: Judged) -> dict[str, float]:
    """By readout, the mean over labels."""
    each = list(judged.dice.values())
    readouts = each[0] if each else {}
    return {name: float(np.mean([one[name] for one in each])) for name in readouts}

"""Which encoder suits this volume: each is tried on the labels that are there already.

In: a volume, voxels of its labels, names of encoders, and an engine that has nothing else
to do. Out: one row after another; features that were computed stay on disk, so that the
encoder that is chosen is there at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dinomed.engine.messages import (
    EncodeVolume,
    JudgeEncoding,
    Progress,
    open_request,
)
from napari_dinomed.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.engine.asked import Call
    from napari_dinomed.engine.messages import Encoded, Judged
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.volume import Volume, Window

_NAME = "compared"


@dataclass(frozen=True)
class Row:
    """What came of one encoder.

    Parameters
    ----------
    encoder
        Its name.
    dice
        By readout, the mean over labels; empty where none could be judged.
    seconds
        That features took.
    slices
        That were computed, not found on disk.
    why
        Why there is nothing, if so.
    """

    encoder: str
    dice: Mapping[str, float]
    seconds: float = 0.0
    slices: int = 0
    why: str = ""

    @property
    def best(self) -> float:
        """Of its readouts; 0 where there is none."""
        return max(self.dice.values(), default=0.0)


def trusted(document: Document) -> dict[int, Mask]:
    """Voxels to judge by: of labels that are done, or, where none is, of all."""
    done = {one.id for one in document.labels if one.is_done and document.mask(one.id)}
    return {n: mask for n, mask in document.masks.items() if not done or n in done}


class Comparing:
    """Tries encoders, one after another.

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
    progressed = Signal(str, Progress)
    """An encoder's name, and how far its features are."""
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
        self._left = list(encoders)
        self._engine, self._deliver = engine, deliver
        self._call: Call | None = None
        self._is_over = False
        self._begun = 0.0

    def start(self) -> None:
        """Begin; returns at once."""
        self._ask(open_request(_NAME, self._volume), lambda _: self._next(), self._end)

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
        name = self._left.pop(0)
        self._begun = time.monotonic()
        self._ask(
            EncodeVolume(_NAME, name, self._window),
            partial(self._judge, name),
            partial(self._lose, name),
        )

    def _judge(self, name: str, encoded: Encoded) -> None:
        seconds = time.monotonic() - self._begun

        def take(judged: Judged) -> None:
            dice = mean_dice(judged)
            why = "" if dice else "No label is large enough to be hidden in part."
            self._tell(Row(name, dice, seconds, encoded.computed, why))

        self._ask(JudgeEncoding(_NAME, self._masks), take, partial(self._lose, name))

    def _lose(self, name: str, error: BaseException) -> None:
        self._tell(Row(name, {}, why=str(error)))

    def _tell(self, row: Row) -> None:
        self.came.emit(row)
        self._next()

    def _end(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.came.emit(Row("", {}, why=str(error)))
        self._is_over = True
        self.ended.emit()

    def _ask(
        self,
        request: Any,
        take: Callable[[Any], None],
        lose: Callable[[BaseException], None],
    ) -> None:
        if self._is_over:
            return
        name = getattr(request, "encoder", "")

        def hear(event: Any) -> None:
            if isinstance(event, Progress):
                self._deliver(lambda: self.progressed.emit(name, event))

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

"""Adapting an encoder to what a user labelled: what is asked of the engine, and what came.

In: a volume and its document. Out: progress, and at the end what the adapter is worth. It
goes on while the user works on another image: it has the volume open under a name of its
own.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dinomed.engine.messages import (
    AdaptEncoder,
    CloseVolume,
    Notice,
    Progress,
    open_request,
)
from napari_dinomed.errors import Cancelled, DocumentError
from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.naming import EncoderName

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.engine.asked import Call
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.volume import Volume


class Adapting:
    """One run at a time.

    Parameters
    ----------
    engine
        Who computes.
    deliver
        Runs a function on the thread that is told.
    """

    progressed = Signal(Progress)
    said = Signal(str)
    """Before it starts: how much there is to do, and how long that takes."""
    ended = Signal(object, object)
    """The adapter's file and its header."""
    failed = Signal(str)
    """Why it ended otherwise; empty where it was cancelled."""

    def __init__(self, engine: Asks, deliver: Deliver) -> None:
        self._engine, self._deliver = engine, deliver
        self._call: Call | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is one."""
        return self._call is not None

    def lesson(self, volume: Volume, document: Document) -> tuple[str, NDArray[Any]]:
        """Which encoder would be taught, and what.

        Raises
        ------
        DocumentError
            Where one runs already, nothing is labelled for good, or the encoder is none
            that can be adapted.
        """
        if self._call is not None:
            raise DocumentError("An encoder is being adapted: cancel that first.")
        encoder = _alone(document.choices.encoder)
        return encoder, taught_by(document, volume.geometry.shape)

    def start(self, volume: Volume, document: Document, out: Path) -> None:
        """Adapt the document's encoder to what is labelled in it; errors as `lesson`."""
        encoder, labels = self.lesson(volume, document)
        legend = tuple(one for one in document.labels if (labels == one.id).any())
        name = f"adapting-{uuid.uuid4()}"
        self._engine.submit(open_request(name, volume))
        request = AdaptEncoder(
            name, encoder, str(out), labels, legend, document.choices.window
        )
        call = self._engine.submit(
            request, lambda event: self._deliver(lambda: self._hear(event))
        )
        self._call = call

        def done(future: Future[Any]) -> None:
            self._engine.submit(CloseVolume(name))
            self._deliver(lambda: self._end(out, future))

        call.future.add_done_callback(done)

    def cancel(self) -> None:
        """Give up; the same run goes on where it was, if it is started again."""
        if self._call is not None:
            self._call.cancel()

    def _hear(self, event: Any) -> None:
        if isinstance(event, Progress):
            self.progressed.emit(event)
        elif isinstance(event, Notice):
            self.said.emit(event.text)

    def _end(self, out: Path, future: Future[Any]) -> None:
        self._call = None
        error = future.exception()
        if error is None:
            self.ended.emit(out, future.result().header)
        else:
            self.failed.emit("" if isinstance(error, Cancelled) else str(error))


def taught_by(document: Document, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Labels (z, y, x) of the slices that an encoder may learn from, 0 elsewhere.

    These are slices that a brush or an eraser touched, and all slices of labels that are
    done: of the rest nobody has said that they are right.

    Raises
    ------
    DocumentError
        Where there are fewer than two.
    """
    known: set[int] = set()
    for mask in (document.hand, *document.erased.values()):
        known |= set(np.unique(mask.voxels()[:, 0]).tolist())
    for label in document.labels:
        if label.is_done:
            known |= set(np.unique(document.mask(label.id).voxels()[:, 0]).tolist())
    labels = document.labels_of(shape)
    labels[np.setdiff1d(np.arange(shape[0]), sorted(known)).astype(np.int64)] = 0
    if int(labels.any((1, 2)).sum()) < 2:
        raise DocumentError(
            "Expected at least two slices to learn from, one to teach and one to try: "
            "paint slices all over with the brush, or lock labels that are done."
        )
    return labels


def _alone(encoder: str) -> str:
    """An encoder as it is without its adapter.

    Raises
    ------
    DocumentError
        Where it cannot be adapted.
    """
    if encoder == FILTERS.name:
        raise DocumentError(
            "The built-in filters have nothing to adapt: choose a vision transformer as "
            "encoder first."
        )
    name = EncoderName.parse(encoder)
    if name.adapter is not None:
        raise DocumentError(
            "This encoder has an adapter already: choose it without, one is made for each "
            "data set."
        )
    return encoder

"""A session: what the user does to an annotation, and the labels that come back.

No window is needed. Events of the engine arrive on the client's thread and are handed to
``deliver``, which a window uses to bring them to its own thread.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from napari_dinomed.engine.messages import (
    CloseVolume,
    Encoded,
    EncodeVolume,
    Event,
    Notice,
    OpenSource,
    OpenVolume,
    Progress,
    Segmented,
    SegmentVolume,
    SliceLabels,
    open_request,
)
from napari_dinomed.errors import Cancelled, DinomedError
from napari_dinomed.session.file import (
    SessionFile,
    free_place,
    load_session,
    place_for,
    save_session,
)
from napari_dinomed.session.state import Annotation, Choices, History
from napari_dinomed.volume import choose_window, seen_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinomed.engine.client import Call, OnEvent
    from napari_dinomed.engine.messages import Request
    from napari_dinomed.volume import Volume, Window

    Deliver = Callable[[Callable[[], None]], None]


class Asks(Protocol):
    """What a session needs of an engine's client."""

    def submit(self, request: Request, on_event: OnEvent | None = None) -> Call:
        """Ask; returns at once."""


@dataclass(frozen=True)
class View:
    """The plane in view: axis of the volume that is cut, and where."""

    axis: int = 0
    index: int = 0


class Session:
    """A user's work on one volume.

    Parameters
    ----------
    volume
        The volume.
    engine
        Who computes.
    source
        The file that the volume came from, if any.
    deliver
        Runs a function on the thread that owns this session.
    """

    annotation_changed = Signal(Annotation)
    choices_changed = Signal(Choices)
    progressed = Signal(Progress)
    encoded = Signal(Encoded)
    slice_labelled = Signal(SliceLabels)
    volume_labelled = Signal(Segmented)
    labels_cleared = Signal()
    noticed = Signal(str)
    failed = Signal(str)
    stopped = Signal()

    def __init__(
        self,
        volume: Volume,
        engine: Asks,
        source: Path | None = None,
        deliver: Deliver = lambda work: work(),
    ) -> None:
        self.volume = volume
        self.choices = Choices()
        self.fingerprint = volume.fingerprint
        self.path = place_for(source, self.fingerprint)
        self._engine = engine
        self._deliver = deliver
        self._name = uuid.uuid4().hex
        self._history = History()
        self._encoding: Encoded | None = None
        self._window: Window | None = None
        self._encode_call: Call | None = None
        self._label_call: Call | None = None
        self._generation = 0
        self._view = View()
        self._is_open = False

    @property
    def annotation(self) -> Annotation:
        """Labels and prompts as they are now."""
        return self._history.present

    @property
    def window(self) -> Window:
        """Grey values that are encoded."""
        if self._window is None:
            self._window = choose_window(self.volume, self.choices.window or None)
        return self._window

    @property
    def is_encoded(self) -> bool:
        """Whether the features of the whole volume are there."""
        return self._encoding is not None

    @property
    def is_encoding(self) -> bool:
        """Whether features are being computed."""
        return self._encode_call is not None

    def change(self, annotation: Annotation) -> None:
        """Make a new annotation the present one; `undo` goes back."""
        self._set_history(self._history.then(annotation))

    def undo(self) -> None:
        """Take back the last change to labels or prompts."""
        self._set_history(self._history.undone())

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self._set_history(self._history.redone())

    def choose(self, **choices: Any) -> None:
        """Change how prompts are read; another encoder or window needs new features."""
        old, self.choices = self.choices, replace(self.choices, **choices)
        if old == self.choices:
            return
        if (old.encoder, old.window) != (self.choices.encoder, self.choices.window):
            self.cancel_encoding()
            self._encoding = self._window = None
        self.choices_changed.emit(self.choices)
        self._autosave()
        self.request_labels()

    def see_with(self, others: tuple[Volume, ...]) -> None:
        """Let the encoder look at further images of the same voxels as well.

        Raises
        ------
        VolumeError
            Where they do not lie on the volume's grid.
        """
        self.volume = seen_with(self.volume, others)
        self.cancel_encoding()
        self._encoding, self._is_open = None, False
        self.choices_changed.emit(self.choices)
        self.request_labels()

    def look_at(self, view: View) -> None:
        """Remember the plane in view; labels come for it first."""
        self._view = view

    def encode(self) -> None:
        """Compute the features of the volume, or find them on disk."""
        self.cancel_encoding()
        if not self._is_open:
            self._is_open = True
            self._submit(open_request(self._name, self.volume), lambda _: None)
        first = (
            self._view.index if self._view.axis == 0 else self.volume.array.shape[0] // 2
        )
        request = EncodeVolume(self._name, self.choices.encoder, self.window, first)
        self._encode_call = self._submit(request, self._take_encoded)

    def cancel_encoding(self) -> None:
        """Stop computing features and labels; features that are done stay on disk."""
        self._cancel_labels()
        call, self._encode_call = self._encode_call, None
        if call is not None:
            call.cancel()

    def request_labels(self) -> None:
        """Ask for the labels of the prompts as they are now."""
        self._generation += 1
        if not self.annotation.prompts.included_labels():
            self._cancel_labels()
            self.labels_cleared.emit()
            return
        if not self.is_encoded and not self.is_encoding:
            self.encode()
        request = SegmentVolume(
            self._name,
            self.annotation.prompts,
            self.annotation.labels,
            self.choices.head,
            self.choices.threshold,
            self._view.axis,
            self._view.index,
            self._generation,
        )
        self._label_call = self._submit(request, self._take_volume)

    def to_file(self) -> SessionFile:
        """What is written to disk."""
        return SessionFile(
            self.fingerprint,
            self.volume.geometry,
            self.choices,
            self.window,
            self._encoding.signature if self._encoding else "",
            self.annotation,
        )

    def save(self, path: Path) -> None:
        """Write the session; errors as `save_session`."""
        save_session(path, self.to_file())

    def resume(self, path: Path) -> None:
        """Take up a saved session of the same volume; undo goes back to before.

        Raises
        ------
        ReadError
            Where the file cannot be read.
        DinomedError
            Where it belongs to another volume.
        """
        stored = load_session(path)
        if stored.volume != self.fingerprint:
            raise DinomedError(
                f"{path.name} belongs to another volume: its voxels or grid differ from "
                "the open one's. Open the volume it was made on."
            )
        self.choose(**vars(stored.choices))
        self.change(stored.annotation)

    def resume_autosave(self) -> None:
        """Take up what was autosaved for this volume, where there is anything."""
        if not self.path.exists():
            return
        try:
            self.resume(self.path)
        except DinomedError as error:
            self.path = free_place(self.path)
            self.noticed.emit(f"{error} It was left as it is.")

    def close(self) -> None:
        """Let the engine forget the volume."""
        self.cancel_encoding()
        if self._is_open:
            self._engine.submit(CloseVolume(self._name))

    def _cancel_labels(self) -> None:
        call, self._label_call = self._label_call, None
        if call is not None:
            call.cancel()

    def _set_history(self, history: History) -> None:
        if history.present == self._history.present:
            return
        self._history = history
        self._autosave()
        self.annotation_changed.emit(history.present)
        self.request_labels()

    def _autosave(self) -> None:
        try:
            self.save(self.path)
        except DinomedError as error:
            self.noticed.emit(f"Not autosaved: {error}")

    def _submit(self, request: Request, take: Callable[[Any], None]) -> Call:
        call = self._engine.submit(
            request, lambda event: self._deliver(lambda: self._take_event(event))
        )
        call.future.add_done_callback(
            lambda future: self._deliver(
                lambda: self._take_result(request, call, future, take)
            )
        )
        return call

    def _take_event(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.progressed.emit(event)
        elif isinstance(event, Notice):
            self.noticed.emit(event.text)
        elif event.generation == self._generation:
            self.slice_labelled.emit(event)

    def _take_result(
        self, request: Request, call: Call, future: Any, take: Callable[[Any], None]
    ) -> None:
        error = future.exception()
        if error is None:
            take(future.result())
            return
        if isinstance(request, OpenVolume | OpenSource):
            self._is_open = False
        if call is self._encode_call:
            self._encode_call = None
            self.stopped.emit()
        if not isinstance(error, Cancelled):
            self.failed.emit(str(error))

    def _take_encoded(self, encoded: Encoded) -> None:
        if encoded.encoder != self.choices.encoder:
            return
        self._encode_call = None
        self._encoding = encoded
        self.encoded.emit(encoded)
        self.request_labels()

    def _take_volume(self, segmented: Segmented) -> None:
        if segmented.generation == self._generation:
            self.volume_labelled.emit(segmented)

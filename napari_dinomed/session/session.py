"""A session: what the user does to a document, and the answers that complete it.

In: the user's acts and the engine's answers. Out: one history of documents, saved at every
change, and signals of what changed. No window is needed. Events of the engine arrive on the
client's thread and are handed to ``deliver``, which a window uses to bring them to its own.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from napari_dinomed.annotation.document import Choices, Document
from napari_dinomed.annotation.history import History, Step
from napari_dinomed.annotation.labels import Meaning, State
from napari_dinomed.engine.messages import (
    CloseVolume,
    Encoded,
    EncodeVolume,
    Event,
    Notice,
    Progress,
    Segmented,
    SegmentVolume,
    SliceLabels,
    open_request,
)
from napari_dinomed.errors import Cancelled, DinomedError, DocumentError
from napari_dinomed.session.file import SavedDocument, load_document, save_document
from napari_dinomed.session.steps import name_of
from napari_dinomed.volume import choose_window, seen_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinomed.annotation.prompts import Prompt
    from napari_dinomed.engine.client import Call, OnEvent
    from napari_dinomed.engine.messages import Request
    from napari_dinomed.session.autosave import Autosave
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


class Phase(StrEnum):
    """What the engine does for a session."""

    BARE = "bare"
    """Nothing; it has no features that fit the choices."""
    ENCODING = "encoding"
    """Features are being computed."""
    ANSWERING = "answering"
    """A label's prompts are being answered."""
    READY = "ready"
    """Nothing; features are there, and the next click is answered at once."""


@dataclass(frozen=True)
class Activity:
    """What is going on, as a window shows it.

    Parameters
    ----------
    phase
        What the engine does.
    progress
        How far it is, where it says so.
    device
        Where it computes, in words.
    """

    phase: Phase = Phase.BARE
    progress: Progress | None = None
    device: str = ""


@dataclass(frozen=True)
class _Sight:
    """What features are of: the choices that new ones are needed for."""

    encoder: str
    window: Window
    others: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Encoding:
    """Features, there or on their way.

    Parameters
    ----------
    sight
        What they are of.
    number
        Comes back with them, and with what is answered from them.
    call
        The request, once it is made.
    result
        None while they are on their way.
    """

    sight: _Sight
    number: int
    call: Call | None = None
    result: Encoded | None = None


class Session:
    """A user's work on one volume.

    Parameters
    ----------
    volume
        The volume.
    engine
        Who computes.
    autosave
        Where the document is kept; nowhere if None.
    deliver
        Runs a function on the thread that owns this session.
    meaning
        What a click means for the first label.
    """

    changed = Signal(Document, Document)
    acted = Signal(Activity)
    slice_labelled = Signal(SliceLabels)
    answered = Signal(Segmented)
    noticed = Signal(str)
    failed = Signal(str)

    def __init__(
        self,
        volume: Volume,
        engine: Asks,
        autosave: Autosave | None = None,
        deliver: Deliver = lambda work: work(),
        meaning: Meaning = Meaning.OBJECT,
    ) -> None:
        self.volume = volume
        self.fingerprint = volume.fingerprint
        self.is_read_only = False
        self.activity = Activity()
        self._engine = engine
        self._autosave = autosave
        self._deliver = deliver
        self._name = uuid.uuid4().hex
        self._history = History(Document.begun(meaning))
        self._others: dict[str, Volume] = {}
        self._given: tuple[str, ...] | None = None
        self._encoding: _Encoding | None = None
        self._answering = 0
        self._answer_call: Call | None = None
        self._working = Choices().encoder
        self._windows: dict[str, Window] = {}
        self._generation = 0
        self._view = View()
        self._later: list[Callable[[], None]] = []
        self._is_unreadable = False
        self._is_unsaved = False

    @property
    def document(self) -> Document:
        """Everything made so far."""
        return self._history.present

    @property
    def history(self) -> History:
        """What undo and redo would do."""
        return self._history

    @property
    def window(self) -> Window:
        """Grey values that the encoder sees."""
        name = self.document.choices.window
        if name not in self._windows:
            self._windows[name] = choose_window(self.volume, name or None)
        return self._windows[name]

    @property
    def is_encoded(self) -> bool:
        """Whether the features that the choices ask for are there."""
        encoding = self._encoding
        return encoding is not None and encoding.result is not None and self._fits(encoding)

    @property
    def is_saved(self) -> bool:
        """Whether everything made is on disk."""
        return not self._is_unsaved

    # Opening and keeping

    def open(self) -> None:
        """Take up what was kept of this volume; nothing is written."""
        if self._autosave is None:
            return
        if not self._autosave.claim():
            self.is_read_only = True
            self.noticed.emit(
                "This volume is open in another window. This one only looks; take over to "
                "go on here."
            )
        self._take_kept()

    def take_over(self) -> None:
        """Go on here with what another window saved; that one only looks from then on."""
        if self._autosave is None or not self.is_read_only:
            return
        self._autosave.claim()
        mine, self.is_read_only = self.document, False
        self._take_kept()
        if self._is_unsaved and self.document != mine:
            floor = History(self.document, (Step("take over", mine),))
            self._history = floor
        self._save()
        self.changed.emit(mine, self.document)

    def _take_kept(self) -> None:
        assert self._autosave is not None
        try:
            saved = self._autosave.read()
            if saved is not None:
                self._take(saved, self._autosave.path.name)
        except DinomedError as error:
            self._is_unreadable = True
            self.noticed.emit(f"{error} It was left as it is.")

    def _take(self, saved: SavedDocument, name: str) -> None:
        """Make a saved document the floor of the history."""
        self._require_own(saved, name)
        before, self._history = self.document, History(saved.document)
        self.changed.emit(before, saved.document)

    def _require_own(self, saved: SavedDocument, name: str) -> None:
        if saved.volume != self.fingerprint:
            raise DocumentError(
                f"{name} belongs to another volume: its voxels or grid differ from the "
                "open one's. Open the volume it was made on."
            )

    def resume(self, path: Path) -> None:
        """Go on with a document from a file; undo goes back to the one before.

        Raises
        ------
        ReadError
            Where the file cannot be read.
        DocumentError
            Where it belongs to another volume.
        """
        saved = load_document(path)
        self._require_own(saved, path.name)
        self.change(saved.document, f"open {path.name}")

    def save(self, path: Path) -> None:
        """Write the document to a file of the user's choice; errors as `save_document`."""
        save_document(path, self._to_save())

    def close(self) -> None:
        """Let the engine forget the volume, and others have the document."""
        if self._is_unsaved:
            self._save()
        self._drop_encoding()
        if self._given is not None:
            self._given = None
            self._engine.submit(CloseVolume(self._name))
        if self._autosave is not None:
            self._autosave.release()

    # What the user does

    def change(self, document: Document, name: str) -> None:
        """Make a new document the present one; ``name`` is what undo will take back."""
        self._move(self._history.then(document, name))

    def add(self, prompt: Prompt) -> None:
        """One more prompt; errors as `Document.with_prompt`."""
        named = name_of(prompt, self.document)
        self.change(self.document.with_prompt(prompt), named)

    def undo(self) -> None:
        """Take back the last step."""
        self._move(self._history.undone())

    def redo(self) -> None:
        """Make the step again that was taken back last."""
        self._move(self._history.redone())

    def choose(self, label: int, name: str, **choices: Any) -> None:
        """Change how prompts are read, for the answers to come and to this label."""
        chosen = replace(self.document.choices, **choices)
        if chosen != self.document.choices:
            self.change(replace(self.document, choices=chosen).asking(label), name)

    def see_with(self, label: int, others: tuple[Volume, ...]) -> None:
        """Let the encoder look at further images of the same voxels as well.

        Raises
        ------
        VolumeError
            Where they do not lie on the volume's grid.
        """
        seen_with(self.volume, others)
        prints = self.know(others)
        self.choose(label, "images seen together", others=prints)

    def know(self, others: tuple[Volume, ...]) -> tuple[str, ...]:
        """Keep images at hand that the document may be seen with; their fingerprints."""
        found = {other.fingerprint: other for other in others}
        self._others |= found
        return tuple(found)

    def finish(self, label: int) -> None:
        """Lock a label as it is, once its last prompt is answered."""
        self.after_answers(partial(self._finish, label))

    def _finish(self, label: int) -> None:
        if not self.document.has(label):
            return
        known = self.document.find(label)
        document = self.document.with_label(replace(known, state=State.DONE))
        left = tuple(number for number in document.waiting if number != label)
        self.change(replace(document, waiting=left), f"{known.name} done")

    def reopen(self, label: int) -> None:
        """Unlock a label."""
        known = self.document.find(label)
        opened = self.document.with_label(replace(known, state=State.OPEN))
        self.change(opened, f"open {known.name} again")

    def after_answers(self, work: Callable[[], None]) -> None:
        """Do something once no answer is on its way: at once, or soon, and it is said."""
        if not self._answering and not self._is_waiting_for_features():
            work()
            return
        self.noticed.emit(
            "Your last click is still being answered; this comes right after."
        )
        self._later.append(work)

    # Computing

    def look_at(self, view: View) -> None:
        """Remember the plane in view; labels come for it first."""
        self._view = view

    def encode(self) -> None:
        """Compute the features of the volume, or find them on disk."""
        if self.is_encoded:
            self._ask()
            return
        self._drop_encoding()
        self._generation += 1
        try:
            sight, volume = self._sight(), self._seen()
        except DinomedError as error:
            self.failed.emit(str(error))
            return
        if self._given != sight.others:
            self._give(volume, sight.others)
        first = self._view.index if self._view.axis == 0 else volume.array.shape[0] // 2
        number = self._generation
        request = EncodeVolume(
            self._name, sight.encoder, sight.window, first, generation=number
        )
        self._encoding = _Encoding(sight, number)
        self._act()
        call = self._submit(request, self._take_encoded, self._lose_encoding)
        if self._encoding is not None and self._encoding.number == number:
            self._encoding = replace(self._encoding, call=call)

    def cancel(self) -> None:
        """Stop computing; features that are done stay on disk, prompts are kept."""
        self._drop_encoding(unless_done=True)
        self._do_later()

    def _sight(self) -> _Sight:
        choices = self.document.choices
        return _Sight(choices.encoder, self.window, choices.others)

    def _seen(self) -> Volume:
        """The volume with the images that it is seen with."""
        wanted = self.document.choices.others
        missing = [one for one in wanted if one not in self._others]
        if missing:
            raise DocumentError(
                f"{len(missing)} of the images that this volume was seen with is not open. "
                "Open it, or choose anew what the volume is seen with."
            )
        return seen_with(self.volume, [self._others[one] for one in wanted])

    def _give(self, volume: Volume, others: tuple[str, ...]) -> None:
        """Hand the volume to the engine; if that fails, the next click does it again."""
        self._given = others

        def lost() -> None:
            self._given = None
            self._drop_encoding()

        self._submit(open_request(self._name, volume), lambda _: None, lost)

    def _ask(self) -> None:
        """Ask for the answer to the label that has waited least long, if any waits."""
        self._drop_answer()
        if not self.document.waiting or self.is_read_only:
            self._act()
            self._do_later()
            return
        if not self._fits(self._encoding):
            self.encode()
        encoding = self._encoding
        if encoding is None or self._answering or not self.document.waiting:
            return
        self._generation += 1
        label, document = self.document.waiting[0], self.document
        request = SegmentVolume(
            self._name,
            document.prompts.until_last_of(label),
            document.labels,
            wanted=(label,),
            head=document.choices.head,
            threshold=document.choices.threshold,
            view_axis=self._view.axis,
            view_index=self._view.index,
            generation=self._generation,
            encoding=encoding.number,
        )
        self._answering = request.generation
        self._act()
        call = self._submit(request, partial(self._take_answer, label), self._lose_answer)
        if self._answering == request.generation:
            self._answer_call = call

    def _fits(self, encoding: _Encoding | None) -> bool:
        return encoding is not None and encoding.sight == self._sight()

    def _is_waiting_for_features(self) -> bool:
        encoding = self._encoding
        return (
            encoding is not None and encoding.result is None and bool(self.document.waiting)
        )

    def _drop_answer(self) -> None:
        call, self._answer_call, self._answering = self._answer_call, None, 0
        if call is not None:
            call.cancel()

    def _drop_encoding(self, unless_done: bool = False) -> None:
        """Withdraw what is being computed; by default forget what was, too."""
        self._drop_answer()
        encoding = self._encoding
        if encoding is not None and not (unless_done and encoding.result is not None):
            self._encoding = None
            if encoding.call is not None:
                encoding.call.cancel()
        self._act()

    # What comes back

    def _submit(
        self, request: Request, take: Callable[[Any], None], lose: Callable[[], None]
    ) -> Call:
        """Ask; an event or result of what was withdrawn since is dropped."""
        is_current = partial(self._is_current, request)

        def hear(event: Event) -> None:
            self._deliver(lambda: self._take_event(event) if is_current() else None)

        def settle(future: Any) -> None:
            self._deliver(lambda: self._take_result(future, is_current, take, lose))

        call = self._engine.submit(request, hear)
        call.future.add_done_callback(settle)
        return call

    def _is_current(self, request: Request) -> bool:
        if isinstance(request, SegmentVolume):
            return request.generation == self._answering
        if isinstance(request, EncodeVolume):
            encoding = self._encoding
            return encoding is not None and encoding.number == request.generation
        return True

    def _take_event(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._act(event)
        elif isinstance(event, Notice):
            self.noticed.emit(event.text)
        elif isinstance(event, SliceLabels):
            self.slice_labelled.emit(event)

    def _take_result(
        self,
        future: Any,
        is_current: Callable[[], bool],
        take: Callable[[Any], None],
        lose: Callable[[], None],
    ) -> None:
        error = future.exception()
        if not is_current() or isinstance(error, Cancelled):
            return
        if error is None:
            take(future.result())
            return
        lose()
        self.failed.emit(str(error))

    def _take_encoded(self, encoded: Encoded) -> None:
        encoding = self._encoding
        assert encoding is not None  # what was withdrawn does not come here
        self._encoding = replace(encoding, result=encoded)
        self._working = encoded.encoder
        if not self._answering and self.document.waiting:
            self._ask()
        self._act()

    def _lose_encoding(self) -> None:
        self._encoding = None
        self._drop_answer()
        self._choose_what_works()
        self._act()
        self._do_later()

    def _choose_what_works(self) -> None:
        """An encoder that cannot be had does not stay chosen."""
        before = self.document
        choices = replace(before.choices, encoder=self._working)
        if choices != before.choices:
            after = replace(before, choices=choices)
            self._history = self._history.amended(after)
            self._save()
            self.changed.emit(before, after)

    def _take_answer(self, label: int, segmented: Segmented) -> None:
        self._answer_call, self._answering = None, 0
        before = self.document
        after = before.answered(label, segmented.mask(label))
        self._history = self._history.amended(after)
        self._save()
        self.changed.emit(before, after)
        self.answered.emit(segmented)
        self._ask()

    def _lose_answer(self) -> None:
        self._answer_call, self._answering = None, 0
        self._act()
        self._do_later()

    # Inside

    def _move(self, history: History) -> None:
        if history is self._history:
            return
        if self.is_read_only:
            raise DocumentError(
                "This window only looks at the volume. Take over to change its labels."
            )
        before, self._history = self.document, history
        if before.choices != self.document.choices and not self._fits(self._encoding):
            self._drop_encoding()
        self._save()
        self.changed.emit(before, self.document)
        if _asked(before) != _asked(self.document):
            self._ask()

    def _act(self, progress: Progress | None = None) -> None:
        encoding = self._encoding
        result = encoding.result if encoding is not None else None
        phase = Phase.BARE
        if encoding is not None and result is None:
            phase = Phase.ENCODING
        elif self._answering:
            phase = Phase.ANSWERING
        elif result is not None and self._fits(encoding):
            phase = Phase.READY
        activity = Activity(phase, progress, result.device if result is not None else "")
        if activity != self.activity:
            self.activity = activity
            self.acted.emit(activity)

    def _do_later(self) -> None:
        later, self._later = self._later, []
        for work in later:
            work()

    def _to_save(self) -> SavedDocument:
        result = self._encoding.result if self._encoding is not None else None
        signature = result.signature if result is not None else ""
        return SavedDocument(
            self.fingerprint, self.volume.geometry, self.window, signature, self.document
        )

    def _save(self) -> None:
        """Keep the document; what fails is said, stays in memory, and is tried again."""
        if self._autosave is None or self.is_read_only:
            return
        try:
            if self._is_unreadable:
                kept = self._autosave.set_aside()
                self._is_unreadable = False
                if kept is not None:
                    self.noticed.emit(f"What could not be read is kept as {kept.name}.")
            self._autosave.write(self._to_save())
        except DocumentError as error:
            self.is_read_only = self._is_unsaved = True
            self.noticed.emit(str(error))
        except DinomedError as error:
            self._is_unsaved = True
            self.failed.emit(f"Not saved yet, and tried again at the next change: {error}")
        else:
            self._is_unsaved = False


def _asked(document: Document) -> tuple[object, ...]:
    """What an answer depends on."""
    return (document.waiting, document.prompts, document.choices)

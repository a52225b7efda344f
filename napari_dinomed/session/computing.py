"""Features and answers for one volume: what is asked of the engine, and still wanted.

In: the document as it is. Out: answers to the labels that wait in it, one after another;
what was asked for another window, encoder or set of prompts is dropped wherever it is.
Events of the engine arrive on the client's thread and are handed to ``deliver``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from napari_dinomed.annotation.making import Features
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.messages import (
    CloseVolume,
    Encoded,
    EncodeVolume,
    EstimateEncoding,
    Event,
    Notice,
    Progress,
    ProposeLabels,
    Segmented,
    SegmentVolume,
    SliceLabels,
    SuggestClick,
    Suggested,
    TeachModel,
    open_request,
)
from napari_dinomed.errors import (
    Cancelled,
    DinomedError,
    DocumentError,
    ForgottenError,
    WeightsError,
)
from napari_dinomed.session.activity import Activity, Phase, View
from napari_dinomed.volume import choose_window, seen_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.engine.asked import Call, OnEvent
    from napari_dinomed.engine.messages import Estimated, Request
    from napari_dinomed.engine.place import Place
    from napari_dinomed.volume import Volume, Window

    Deliver = Callable[[Callable[[], None]], None]
    ModelRequest = ProposeLabels | TeachModel


class Asks(Protocol):
    """What a session needs of an engine's client."""

    @property
    def place(self) -> Place:
        """Where it computes."""

    @property
    def where(self) -> str:
        """The same in words, with device and round trip."""

    def submit(self, request: Request, on_event: OnEvent | None = None) -> Call:
        """Ask; returns at once."""

    def recover(self) -> None:
        """Replace an engine that hangs; what it was asked is asked anew."""


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


@dataclass(frozen=True, eq=False)
class _Errand:
    """Something to be done with the features, once.

    Parameters
    ----------
    make
        From the volume's name and the number of its features to the request.
    take
        Told the result.
    request, call
        What was asked, once the features are there.
    """

    make: Callable[[str, int], ModelRequest]
    take: Callable[[Any], None]
    request: ModelRequest | None = None
    call: Call | None = None


class Computing:
    """Has a document's waiting labels answered.

    Parameters
    ----------
    volume
        What the document is of.
    engine
        Who computes.
    document
        The document as it is at first.
    deliver
        Runs a function on the thread of the owner.
    """

    acted = Signal(Activity)
    slice_labelled = Signal(SliceLabels)
    answered = Signal(int, Mask)
    encoder_lost = Signal(str)
    noticed = Signal(str)
    failed = Signal(str)
    gave_up = Signal()

    def __init__(
        self, volume: Volume, engine: Asks, document: Document, deliver: Deliver
    ) -> None:
        self.activity = Activity()
        self.is_paused = False
        self._volume = volume
        self._engine = engine
        self._document = document
        self._deliver = deliver
        self._name = uuid.uuid4().hex
        self._others: dict[str, Volume] = {}
        self._given: tuple[str, ...] | None = None
        self._was_given = False
        self._encoding: _Encoding | None = None
        self._working = document.choices.encoder
        self._answering = 0
        self._answer_call: Call | None = None
        self._errand: _Errand | None = None
        self._windows: dict[str, Window] = {}
        self._generation = 0
        self._view = View()
        self._is_closed = False

    @property
    def window(self) -> Window:
        """Grey values that the encoder sees."""
        name = self._document.choices.window
        if name not in self._windows:
            self._windows[name] = choose_window(self._volume, name or None)
        return self._windows[name]

    @property
    def is_encoded(self) -> bool:
        """Whether the features that the choices ask for are there."""
        encoding = self._encoding
        return encoding is not None and encoding.result is not None and self._fits(encoding)

    @property
    def is_answering(self) -> bool:
        """Whether the answer to a label that waits is on its way."""
        encoding = self._encoding
        is_coming = encoding is not None and encoding.result is None
        return bool(self._answering) or (is_coming and bool(self._document.waiting))

    @property
    def features(self) -> Features:
        """What answers are read from; no encoder is known before there are any."""
        result = self._encoding.result if self._encoding is not None else None
        signature = result.signature if result is not None else ""
        return Features(signature, self.window.low, self.window.high)

    def follow(self, document: Document) -> None:
        """Take the document as it is now; ask anew where that changes an answer."""
        before, self._document = self._document, document
        if before.choices != document.choices and not self._fits(self._encoding):
            if self._errand is not None:
                self._drop_errand()
                self.noticed.emit(
                    "The model was stopped: the volume is seen otherwise now."
                )
            self._drop_encoding()
        if _asked(before) != _asked(document):
            self._ask()

    def adopt(self, document: Document) -> None:
        """Take a document as it was kept; nothing is asked before the user acts."""
        self._drop_errand()
        self._document = document
        self._working = document.choices.encoder
        self._drop_encoding()

    def go_on(self) -> None:
        """Ask for what still waits, if the features for it are there or can be had."""
        if self._document.waiting and not self._answering:
            self._ask()

    def know(self, others: tuple[Volume, ...]) -> tuple[str, ...]:
        """Keep images at hand that the document may be seen with; their fingerprints."""
        found = {other.fingerprint: other for other in others}
        is_news = not found.keys() <= self._others.keys()
        self._others |= found
        if is_news and set(found) & set(self._document.choices.others):
            self.go_on()
        return tuple(found)

    def look_at(self, view: View) -> None:
        """Remember the plane in view; labels come for it first."""
        self._view = view

    def close(self) -> None:
        """Let the engine forget the volume; nothing of it is heard any more."""
        self._is_closed = True
        self._drop_errand()
        self._drop_encoding()
        if self._was_given:
            self._was_given = False
            self._engine.submit(CloseVolume(self._name))

    def encode(self) -> None:
        """Compute the features of the volume, or find them on disk."""
        if self.is_encoded:
            self._ask()
            return
        self._drop_encoding()
        self._generation += 1
        sight = self._sight()
        try:
            if self._given != sight.others:
                self._give(self._seen(), sight.others)
        except DinomedError as error:
            self._drop_errand()
            self._act()
            self.failed.emit(str(error))
            self.gave_up.emit()
            return
        middle = self._volume.array.shape[0] // 2
        first = self._view.index if self._view.axis == 0 else middle
        number = self._generation
        request = EncodeVolume(
            self._name, sight.encoder, sight.window, first, generation=number
        )
        self._encoding = _Encoding(sight, number)
        self._act()
        call = self._submit(request, self._take_encoded, self._lose_encoding)
        if self._encoding is not None and self._encoding.number == number:
            self._encoding = replace(self._encoding, call=call)

    def estimate(self, take: Callable[[Estimated], None]) -> None:
        """Ask what features will take; nothing is told where they are there or coming."""
        if self._encoding is not None or self.is_paused:
            return
        sight = self._sight()
        try:
            if self._given != sight.others:
                self._give(self._seen(), sight.others)
        except DinomedError:
            # The click that needs them says so.
            return
        request = EstimateEncoding(self._name, sight.encoder, sight.window)

        def told(found: Estimated) -> None:
            if self._encoding is None and sight == self._sight():
                take(found)

        self._submit(request, told, lambda _: None)

    def run(
        self, make: Callable[[str, int], ModelRequest], take: Callable[[Any], None]
    ) -> None:
        """Do something with the features, as soon as they are there.

        Parameters
        ----------
        make
            From the volume's name and the number of its features to the request.
        take
            Told the result; not where it fails, or is cancelled.

        Raises
        ------
        DocumentError
            Where another is not done yet.
        """
        if self._errand is not None:
            raise DocumentError(
                "A model is proposing or learning already: wait for it, or cancel it."
            )
        self._errand = _Errand(make, take)
        if self.is_encoded:
            self._go_on_errand()
        elif self._encoding is None or not self._fits(self._encoding):
            self.encode()

    @property
    def is_on_errand(self) -> bool:
        """Whether a model is proposing or learning, or waits to."""
        return self._errand is not None

    def _go_on_errand(self) -> None:
        errand, encoding = self._errand, self._encoding
        if errand is None or errand.request is not None or encoding is None:
            return
        request = errand.make(self._name, encoding.number)
        self._errand = replace(errand, request=request)
        self._act()
        call = self._submit(request, self._end_errand, self._lose_errand)
        if self._errand is not None and self._errand.request is request:
            self._errand = replace(self._errand, call=call)

    def _end_errand(self, result: Any) -> None:
        errand, self._errand = self._errand, None
        self._act()
        if errand is not None:
            try:
                errand.take(result)
            except DinomedError as error:
                self.failed.emit(str(error))

    def _lose_errand(self, _: BaseException) -> None:
        self._errand = None
        self._act()

    def _drop_errand(self) -> None:
        errand, self._errand = self._errand, None
        if errand is not None and errand.call is not None:
            errand.call.cancel()

    def cancel(self) -> None:
        """Stop computing; features that are done stay on disk, prompts are kept."""
        self._drop_errand()
        self._drop_encoding(unless_done=True)
        self._engine.recover()
        self.gave_up.emit()

    def _sight(self) -> _Sight:
        choices = self._document.choices
        return _Sight(choices.encoder, self.window, choices.others)

    def _seen(self) -> Volume:
        """The volume with the images that it is seen with."""
        wanted = self._document.choices.others
        missing = [one for one in wanted if one not in self._others]
        if missing:
            raise DocumentError(
                f"{len(missing)} of the images that this volume was seen with is not open. "
                "Open it, or choose anew what the volume is seen with."
            )
        return seen_with(self._volume, [self._others[one] for one in wanted])

    def _give(self, volume: Volume, others: tuple[str, ...]) -> None:
        """Hand the volume to the engine; if that fails, the next click does it again."""
        self._given, self._was_given = others, True

        def lost(_: BaseException) -> None:
            self._given = None
            self._drop_errand()
            self._drop_encoding()

        self._submit(open_request(self._name, volume), lambda _: None, lost)

    def _ask(self) -> None:
        """Ask for the answer to the label that has waited least long, if any waits."""
        self._drop_answer()
        if not self._document.waiting or self.is_paused:
            self._act()
            return
        if not self._fits(self._encoding):
            self.encode()
        encoding = self._encoding
        if encoding is None or self._answering or not self._document.waiting:
            return
        self._generation += 1
        label = self._document.waiting[0]
        request = self._request(label, encoding.number)
        self._answering = request.generation
        self._act()
        call = self._submit(request, partial(self._take_answer, label), self._lose_answer)
        if self._answering == request.generation:
            self._answer_call = call

    def _request(self, label: int, encoding: int) -> SegmentVolume:
        """What asks for the answer to a label."""
        document = self._document
        return SegmentVolume(
            self._name,
            document.prompts.until_last_of(label),
            document.labels,
            wanted=(label,),
            starts={n: mask for n, mask in document.starts.items() if n == label},
            head=document.choices.head,
            threshold=document.choices.threshold,
            view_axis=self._view.axis,
            view_index=self._view.index,
            generation=self._generation,
            encoding=encoding,
        )

    def suggest(self, label: int, take: Callable[[Suggested], None]) -> None:
        """Ask where the next click on a label would tell most.

        Raises
        ------
        DocumentError
            Where an answer is on its way, or features are not there.
        """
        encoding = self._encoding
        if not self.is_encoded or encoding is None:
            raise DocumentError("Compute features first: nothing is known of any place.")
        if self._answering:
            raise DocumentError("Your last click is being answered: ask again after that.")
        request = SuggestClick(self._name, self._request(label, encoding.number))
        self._submit(request, take, lambda _: None)

    def _fits(self, encoding: _Encoding | None) -> bool:
        return encoding is not None and encoding.sight == self._sight()

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

    def _submit(
        self,
        request: Request,
        take: Callable[[Any], None],
        lose: Callable[[BaseException], None],
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
        if self._is_closed:
            return False
        if isinstance(request, SegmentVolume):
            return request.generation == self._answering
        if isinstance(request, ProposeLabels | TeachModel):
            return self._errand is not None and self._errand.request is request
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
        lose: Callable[[BaseException], None],
    ) -> None:
        error = future.exception()
        if not is_current():
            return
        if error is None:
            take(future.result())
            return
        if isinstance(error, ForgottenError):
            # It died of the volume twice; the next click hands it over anew.
            self._given = self._encoding = None
        lose(error)
        if not isinstance(error, Cancelled):
            self.failed.emit(str(error))

    def _take_encoded(self, encoded: Encoded) -> None:
        encoding = self._encoding
        assert encoding is not None  # what was withdrawn does not come here
        self._encoding = replace(encoding, result=encoded)
        self._working = encoded.encoder
        if not self._answering and self._document.waiting:
            self._ask()
        self._go_on_errand()
        self._act()

    def _lose_encoding(self, error: BaseException) -> None:
        self._encoding = None
        self._drop_errand()
        self._drop_answer()
        is_other = self._working != self._document.choices.encoder
        if is_other and isinstance(error, WeightsError):
            self.encoder_lost.emit(self._working)
        self._act()
        self.gave_up.emit()

    def _take_answer(self, label: int, segmented: Segmented) -> None:
        self._answer_call, self._answering = None, 0
        self.answered.emit(label, segmented.mask(label))

    def _lose_answer(self, _: BaseException) -> None:
        self._answer_call, self._answering = None, 0
        self._act()
        self.gave_up.emit()

    def _act(self, progress: Progress | None = None) -> None:
        encoding = self._encoding
        result = encoding.result if encoding is not None else None
        phase = Phase.BARE
        if encoding is not None and result is None:
            phase = Phase.ENCODING
        elif self._answering or self._errand is not None:
            phase = Phase.ANSWERING
        elif result is not None and self._fits(encoding):
            phase = Phase.READY
        where = self._engine.where if result is not None else ""
        activity = Activity(phase, progress, where)
        if activity != self.activity:
            self.activity = activity
            self.acted.emit(activity)


def _asked(document: Document) -> tuple[object, ...]:
    """What an answer depends on."""
    return (document.waiting, document.prompts, document.choices, document.starts)

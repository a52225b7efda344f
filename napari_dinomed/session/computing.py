"""Features and answers for one volume: what is asked of the engine, and still wanted.

In: the document as it is. Out: answers to the labels that wait in it, one after another;
what was asked for another window, encoder or set of prompts is dropped wherever it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinomed.annotation.making import Features
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.messages import (
    EstimateEncoding,
    Event,
    Notice,
    Progress,
    SliceLabels,
    SuggestClick,
)
from napari_dinomed.errors import Cancelled, DinomedError, DocumentError, WeightsError
from napari_dinomed.session.activity import Activity, Phase, View
from napari_dinomed.session.answering import Answering, answer_request
from napari_dinomed.session.asking import Asking
from napari_dinomed.session.encoding import Encoding
from napari_dinomed.session.errand import Errand
from napari_dinomed.session.handover import Handover
from napari_dinomed.session.probing import Probing, probability_request
from napari_dinomed.session.sight import Sights

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.engine.messages import (
        Encoded,
        Estimated,
        ReadProbability,
        SegmentVolume,
        Suggested,
    )
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.session.errand import ModelRequest
    from napari_dinomed.session.sight import Sight
    from napari_dinomed.volume import Volume, Window


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
        self._engine = engine
        self._document = document
        self._working = document.choices.encoder
        self._middle = volume.array.shape[0] // 2
        self._view = View()
        self._generation = 0
        self._sights = Sights(volume)
        self._asking = Asking(engine, deliver, self._hear, self._forget, self._fail)
        self._handover = Handover(self._sights, self._asking, self._lose_volume)
        self._encoding = Encoding(
            self._asking, self._act, self._take_encoded, self._lose_encoding
        )
        self._answering = Answering(
            self._asking,
            self._act,
            lambda label, mask: self.answered.emit(label, mask),
            self._give_up,
        )
        self._errand = Errand(self._asking, self._act, lambda text: self.failed.emit(text))
        self.probing = Probing(
            self._asking, self._read_probability, lambda text: self.noticed.emit(text)
        )

    @property
    def window(self) -> Window:
        """Grey values that the encoder sees."""
        return self._sights.window(self._document.choices.window)

    @property
    def is_encoded(self) -> bool:
        """Whether the features that the choices ask for are there."""
        return self._encoding.result is not None and self._fits

    @property
    def is_answering(self) -> bool:
        """Whether the answer to a label that waits is on its way."""
        is_coming = self._encoding.is_coming and bool(self._document.waiting)
        return self._answering.is_busy or is_coming

    @property
    def is_on_errand(self) -> bool:
        """Whether a model is proposing or learning, or waits to."""
        return self._errand.is_on

    @property
    def features(self) -> Features:
        """What answers are read from; no encoder is known before there is one.

        An answer may be there before all features are told of.
        """
        result = self._encoding.result
        signature = self._answering.signature if result is None else result.signature
        low, high = self.window.low, self.window.high
        return Features(signature, low, high, self._document.choices.planes)

    # The document

    def follow(self, document: Document) -> None:
        """Take the document as it is now; ask anew where that changes an answer."""
        before, self._document = self._document, document
        if before.choices != document.choices and not self._fits:
            if self._errand.is_on:
                self._errand.withdraw()
                self.noticed.emit(
                    "The model was stopped: the volume is seen otherwise now."
                )
            self._withdraw()
        if _asked(before) != _asked(document):
            self._ask()
        self.probing.follow()

    def adopt(self, document: Document) -> None:
        """Take a document as it was kept; nothing is asked before the user acts."""
        self._errand.withdraw()
        self._document = document
        self._working = document.choices.encoder
        self._withdraw()

    def know(self, others: tuple[Volume, ...]) -> tuple[str, ...]:
        """Keep images at hand that the document may be seen with; their fingerprints."""
        found = {other.fingerprint: other for other in others}
        is_news = self._sights.know(found)
        if is_news and set(found) & set(self._document.choices.others):
            self.go_on()
        return tuple(found)

    def look_at(self, view: View) -> None:
        """Remember the plane in view; labels come for it first."""
        self._view = view
        self.probing.follow()

    # What is asked

    def go_on(self) -> None:
        """Ask for what still waits, if the features for it are there or can be had."""
        if self._document.waiting and not self._answering.is_busy:
            self._ask()

    def encode(self) -> None:
        """Compute the features of the volume, or find them on disk."""
        if self.is_encoded:
            self._ask()
            return
        self._withdraw()
        self._generation += 1
        sight = self._sight
        try:
            self._handover.ensure(sight.others)
        except DinomedError as error:
            self._errand.withdraw()
            self._act()
            self.failed.emit(str(error))
            self.gave_up.emit()
            return
        first = self._view.index if self._view.axis == 0 else self._middle
        self._encoding.begin(self._handover.name, sight, first, self._generation)

    def estimate(self, take: Callable[[Estimated], None]) -> None:
        """Ask what features will take; nothing is told where they are there or coming."""
        if self._encoding.number is not None or self.is_paused:
            return
        sight = self._sight
        try:
            self._handover.ensure(sight.others)
        except DinomedError:
            # The click that needs them says so.
            return
        request = EstimateEncoding(
            self._handover.name, sight.encoder, sight.window, planes=sight.planes
        )

        def told(found: Estimated) -> None:
            if self._encoding.number is None and sight == self._sight:
                take(found)

        self._asking.submit(request, told, lambda _: None)

    def run(
        self, make: Callable[[str, int], ModelRequest], take: Callable[[Any], object]
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
        self._errand.put(make, take)
        if self.is_encoded:
            self._begin_errand()
        elif not self._fits:
            self.encode()

    def suggest(self, label: int, take: Callable[[Suggested], None]) -> None:
        """Ask where the next click on a label would tell most.

        Raises
        ------
        DocumentError
            Where an answer is on its way, or features are not there.
        """
        if not self.is_encoded:
            raise DocumentError("Compute features first: nothing is known of any place.")
        if self._answering.is_busy:
            raise DocumentError("Your last click is being answered: ask again after that.")
        request = SuggestClick(self._handover.name, self._request(label))
        self._asking.submit(request, take, lambda _: None)

    def cancel(self) -> None:
        """Stop computing; features that are done stay on disk, prompts are kept."""
        self._errand.withdraw()
        self._answering.withdraw()
        if self._encoding.is_coming:
            self._encoding.withdraw()
        if self.probing.is_busy:
            self.probing.end()
        self._act()
        self._engine.recover()
        self.gave_up.emit()

    def close(self) -> None:
        """Let the engine forget the volume; nothing of it is heard any more."""
        self._asking.close()
        self.probing.end()
        self._errand.withdraw()
        self._withdraw()
        self._handover.close()

    # Inside

    @property
    def _sight(self) -> Sight:
        return self._sights.of(self._document.choices)

    @property
    def _fits(self) -> bool:
        """Whether features, there or on their way, are what the choices ask for."""
        # To choose a window takes a look at all voxels: not before there are features.
        return self._encoding.number is not None and self._encoding.is_of(self._sight)

    def _ask(self) -> None:
        """Ask for the answer to the label that has waited least long, if any waits."""
        self._answering.withdraw()
        if not self._document.waiting or self.is_paused:
            self._act()
            return
        if not self._fits:
            self.encode()
        is_begun = self._encoding.number is not None
        if not is_begun or self._answering.is_busy or not self._document.waiting:
            return
        self._generation += 1
        self._answering.ask(self._request(self._document.waiting[0]))

    def _request(self, label: int) -> SegmentVolume:
        """What asks for the answer to a label, by the features at hand."""
        encoding = self._encoding.number
        assert encoding is not None  # nobody asks without
        return answer_request(
            self._handover.name,
            self._document,
            label,
            self._view,
            self._generation,
            encoding,
        )

    def _read_probability(self, label: int) -> ReadProbability | None:
        """What asks how probable a label is in view; errors as `probability_request`."""
        number = self._encoding.number if self.is_encoded else None
        return probability_request(
            self._handover.name, self._document, label, self._view, number
        )

    def _begin_errand(self) -> None:
        if self._encoding.number is not None:
            self._errand.begin(self._handover.name, self._encoding.number)

    def _withdraw(self) -> None:
        """Withdraw what is being computed, and forget what was."""
        self._answering.withdraw()
        self._encoding.withdraw()
        self._act()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._act(event)
        elif isinstance(event, Notice):
            self.noticed.emit(event.text)
        elif isinstance(event, SliceLabels):
            self.slice_labelled.emit(event)

    def _forget(self) -> None:
        """It died of the volume twice; the next click hands it over anew."""
        self._handover.forget()
        self._encoding.forget()

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, Cancelled):
            self.failed.emit(str(error))

    def _lose_volume(self) -> None:
        self._errand.withdraw()
        self._withdraw()

    def _take_encoded(self, encoded: Encoded) -> None:
        self._working = encoded.encoder
        self.go_on()
        self._begin_errand()
        self._act()

    def _lose_encoding(self, error: BaseException) -> None:
        self._errand.withdraw()
        self._answering.withdraw()
        is_other = self._working != self._document.choices.encoder
        if is_other and isinstance(error, WeightsError):
            self.encoder_lost.emit(self._working)
        self._give_up()

    def _give_up(self) -> None:
        self._act()
        self.gave_up.emit()

    def _act(self, progress: Progress | None = None) -> None:
        result = self._encoding.result
        phase = Phase.BARE
        if self._encoding.is_coming:
            phase = Phase.ENCODING
        elif self._answering.is_busy or self._errand.is_on:
            phase = Phase.ANSWERING
        elif result is not None and self._fits:
            phase = Phase.READY
        where = "" if phase is Phase.BARE else self._engine.where
        activity = Activity(phase, progress, where)
        if activity != self.activity:
            self.activity = activity
            self.acted.emit(activity)
        self.probing.follow()


def _asked(document: Document) -> tuple[object, ...]:
    """What an answer depends on."""
    return (document.waiting, document.prompts, document.choices, document.starts)

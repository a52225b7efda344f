"""How probable one label is in the plane in view, for as long as somebody looks at that.

In: a label, and word of whatever may have changed. Out: the probability of planes, of which
one is asked for at a time: whoever scrolls on meanwhile is told of the last plane only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_dinomed.engine.messages import ReadProbability
from napari_dinomed.errors import Cancelled, DocumentError
from napari_dinomed.session.answering import answer_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.engine.asked import Call
    from napari_dinomed.engine.messages import PlaneProbability
    from napari_dinomed.session.activity import View
    from napari_dinomed.session.asking import Asking


class Probing:
    """Asks for one plane after another, as what is in view changes.

    Parameters
    ----------
    asking
        Who asks the engine.
    make
        From a label to what asks for it now, by `probability_request`.
    tell
        Told, once, why there is nothing to be seen.
    """

    found = Signal(object)
    """A `PlaneProbability`; None where there is nothing to be seen."""
    switched = Signal(bool)
    """Whether it is looked at from now on."""

    def __init__(
        self,
        asking: Asking,
        make: Callable[[int], ReadProbability | None],
        tell: Callable[[str], None],
    ) -> None:
        self._asking, self._make, self._tell = asking, make, tell
        self._label: int | None = None
        self._asked: ReadProbability | None = None
        self._shown: ReadProbability | None = None
        self._call: Call | None = None
        self._why = ""

    @property
    def is_on(self) -> bool:
        """Whether somebody looks."""
        return self._label is not None

    @property
    def is_busy(self) -> bool:
        """Whether a plane is on its way."""
        return self._asked is not None

    def look_for(self, label: int) -> None:
        """Look at a label from now on; what is seen of another one goes."""
        if label == self._label:
            return
        was_on, self._label, self._why = self.is_on, label, ""
        if not was_on:
            self.switched.emit(True)
        self._show_nothing()
        self.follow()

    def end(self) -> None:
        """Look no more."""
        if self.is_on:
            self._label = None
            self._show_nothing()
            self.switched.emit(False)

    def follow(self) -> None:
        """Ask for what is in view now, unless that is seen, or about to be."""
        if self._label is None:
            return
        try:
            request = self._make(self._label)
        except DocumentError as error:
            self._say(str(error))
            return
        if request is None:
            return
        self._why = ""
        if self._asked is not None and _is_of_one_answer(self._asked, request):
            return  # Another plane of it is asked for when this one is there.
        self._withdraw()
        if request != self._shown:
            self._ask(request)

    def _ask(self, request: ReadProbability) -> None:
        self._asked = request
        call = self._asking.submit(
            request, self._take, self._lose, lambda: self._asked is request
        )
        if self._asked is request:
            self._call = call

    def _take(self, found: PlaneProbability) -> None:
        self._shown, self._asked, self._call = self._asked, None, None
        self.found.emit(found)
        self.follow()

    def _lose(self, error: BaseException) -> None:
        self._asked = self._call = None
        if not isinstance(error, Cancelled):
            self.end()

    def _say(self, why: str) -> None:
        """Say why there is nothing, unless that was the last that was said."""
        self._show_nothing()
        if why != self._why:
            self._why = why
            self._tell(why)

    def _show_nothing(self) -> None:
        self._withdraw()
        self._shown = None
        self.found.emit(None)

    def _withdraw(self) -> None:
        call, self._asked, self._call = self._call, None, None
        if call is not None:
            call.cancel()


def probability_request(
    volume: str, document: Document, label: int, view: View, encoding: int | None
) -> ReadProbability | None:
    """What asks how probable a label is in view; None where it waits for its answer.

    Parameters
    ----------
    volume
        Its name.
    document, label
        The label, as it is in the document.
    view
        The plane.
    encoding
        Of the features that answers are read from; None where they are not there.

    Raises
    ------
    DocumentError
        Where nothing is known of any probability.
    """
    if not document.has(label) or label in document.waiting:
        return None
    if label not in document.answerable:
        raise DocumentError(
            f"{document.find(label).name} has no probability to see before a click on it "
            "is answered: what is painted or proposed has none."
        )
    if encoding is None:
        raise DocumentError(
            "The probability comes once features are computed: it is read from them."
        )
    return ReadProbability(
        volume, answer_request(volume, document, label, view, 0, encoding)
    )


def _is_of_one_answer(one: ReadProbability, other: ReadProbability) -> bool:
    return one.answer.anywhere == other.answer.anywhere

"""The answer to a label's prompts, on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import SegmentVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.engine.asked import Call
    from napari_dinomed.engine.messages import Segmented
    from napari_dinomed.session.activity import View
    from napari_dinomed.session.asking import Asking


class Answering:
    """One answer at a time.

    Parameters
    ----------
    asking
        Who asks the engine.
    acted
        Told that an answer is on its way.
    answered
        Told a label and its voxels.
    lost
        Told that there is no answer.
    """

    def __init__(
        self,
        asking: Asking,
        acted: Callable[[], None],
        answered: Callable[[int, Mask], None],
        lost: Callable[[], None],
    ) -> None:
        self._asking = asking
        self._acted, self._answered, self._lost = acted, answered, lost
        self._number = 0
        self._call: Call | None = None
        # What identifies the encoder that the last answer was read with.
        self.signature = ""

    @property
    def is_busy(self) -> bool:
        """Whether an answer is on its way."""
        return bool(self._number)

    def ask(self, request: SegmentVolume) -> None:
        """Ask for the answer to one label."""
        (label,), number = request.wanted, request.generation
        self._number, self.signature = number, ""
        self._acted()
        call = self._asking.submit(
            request,
            lambda segmented: self._take(label, segmented),
            self._lose,
            lambda: self._number == number,
        )
        if self._number == number:
            self._call = call

    def withdraw(self) -> None:
        """Wait for no answer any more."""
        call = self._call
        self._end()
        if call is not None:
            call.cancel()

    def _take(self, label: int, segmented: Segmented) -> None:
        self._end()
        self.signature = segmented.signature
        self._answered(label, segmented.mask(label))

    def _lose(self, _: BaseException) -> None:
        self._end()
        self._lost()

    def _end(self) -> None:
        self._number, self._call = 0, None


def answer_request(
    volume: str, document: Document, label: int, view: View, number: int, encoding: int
) -> SegmentVolume:
    """What asks for the answer to a label of a document.

    Parameters
    ----------
    volume
        Its name.
    document, label
        The label, as it is in the document.
    view
        The plane whose labels come first.
    number, encoding
        Of the answer, and of the features that it is read from.
    """
    return SegmentVolume(
        volume,
        document.prompts.until_last_of(label),
        document.labels,
        wanted=(label,),
        starts={n: mask for n, mask in document.starts.items() if n == label},
        head=document.choices.head,
        threshold=document.choices.threshold,
        view_axis=view.axis,
        view_index=view.index,
        generation=number,
        encoding=encoding,
    )

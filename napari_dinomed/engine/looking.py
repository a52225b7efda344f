"""What is asked of an answer that is there: where to click next, and how sure it is.

In: a request, and who finds the answer again, which costs nothing where it is kept. Out:
steps that end with the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from napari_dinomed.engine.messages import PlaneProbability, SuggestClick, Suggested

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from napari_dinomed.engine.messages import ReadProbability
    from napari_dinomed.engine.opened import EncodedVolume
    from napari_dinomed.segment.segmenter import Segmenter
    from napari_dinomed.segment.turns import Stepwise

Answer = TypeVar("Answer")


def looked(
    request: SuggestClick | ReadProbability, segmenter: Segmenter, encoded: EncodedVolume
) -> Iterator[Suggested | PlaneProbability | None]:
    """Look at the answer to one label; the features must be complete.

    Yields
    ------
    Suggested, PlaneProbability or None
        None where this may be interrupted, the result last.
    """
    if isinstance(request, SuggestClick):
        yield Suggested((yield from _quietly(segmenter.suggest(encoded.fields))))
    else:
        yield (yield from _plane(request, segmenter, encoded))


def _plane(
    request: ReadProbability, segmenter: Segmenter, encoded: EncodedVolume
) -> Generator[None, None, PlaneProbability]:
    """How probable the label is in a plane; of one answer, only the first costs much."""
    asked, answer = request.answer, request.answer.anywhere
    known = encoded.looked_at
    if known is None or known[0] != answer:
        found = yield from _quietly(segmenter.probability(encoded.fields))
        encoded.looked_at = known = (answer, found)
    axis, index = asked.view_axis, asked.view_index
    shape = encoded.volume.array.shape
    return PlaneProbability(axis, index, known[1].plane(axis, index, shape))


def _quietly(steps: Stepwise[Answer]) -> Generator[None, None, Answer]:
    """The same steps; what they would show meanwhile is not asked for."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
        yield None

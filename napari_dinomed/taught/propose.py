"""Proposals: what a taught model says of a volume, before any click.

In: a model, and a volume as it reads it. Out: labels of the box that holds all that
was found. A first reading of the whole volume, on cells, tells where an object is; a second
one reads it closely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.segment.canvas import BoxLabels, Canvas
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.options import SearchOptions
from napari_dinomed.segment.regions import bounding_box, deepest, grown, largest, start_of
from napari_dinomed.taught.apart import apart_in
from napari_dinomed.taught.header import Signs
from napari_dinomed.taught.learners import LEARNERS
from napari_dinomed.taught.settle import features_of, score_of, tried_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.segment.regions import Box
    from napari_dinomed.taught.examples import Described
    from napari_dinomed.taught.header import Apart, Lesson
    from napari_dinomed.taught.model import TaughtModel

# Cells on which a volume is read at first; for all that looks alike, as many as a large
# stack has tokens, since there is no second reading.
_MOST_OF = {
    Meaning.OBJECT: SearchOptions().most_cells,
    Meaning.ALL_LIKE_THIS: 2_000_000,
}
_AT_ONCE = 65_536
# Room around an object where it is read again, as a share of its length: wide, as long as
# it reaches the rim, and so often at most; then so close that its cells are small.
_WIDE, _WIDE_LOOKS, _CLOSE = 0.5, 4, 0.1
# Halvings of the interval in which a cut is sought: to a thousandth of it.
_BISECTIONS = 10
# A probability is half where a logit is at its cut.
_BELONGS = 0.5


@dataclass(frozen=True, eq=False)
class Proposal:
    """What was found.

    Parameters
    ----------
    box
        Labels; their numbers are the model's.
    signs
        For each label that was found, how good it may be.
    """

    box: BoxLabels
    signs: Mapping[int, Signs]


@dataclass(frozen=True, eq=False)
class Score:
    """What is read of a label on cells (z, y, x).

    Parameters
    ----------
    mean
        Over the ways it is read by; over 0 a cell belongs.
    alone
        Where the best ways, each alone, find it.
    """

    mean: torch.Tensor
    alone: tuple[NDArray[np.bool_], ...]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Where it is."""
        found: NDArray[np.bool_] = (self.mean > 0).numpy()
        return found


def proposed(model: TaughtModel, described: Described) -> Iterator[Proposal | None]:
    """Find every label that a model knows.

    Parameters
    ----------
    model
        The model.
    described
        A volume, as this model reads it.

    Yields
    ------
    Proposal or None
        None where this may be interrupted; the proposal last.
    """
    whole = tuple(slice(0, length) for length in described.shape)
    spacing = described.spacing
    canvas = Canvas(np.uint16, _BELONGS)
    doubts: dict[int, float] = {}
    sizes: dict[int, float] = {}
    for meaning, most in _MOST_OF.items():
        lessons = [one for one in model.header.lessons if one.label.meaning is meaning]
        over_all = Cells.over(whole, spacing, most)
        is_object = meaning is Meaning.OBJECT
        firsts = yield from scores_on(model, lessons, described, over_all)
        for lesson, first in zip(lessons, firsts, strict=True):
            if not first.found.any():
                continue
            label, cells, score = lesson.label, over_all, first
            if is_object and not cells.is_finest:
                cells, score = yield from _closer(model, lesson, described, cells, first)
            if len(score.alone) > 1:
                doubts[label.id] = _difference(score.alone, is_object)
            mean = cells.to_voxels(score.mean)
            if is_object:
                mean, sizes[label.id] = _of_usual_size(mean, lesson, described)
            found = torch.sigmoid(mean).numpy()
            seeds = None
            if is_object and (found > _BELONGS).any():
                heart = deepest(largest(found > _BELONGS), spacing, described.shape)
                seeds = (heart + start_of(cells.box))[None]
            canvas.paint(label, (cells.box, found), seeds)
            yield None
    box = canvas.finish()
    yield None
    apart = _apart(model, described, box)
    signs = {n: Signs(doubts.get(n), one, sizes.get(n)) for n, one in apart.items()}
    yield Proposal(box, signs)


def _apart(model: TaughtModel, described: Described, box: BoxLabels) -> dict[int, Apart]:
    """How far each label that was found is from the examples."""
    examples = tried_of(model.examples)
    found = np.unique(box.labels[box.labels > 0]).tolist()
    return {number: apart_in(described, box, examples, number) for number in found}


def _closer(
    model: TaughtModel, lesson: Lesson, described: Described, cells: Cells, score: Score
) -> Generator[None, None, tuple[Cells, Score]]:
    """An object read again in a wide box, until it ends there, and at last closely."""
    whole = tuple(slice(0, length) for length in described.shape)
    for _ in range(_WIDE_LOOKS):
        cells, score = yield from _again(model, lesson, described, cells, score, _WIDE)
        if not _goes_on(score.found, cells, whole):
            break
    if cells.is_finest:
        return cells, score
    return (yield from _again(model, lesson, described, cells, score, _CLOSE))


def _again(
    model: TaughtModel,
    lesson: Lesson,
    described: Described,
    cells: Cells,
    score: Score,
    room: float,
) -> Generator[None, None, tuple[Cells, Score]]:
    """What was found, read in a box with room around it."""
    if not score.found.any():
        return cells, score
    whole = tuple(slice(0, length) for length in described.shape)
    region = cells.voxels_of(bounding_box(largest(score.found)))
    more = 1 + int(room * max(part.stop - part.start for part in region))
    most = _MOST_OF[Meaning.OBJECT]
    closer = Cells.over(grown(region, more, whole), described.spacing, most)
    (again,) = yield from scores_on(model, [lesson], described, closer)
    return closer, again


def _goes_on(found: NDArray[np.bool_], cells: Cells, whole: Box) -> bool:
    """Whether the largest thing found reaches the rim of its box, short of the volume's."""
    if not found.any():
        return False
    held = cells.voxels_of(bounding_box(largest(found)))
    return any(
        (part.start <= box.start > all_.start) or (part.stop >= box.stop < all_.stop)
        for part, box, all_ in zip(held, cells.box, whole, strict=True)
    )


class Lattice(Protocol):
    """Where a volume is read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Places along (z, y, x)."""

    def middles(self, axis: int) -> NDArray[np.float64]:
        """Where they lie along an axis, in voxels."""


def scores_on(
    model: TaughtModel, lessons: Sequence[Lesson], described: Described, cells: Lattice
) -> Generator[None, None, list[Score]]:
    """What is read of some labels on a grid of cells."""
    columns = {lesson.label.id: n for n, lesson in enumerate(model.header.lessons)}
    ways = {reading.way for lesson in lessons for reading in lesson.readings}
    needs_surroundings = any(way.told != "looks" for way in ways)
    count = int(np.prod(cells.shape)) if lessons else 0
    middles = [cells.middles(axis) for axis in range(3)]
    means = torch.zeros((len(lessons), count))
    alone = np.zeros((len(lessons), 2, count), dtype=bool)
    for start in range(0, count, _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, count))
        index = np.unravel_index(numbers, cells.shape)
        voxels = np.column_stack(
            [middle[i] for middle, i in zip(middles, index, strict=True)]
        )
        looks = described.looks_at(voxels)
        around = described.surroundings.at(voxels) if needs_surroundings else looks[:, :0]
        yield None
        logits = {}
        for way in ways:
            told = features_of(looks, around, way)
            logits[way] = LEARNERS[way.learner].read(model.learnt[way], told)
            yield None
        for number, lesson in enumerate(lessons):
            column = columns[lesson.label.id]
            each = [
                score_of(logits[reading.way][:, column], reading.cut, reading.spread)
                for reading in lesson.readings
            ]
            means[number, numbers] = torch.stack(each).mean(0) - lesson.cut
            for rank, score in enumerate(each[:2]):
                alone[number, rank, numbers] = (score > 0).numpy()
    return [
        Score(
            mean.reshape(cells.shape),
            tuple(one.reshape(cells.shape) for one in pair[: len(lesson.readings)]),
        )
        for lesson, mean, pair in zip(lessons, means, alone, strict=True)
    ]


def _of_usual_size(
    score: torch.Tensor, lesson: Lesson, described: Described
) -> tuple[torch.Tensor, float]:
    """A score (z, y, x) less a cut at which the object is as large as those that taught.

    With it comes the size that it had without. One that reaches the rim of what was read
    may go on beyond it: it is not made larger.
    """
    voxel = float(np.prod(described.spacing))
    least, most = (size / voxel for size in lesson.usual_sizes)

    def size_at(cut: float) -> int:
        return int(largest((score > cut).numpy()).sum())

    size = size_at(0.0)
    if least <= size <= most or not size:
        return score, size * voxel
    if size < least and _is_at_rim(largest((score > 0).numpy())):
        return score, size * voxel
    low, high = (0.0, float(score.max())) if size > most else (float(score.min()), 0.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if size_at(middle) > (most if size > most else least):
            low = middle
        else:
            high = middle
    return score - (high if size > most else low), size * voxel


def _is_at_rim(found: NDArray[np.bool_]) -> bool:
    """Whether something that was found lies in an outermost plane."""
    ends = (found.take(end, axis) for axis in range(3) for end in (0, -1))
    return any(bool(end.any()) for end in ends)


def _difference(alone: tuple[NDArray[np.bool_], ...], is_object: bool) -> float:
    """Share of what either of two has that the other has not."""
    first, second = map(largest, alone) if is_object else alone
    either = int((first | second).sum())
    return float((first ^ second).sum() / either) if either else 1.0

"""Teaching a model: one labelled volume after another, then how each label is read best.

In: what an encoder says of a volume, and labels. Out: a model with its examples, and for
each label the learner, and the cut, that do best on volumes that they were not taught by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.errors import ModelError
from napari_dinomed.segment.one_object.looks import Basis, Looks
from napari_dinomed.taught.examples import Examples, distinct, draw_examples
from napari_dinomed.taught.header import Header, Lesson, Reading
from napari_dinomed.taught.learners import LEARNERS
from napari_dinomed.taught.model import TaughtModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.taught.header import Sight
    from napari_dinomed.taught.learners import Read

# Examples of a model at most, some ten megabytes.
MOST_EXAMPLES = 40_000
# A label of fewer voxels could not be divided into halves, one to try the other on.
_FEWEST_VOXELS = 20
# Examples that learners are tried on at most, so that choosing takes seconds.
_TRIED = 8_000
# Parts that the volumes, or the halves of a single one, are divided into for trials.
_FOLDS = 4
# Place is told to a learner only where that gains so much Dice: elsewhere it binds a model
# to one field of view.
_PLACE_GAIN = 0.01


@dataclass(frozen=True, eq=False)
class Seen:
    """A volume as an encoder sees it.

    Parameters
    ----------
    sight
        How it is seen.
    banks
        Complete tokens along each axis.
    channels
        How many channels of a token, from the first, tell what is there, not where.
    case
        A hash that tells the volume from others.
    """

    sight: Sight
    banks: tuple[TokenBank, ...]
    channels: int
    case: str

    def looks(self, model: TaughtModel) -> tuple[Looks, ...]:
        """What the volume looks like on a model's bases."""
        along = {bank.axis: bank for bank in self.banks}
        return tuple(
            Looks.of(along[axis], basis)
            for axis, basis in zip(model.header.sight.axes, model.bases, strict=True)
        )


def begun(seen: Seen) -> TaughtModel:
    """A model that knows nothing yet, on the bases of its first volume."""
    bases = tuple(Basis.of(bank, seen.channels) for bank in seen.banks)
    parts = sum(basis.whiten.shape[1] for basis in bases)
    nothing = Examples(
        torch.zeros((0, parts), dtype=torch.float16),
        torch.zeros((0, 3), dtype=torch.float16),
        torch.zeros(0, dtype=torch.int32),
        torch.zeros(0, dtype=torch.int32),
        torch.zeros(0),
    )
    return TaughtModel(Header(seen.sight), bases, nothing)


def taught(
    model: TaughtModel,
    seen: Seen,
    labels: NDArray[np.integer],
    legend: Iterable[Label],
) -> TaughtModel:
    """A model with one more volume; `settled` is to follow.

    Parameters
    ----------
    model
        What was taught before.
    seen, labels
        A volume, and the number of each voxel's label (z, y, x), 0 for none.
    legend
        What the numbers stand for; labels of one name are the same in all volumes.

    Raises
    ------
    ModelError
        Where the volume is seen otherwise, or has hardly a voxel of some label.
    """
    model.header.require_sight(seen.sight)
    numbers = [int(n) for n in np.unique(labels) if n]
    named = {label.id: label for label in legend}
    if not numbers:
        raise ModelError("Expected labels to learn from, got a volume without any.")
    for number in numbers:
        if (labels == number).sum() < _FEWEST_VOXELS:
            raise ModelError(
                f"Expected at least {_FEWEST_VOXELS} voxels of {named[number].name} to "
                "learn from; paint or click more of it first."
            )
    model, case = _forgetting(model, seen.case)
    lessons = {lesson.label.name: lesson for lesson in model.header.lessons}
    mapped = np.zeros(max(numbers) + 1, dtype=np.int32)
    for number in numbers:
        label = named[number]
        known = _lesson_of(lessons, label)
        counts = {**known.counts, case: int((labels == number).sum())}
        lessons[label.name] = replace(known, counts=counts)
        mapped[number] = known.label.id
    drawn = draw_examples(seen.looks(model), mapped[labels], seen.sight.spacing, case)
    examples = model.examples.joined([drawn]).thinned(MOST_EXAMPLES)
    header = replace(model.header, lessons=tuple(lessons.values()))
    return replace(model, header=header, examples=examples)


def _forgetting(model: TaughtModel, volume: str) -> tuple[TaughtModel, int]:
    """A model without what a volume taught before, and the number that the volume has."""
    header = model.header
    if volume not in header.cases:
        cases = (*header.cases, volume)
        return replace(model, header=replace(header, cases=cases)), len(header.cases)
    case = header.cases.index(volume)
    lessons = tuple(
        replace(one, counts={n: count for n, count in one.counts.items() if n != case})
        for one in header.lessons
    )
    others = model.examples.chosen(model.examples.cases != case)
    return replace(model, header=replace(header, lessons=lessons), examples=others), case


def _lesson_of(lessons: Mapping[str, Lesson], label: Label) -> Lesson:
    """The lesson of a label's name, or a new one."""
    free = 1 + max((lesson.label.id for lesson in lessons.values()), default=0)
    return lessons.get(label.name) or Lesson(replace(label, id=free))


def settled(model: TaughtModel, learner: str | None = None) -> Iterator[TaughtModel]:
    """A model whose labels are read as does best on volumes that were not taught.

    Parameters
    ----------
    model
        What was taught.
    learner
        The only one to try, or None for all.

    Yields
    ------
    TaughtModel
        After each label; the last one is complete.
    """
    tried = (learner,) if learner else tuple(LEARNERS)
    lessons = [lesson for lesson in model.header.lessons if lesson.counts]
    for number, lesson in enumerate(lessons):
        lessons[number] = _settled(model.examples, lesson, tried)
        yield replace(model, header=replace(model.header, lessons=tuple(lessons)))


def features_of(looks: torch.Tensor, places: torch.Tensor, by_place: bool) -> torch.Tensor:
    """What a learner is told: looks (n, parts), and a polynomial of places (n, 3)."""
    if not by_place:
        return looks.float()
    z, y, x = places.float().T
    terms = (z, y, x, z * z, y * y, x * x, z * y, z * x, y * x)
    return torch.cat([looks.float(), torch.stack(terms, dim=1)], dim=1)


def read_by(model: TaughtModel, label: int, reading: Reading) -> Read:
    """From features to logits of one label, 0 at the cut."""
    own = _own(model.examples, label)
    features = features_of(own.looks, own.places, reading.by_place)
    read = LEARNERS[reading.learner](features, own.classes == label)
    return lambda features: read(features) - reading.cut


def merged(model: TaughtModel, other: TaughtModel) -> TaughtModel:
    """What two models were taught, together; `settled` is to follow.

    Raises
    ------
    ModelError
        Where they are of different encoders, or were begun apart: then what one calls alike
        means nothing to the other.
    """
    model.header.require_sight(other.header.sight)
    pairs = zip(model.bases, other.bases, strict=True)
    if not all(torch.equal(a.whiten, b.whiten) for a, b in pairs):
        raise ModelError(
            "These models were begun on different volumes. Models that are to be merged "
            "have to begin as copies: teach one volume, copy the file, go on with --add."
        )
    known = model.header.cases
    cases = (*known, *(case for case in other.header.cases if case not in known))
    moved = [cases.index(case) for case in other.header.cases]
    is_new = torch.tensor([case not in known for case in other.header.cases])
    lessons = {lesson.label.name: lesson for lesson in model.header.lessons}
    highest = max(lesson.label.id for lesson in other.header.lessons)
    numbers = torch.zeros(highest + 1, dtype=torch.int32)
    for theirs in other.header.lessons:
        own = _lesson_of(lessons, theirs.label)
        added = {moved[n]: count for n, count in theirs.counts.items() if is_new[n]}
        lessons[theirs.label.name] = replace(own, counts={**added, **own.counts})
        numbers[theirs.label.id] = own.label.id
    added_examples = other.examples.chosen(is_new[other.examples.cases.long()])
    added_examples = replace(
        added_examples,
        classes=numbers[added_examples.classes.long()],
        cases=torch.tensor(moved)[added_examples.cases.long()].int(),
    )
    header = replace(model.header, lessons=tuple(lessons.values()), cases=cases)
    examples = model.examples.joined([added_examples]).thinned(MOST_EXAMPLES)
    return replace(model, header=header, examples=examples)


def _own(examples: Examples, label: int) -> Examples:
    """Examples of the volumes that have a label."""
    cases = distinct(examples.cases[examples.classes == label])
    return examples.chosen(torch.isin(examples.cases, cases))


def _settled(examples: Examples, lesson: Lesson, tried: tuple[str, ...]) -> Lesson:
    own = _own(examples, lesson.label.id).thinned(_TRIED)
    belongs = own.classes == lesson.label.id
    readings = []
    for learner in tried:
        by_looks, by_place = (_tried(own, belongs, learner, told) for told in (False, True))
        gain = by_place.mean_dice - by_looks.mean_dice
        readings.append(by_place if gain > _PLACE_GAIN else by_looks)
    readings.sort(key=lambda reading: -reading.mean_dice)
    return replace(lesson, readings=tuple(readings[:2]))


def _tried(own: Examples, belongs: torch.Tensor, learner: str, by_place: bool) -> Reading:
    """A reading, tried on volumes that did not teach it."""
    features = features_of(own.looks, own.places, by_place)
    logits = torch.zeros(len(own))
    for held in _folds(own, belongs):
        read = LEARNERS[learner](features[~held], belongs[~held])
        logits[held] = read(features[held])
    cut = _best_cut(logits, belongs, own.weights)
    dice = tuple(_dice_of_cases(own, logits > cut, belongs))
    return Reading(learner, by_place, cut, dice)


def _folds(own: Examples, belongs: torch.Tensor) -> list[torch.Tensor]:
    """Masks of the examples that are held out in each trial."""
    cases = distinct(own.cases)
    if len(cases) > 1:
        groups = [cases[n::_FOLDS] for n in range(min(_FOLDS, len(cases)))]
        return [torch.isin(own.cases, group) for group in groups]
    low, high = own.places[belongs].float().aminmax(dim=0)
    axis = int((high - low).argmax())
    upper = own.places[:, axis].float() > (low[axis] + high[axis]) / 2
    return [upper, ~upper]


def _best_cut(logits: torch.Tensor, belongs: torch.Tensor, weights: torch.Tensor) -> float:
    """The logit over which examples agree best with what they are, by Dice.

    It lies between two logits that occur: neighbours that all agree give the same one.
    """
    order = torch.argsort(logits, descending=True)
    ordered = logits[order]
    found = weights[order].cumsum(0)
    right = (weights * belongs)[order].cumsum(0)
    overlap = 2 * right / (found + (weights * belongs).sum())
    ends = torch.nonzero(ordered[:-1] > ordered[1:]).flatten()
    if not len(ends):
        return float(ordered[-1]) - 1
    best = ends[overlap[ends].argmax()]
    return float(ordered[best] + ordered[best + 1]) / 2


def _dice_of_cases(
    own: Examples, found: torch.Tensor, belongs: torch.Tensor
) -> Iterator[float]:
    for case in distinct(own.cases):
        weights = own.weights * (own.cases == case)
        right = (weights * (found & belongs)).sum()
        yield float(2 * right / ((weights * found).sum() + (weights * belongs).sum()))

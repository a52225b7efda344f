"""Teaching a model: one labelled volume after another.

In: what an encoder says of a volume, and labels. Out: a model with its examples; how they
are best read, `settle` finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.errors import ModelError
from napari_dinomed.segment.one_object.looks import Basis, Looks
from napari_dinomed.taught.amounts import amount_of
from napari_dinomed.taught.examples import Described, Examples, draw_examples
from napari_dinomed.taught.header import Header, Lesson
from napari_dinomed.taught.model import TaughtModel
from napari_dinomed.taught.surroundings import PARTS, Surroundings, length_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Effort, Label
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.taught.header import Sight
    from napari_dinomed.volume import Volume

# Examples of a model at most, some ten megabytes.
MOST_EXAMPLES = 40_000
# A label of fewer voxels could not be divided into halves, one to try the other on.
_FEWEST_VOXELS = 20


@dataclass(frozen=True, eq=False)
class Seen:
    """A volume as an encoder sees it.

    Parameters
    ----------
    sight
        How it is seen.
    volume
        Its voxels, in memory.
    banks
        Complete tokens along each axis.
    channels
        How many channels of a token, from the first, tell what is there, not where.
    case
        A hash that tells the volume from others.
    """

    sight: Sight
    volume: Volume
    banks: tuple[TokenBank, ...]
    channels: int
    case: str

    def described(self, model: TaughtModel) -> Described:
        """The volume as a model reads it; errors as `TaughtModel.require_channels`."""
        model.require_channels(self.channels)
        along = {bank.axis: bank for bank in self.banks}
        looks = tuple(
            Looks.of(along[axis], basis)
            for axis, basis in zip(model.header.sight.axes, model.bases, strict=True)
        )
        length = model.header.length
        return Described(looks, Surroundings.of(self.volume, self.sight.window, length))


def begun(seen: Seen) -> TaughtModel:
    """A model that knows nothing yet, on the bases of its first volume."""
    bases = tuple(Basis.of(bank, seen.channels) for bank in seen.banks)
    parts = sum(basis.whiten.shape[1] for basis in bases)
    nothing = Examples(
        torch.zeros((0, parts), dtype=torch.float16),
        torch.zeros((0, PARTS), dtype=torch.float16),
        torch.zeros(0, dtype=torch.int32),
        torch.zeros(0, dtype=torch.int32),
        torch.zeros(0),
    )
    return TaughtModel(Header(seen.sight, length_of(seen.volume)), bases, nothing)


def taught(
    model: TaughtModel,
    seen: Seen,
    labels: NDArray[np.integer],
    legend: Iterable[Label],
    efforts: Mapping[int, Effort] | None = None,
) -> TaughtModel:
    """A model with one more volume; `settled` has to follow.

    Parameters
    ----------
    model
        What was taught before.
    seen, labels
        A volume, and the number of each voxel's label (z, y, x), 0 for none.
    legend
        What the numbers stand for; labels of one name are the same in all volumes.
    efforts
        What a user did for them, as far as is known.

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
        amount = amount_of(labels == number, seen.volume.geometry.spacing)
        amount = replace(amount, effort=(efforts or {}).get(number))
        amounts = {**known.amounts, case: amount}
        lessons[label.name] = replace(known, amounts=amounts)
        mapped[number] = known.label.id
    drawn = draw_examples(seen.described(model), mapped[labels], case)
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
        replace(one, amounts={n: some for n, some in one.amounts.items() if n != case})
        for one in header.lessons
    )
    others = model.examples.chosen(model.examples.cases != case)
    return replace(model, header=replace(header, lessons=lessons), examples=others), case


def _lesson_of(lessons: Mapping[str, Lesson], label: Label) -> Lesson:
    """The lesson of a label's name, or a new one."""
    free = 1 + max((lesson.label.id for lesson in lessons.values()), default=0)
    return lessons.get(label.name) or Lesson(replace(label, id=free))


def merged(model: TaughtModel, other: TaughtModel) -> TaughtModel:
    """What two models were taught, together; `settled` has to follow.

    Raises
    ------
    ModelError
        Where they are of different encoders, or were begun apart: then what one calls alike
        means nothing to the other.
    """
    model.header.require_sight(other.header.sight)
    pairs = zip(model.bases, other.bases, strict=False)
    is_alike = model.header.sight.axes == other.header.sight.axes
    if not is_alike or not all(torch.equal(a.whiten, b.whiten) for a, b in pairs):
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
        added = {moved[n]: some for n, some in theirs.amounts.items() if is_new[n]}
        lessons[theirs.label.name] = replace(own, amounts={**added, **own.amounts})
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

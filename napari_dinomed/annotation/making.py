"""How a document came to be: deeds in order, from which it is made again.

In: documents before and after a step. Out: what the step changed, as a value that can be
kept and done again. What was asked of the engine is kept as the question, with what read
it; what a hand, a tool or another file brought, as the voxels themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    FiniteFloat,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    WrapSerializer,
)

from napari_dinomed.annotation.choices import Choices
from napari_dinomed.annotation.document import Claim, Document
from napari_dinomed.annotation.labels import Label, LabelId, new_label
from napari_dinomed.annotation.mask import EMPTY, Mask, without_empty
from napari_dinomed.annotation.packing import PackedMask, Within
from napari_dinomed.annotation.prompts import Prompt, Prompts
from napari_dinomed.volume import Planes

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

BLANK = Document((new_label(1),))
"""What all documents are made from."""


@dataclass(frozen=True)
class Difference:
    """Voxels that came and went."""

    added: PackedMask = EMPTY
    removed: PackedMask = EMPTY

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    @classmethod
    def between(cls, before: Mask, after: Mask) -> Difference:
        """Looks at those slices alone that are not shared."""
        indices = {
            index
            for index in before.planes.keys() | after.planes.keys()
            if before.planes.get(index) is not after.planes.get(index)
        }
        old, new = _slices(before, indices), _slices(after, indices)
        return cls(new - old, old - new)

    def applied(self, mask: Mask) -> Mask:
        """The mask after it, from the mask before."""
        return (mask | self.added) - self.removed


Differences = Mapping[LabelId, Difference]


@dataclass(frozen=True)
class Said:
    """Prompts: so many of those before stay, and these follow."""

    kept: int
    more: tuple[Prompt, ...]


@dataclass(frozen=True)
class Change:
    """What a step of the user's changed; None and empty where it changed nothing.

    Parameters
    ----------
    name
        Of the step. It names no file: a file's name may name a patient.
    labels, choices, next_id, waiting, claims
        As they were afterwards.
    said
        Prompts.
    masks, erased, starts
        Voxels, by label.
    hand
        Voxels set by hand.
    """

    name: str
    labels: tuple[Label, ...] | None = None
    said: Said | None = None
    masks: Differences = field(default_factory=dict)
    hand: Difference | None = None
    erased: Differences = field(default_factory=dict)
    starts: Differences = field(default_factory=dict)
    choices: Choices | None = None
    next_id: int | None = None
    waiting: tuple[LabelId, ...] | None = None
    claims: tuple[Claim, ...] | None = None
    kind: Literal["change"] = "change"

    @classmethod
    def between(cls, before: Document, after: Document, name: str) -> Change:
        """What is to be done to one document for it to be another."""
        whole = {
            part: getattr(after, part)
            for part in _WHOLE
            if getattr(before, part) != getattr(after, part)
        }
        voxels: dict[str, Any] = {
            part: _differences(getattr(before, part), getattr(after, part))
            for part in _VOXELS
        }
        hand = Difference.between(before.hand, after.hand)
        said = _said(before.prompts.all, after.prompts.all)
        return cls(name, said=said, hand=hand or None, **voxels, **whole)

    def done_to(self, document: Document) -> Document:
        """The document after it, from the document before."""
        whole: dict[str, Any] = {
            part: getattr(self, part) for part in _WHOLE if getattr(self, part) is not None
        }
        voxels: dict[str, Any] = {
            part: _applied(getattr(self, part), getattr(document, part)) for part in _VOXELS
        }
        prompts, hand = document.prompts, document.hand
        if self.said is not None:
            prompts = Prompts((*prompts.all[: self.said.kept], *self.said.more))
        if self.hand is not None:
            hand = self.hand.applied(hand)
        return replace(document, prompts=prompts, hand=hand, **voxels, **whole)


# The parts of a document, prompts and hand apart: kept whole, or as the voxels that differ.
_WHOLE = ("labels", "choices", "next_id", "waiting", "claims")
_VOXELS = ("masks", "erased", "starts")


@dataclass(frozen=True)
class Features:
    """What an answer was read from.

    Parameters
    ----------
    encoder
        What identifies it: architecture, SHA-256 of weights and adapter, layers.
    low, high
        Grey values that it saw as black and white.
    planes
        Slices along one axis or all three.
    """

    encoder: str = ""
    low: FiniteFloat = 0.0
    high: FiniteFloat = 1.0
    planes: Planes = "auto"


UNKNOWN = Features()


@dataclass(frozen=True)
class Answer:
    """The engine's answer to a label's prompts, as far as the document took it.

    Parameters
    ----------
    label
        Whose prompts; 0 for those of all labels at once.
    features
        What it was read from.
    """

    label: int
    features: Features
    kind: Literal["answer"] = "answer"


def _without_nothing(
    change: Change | Answer, handler: SerializerFunctionWrapHandler
) -> dict[str, Any]:
    """Most parts of most changes are as they were: they are left out of the file."""
    return {k: v for k, v in handler(change).items() if v is not None and v != {}}


Deed = Annotated[Change | Answer, WrapSerializer(_without_nothing)]
_DEED: TypeAdapter[Deed] = TypeAdapter(Deed)


@dataclass(frozen=True, eq=False)
class Made:
    """Deeds in order, each as the text that is kept of it.

    A value for every step: each has the one before it, so that all steps of a document,
    and those that were undone, share what they have in common.

    Parameters
    ----------
    before
        All but the last deed; None where there is none.
    text
        The last one, as JSON.
    count
        How many there are.
    """

    before: Made | None = field(default=None, repr=False)
    text: str = ""
    count: int = 0

    @classmethod
    def of(cls, deeds: Iterable[Deed]) -> Made:
        """These deeds."""
        made = NOTHING
        for deed in deeds:
            made = made.then(deed)
        return made

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Deed]:
        """The deeds; ValueError where a text is none."""
        return (_DEED.validate_json(made.text) for made in self.since(()))

    def require_within(self, shape: tuple[int, int, int]) -> None:
        """Raise ValueError where a text is no deed on a volume of this shape (z, y, x)."""
        for made in self.since(()):
            _DEED.validate_json(made.text, context=Within(shape))

    def then(self, *deeds: Deed) -> Made:
        """These deeds and more of them."""
        made = self
        for deed in deeds:
            made = made.with_text(_DEED.dump_json(deed).decode())
        return made

    def with_text(self, text: str) -> Made:
        """These deeds and one more, as it was kept."""
        return Made(self, text, self.count + 1)

    def since(self, known: Container[Made]) -> list[Made]:
        """What ends with each of the deeds, from the first that is not known."""
        steps, made = [], self
        while made.before is not None and made not in known:
            steps.append(made)
            made = made.before
        return steps[::-1]


NOTHING = Made()


def begun(made: Made, document: Document) -> Made:
    """How a document was made, where that was not kept: as it is, in one deed."""
    return made or NOTHING.then(Change.between(BLANK, document, "begin"))


def _said(before: tuple[Prompt, ...], after: tuple[Prompt, ...]) -> Said | None:
    if before == after:
        return None
    same = zip(before, after, strict=False)
    kept = next(
        (n for n, (a, b) in enumerate(same) if a is not b and a != b),
        min(len(before), len(after)),
    )
    return Said(kept, after[kept:])


def _differences(
    before: Mapping[int, Mask], after: Mapping[int, Mask]
) -> dict[LabelId, Difference]:
    numbers = sorted(before.keys() | after.keys())
    found = (
        (n, Difference.between(before.get(n, EMPTY), after.get(n, EMPTY))) for n in numbers
    )
    return {n: difference for n, difference in found if difference}


def _applied(differences: Differences, masks: Mapping[int, Mask]) -> dict[LabelId, Mask]:
    after = dict(masks)
    for number, difference in differences.items():
        after[number] = difference.applied(after.get(number, EMPTY))
    return without_empty(after)


def _slices(mask: Mask, indices: Iterable[int]) -> Mask:
    return Mask({n: mask.planes[n] for n in indices if n in mask.planes})

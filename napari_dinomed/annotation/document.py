"""The document: everything a user made of one volume, as one immutable value.

In: what the user does, and what the engine answers. Out: a new document. Its masks are the
one result that is painted, measured, listed, saved and opened again; they never overlap.

Who may change a voxel:

* The user's own act on it (a mark, the brush, the eraser, a removal) always may, except in
  a label that is done.
* The answer to a label's prompts changes that label alone. It takes free voxels, and those
  of another label only where the user, since the last answer, clicked inside of that one.
* Where a region says that a label is not, no answer puts it.
* What a hand has set, an answer never changes: what was painted stays, and what was erased
  from a label does not come back to it before the user says so there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.choices import Choices
from napari_dinomed.annotation.flood import flooded
from napari_dinomed.annotation.labels import (
    MAX_LABEL,
    Effort,
    Label,
    LabelId,
    Meaning,
    new_label,
)
from napari_dinomed.annotation.mask import EMPTY, Mask, union, without_empty
from napari_dinomed.annotation.packing import PackedMask
from napari_dinomed.annotation.prompts import (
    Point,
    Prompt,
    Prompts,
    Stroke,
    Voxel,
    mask_of,
)
from napari_dinomed.annotation.region import Region
from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Claim:
    """A mark of one label inside another's voxels: around it the other gives way."""

    label: LabelId
    other: LabelId
    voxel: Voxel


@dataclass(frozen=True)
class Document:
    """Labels, prompts, voxels and choices.

    Parameters
    ----------
    labels
        At least one, in the order in which they are listed.
    prompts
        What the user said.
    masks
        Voxels of each label that has any.
    hand
        Voxels that a hand has given to the label that they have.
    erased
        Voxels that a hand has taken from a label, by label.
    starts
        What a label was proposed to be, by label: answers to its prompts correct that.
    choices
        How prompts are read.
    next_id
        The number that the next label gets.
    waiting
        Labels whose prompts have not been answered yet, the first to be answered first.
    claims
        What waiting answers may take from other labels.
    """

    labels: tuple[Label, ...]
    prompts: Prompts = field(default_factory=Prompts)
    masks: Mapping[LabelId, PackedMask] = field(default_factory=dict)
    hand: PackedMask = EMPTY
    erased: Mapping[LabelId, PackedMask] = field(default_factory=dict)
    starts: Mapping[LabelId, PackedMask] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    next_id: int = 2
    waiting: tuple[LabelId, ...] = ()
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        ids = [label.id for label in self.labels]
        is_told_apart = bool(ids) and len(set(ids)) == len(ids)
        if not is_told_apart or not max(ids) < self.next_id <= MAX_LABEL + 1:
            raise DocumentError(
                f"Expected labels with numbers of their own below {self.next_id}, got "
                f"{ids}."
            )

    @classmethod
    def begun(cls, meaning: Meaning = Meaning.OBJECT) -> Document:
        """A document with one label and nothing else."""
        return cls((new_label(1, meaning),))

    @property
    def is_blank(self) -> bool:
        """Whether nothing has been said or painted yet."""
        return not (self.prompts or self.masks or self.erased)

    @property
    def legend(self) -> tuple[Label, ...]:
        """The labels, by number."""
        return tuple(sorted(self.labels, key=lambda label: label.id))

    def has(self, label: int) -> bool:
        """Whether there is a label of this number."""
        return any(known.id == label for known in self.labels)

    def find(self, label: int) -> Label:
        """The label with this number; KeyError where there is none."""
        for known in self.labels:
            if known.id == label:
                return known
        raise KeyError(label)

    def mask(self, label: int) -> Mask:
        """The voxels of a label."""
        return self.masks.get(label, EMPTY)

    # Labels

    def with_new_label(self, meaning: Meaning = Meaning.OBJECT) -> Document:
        """One more label, with a number that was never given before.

        Raises
        ------
        DocumentError
            Where all numbers have been given.
        """
        if self.next_id > MAX_LABEL:
            raise DocumentError(
                f"A document counts its labels up to {MAX_LABEL}. Go on in a new one: save "
                "these labels and continue from them."
            )
        made = new_label(self.next_id, meaning)
        return replace(self, labels=(*self.labels, made), next_id=self.next_id + 1)

    def with_label(self, label: Label) -> Document:
        """A label's name, colour, meaning or state changed; another meaning is answered."""
        old = self.find(label.id)
        labels = tuple(label if known is old else known for known in self.labels)
        changed = replace(self, labels=labels)
        return changed if label.meaning is old.meaning else changed.asking(label.id)

    def without_label(self, label: int) -> Document:
        """A label with its prompts and voxels removed; there is always one left.

        Raises
        ------
        DocumentError
            Where it is done.
        """
        self.require_open(label)
        if len(self.labels) == 1:
            return self.with_new_label(self.find(label).meaning).without_label(label)
        return replace(
            self,
            labels=tuple(known for known in self.labels if known.id != label),
            prompts=self.prompts.without_label(label),
            masks={n: mask for n, mask in self.masks.items() if n != label},
            erased={n: mask for n, mask in self.erased.items() if n != label},
            starts={n: mask for n, mask in self.starts.items() if n != label},
            hand=self.hand - self.mask(label),
            waiting=tuple(n for n in self.waiting if n != label),
            claims=tuple(c for c in self.claims if label not in (c.label, c.other)),
        )

    def require_open(self, *labels: int) -> None:
        """Raise `DocumentError` where one of these labels is done."""
        for label in labels:
            known = self.find(label)
            if known.is_done:
                raise DocumentError(
                    f"{known.name} is done and locked. Open it again to change it."
                )

    def require_all_open(self) -> None:
        """Raise `DocumentError` where any label is done."""
        self.require_open(*(label.id for label in self.labels))

    def effort(self, label: int) -> Effort:
        """What the user did for a label."""
        said = self.prompts.of(label)
        clicks = sum(isinstance(prompt, Point) for prompt in said)
        strokes = sum(prompt.mask.count for prompt in said if isinstance(prompt, Stroke))
        return Effort(clicks, strokes + (self.hand & self.mask(label)).count)

    # Prompts

    def with_prompt(self, prompt: Prompt) -> Document:
        """One more prompt; what it marks is so at once, and its label is to be answered.

        Raises
        ------
        DocumentError
            Where its label is done, or it includes voxels of a label that is.
        PromptError
            Where a region and another prompt contradict each other.
        """
        self.require_open(prompt.label)
        label, prompts = prompt.label, self.prompts
        if isinstance(prompt, Stroke):
            done = {known.id for known in self.labels if known.is_done}
            prompts = prompts.unpainted(prompt.mask, done)
        prompts = prompts.plus(prompt)
        prompts.require_agreement()
        changed = replace(self, prompts=prompts)
        if prompt.include:
            marked = prompts.allowed(mask_of(prompt), label)
            changed = changed._claiming(label, marked)
            return changed._included(label, marked).asking(label)
        own = self.mask(label)
        is_limit = isinstance(prompt, Region)
        excluded = own - prompts.allowed(own, label) if is_limit else own & mask_of(prompt)
        changed = replace(changed, hand=self.hand - excluded)._set(excluded, 0)
        return changed.asking(label)

    def _claiming(self, label: int, marked: Mask) -> Document:
        """Marks inside other labels' voxels are claims on what lies around them."""
        claims = self.claims
        for other in self.labels:
            inside = self.mask(other.id) & marked if other.id != label else EMPTY
            if inside:
                self.require_open(other.id)
                claims = (*claims, Claim(label, other.id, _any_voxel(inside)))
        return replace(self, claims=claims)

    def _included(self, label: int, marked: Mask) -> Document:
        """Marks are their label's at once; around them it may be again what was erased."""
        erased = dict(self.erased)
        if label in erased:
            erased[label] = erased[label] - flooded(erased[label], marked.voxels())
        # A mark is no work of the hand: it lasts as long as its prompt.
        hand = self.hand - (marked - self.mask(label))
        return replace(self, hand=hand, erased=without_empty(erased))._set(marked, label)

    def with_prompts(self, prompts: Prompts) -> Document:
        """Other prompts, some of them gone; labels that it concerns are answered.

        Raises
        ------
        DocumentError
            Where one of those labels is done.
        """
        concerned = [
            label.id
            for label in self.labels
            if prompts.of(label.id) != self.prompts.of(label.id)
        ]
        self.require_open(*concerned)
        marked = {
            n: union(mask_of(p) for p in prompts.of(n) if p.include)
            for n in {claim.label for claim in self.claims}
        }
        claims = tuple(c for c in self.claims if c.voxel in marked[c.label])
        changed = replace(self, prompts=prompts, claims=claims).asking(*concerned)
        for label in set(concerned) - changed.answerable:
            changed = changed.answered(label, self.starts.get(label, EMPTY))
        return changed

    def asking(self, *labels: int) -> Document:
        """Labels to be answered, where they are open and there is something to go by."""
        known = self.answerable
        asked = tuple(n for n in labels if n in known and not self.find(n).is_done)
        others = tuple(n for n in self.waiting if n not in labels)
        return replace(self, waiting=(*asked, *others))

    @property
    def answerable(self) -> set[int]:
        """Labels that have prompts, and of which enough is said, or something proposed."""
        prompted = {prompt.label for prompt in self.prompts.all}
        begun = self.prompts.begun(self.labels)
        return begun | (prompted & set(self.starts))

    def asks_as(self, other: Document, label: int) -> bool:
        """Whether a label waits here for the same answer as in another document."""
        if not (self.has(label) and label in self.waiting):
            return False
        own, theirs = self.prompts.until_last_of(label), other.prompts.until_last_of(label)
        start, their_start = self.starts.get(label), other.starts.get(label)
        same = self.choices == other.choices and start == their_start
        return same and own == theirs

    def answered(self, label: int, answer: Mask) -> Document:
        """The engine's answer to a label's prompts, so far as it may be taken."""
        if not self.has(label) or self.find(label).is_done:
            return self
        own = self.mask(label)
        claims = [claim for claim in self.claims if claim.label == label]
        left = tuple(claim for claim in self.claims if claim.label != label)
        waiting = tuple(n for n in self.waiting if n != label)
        answer = self.prompts.allowed(answer, label)
        taken = answer - self.hand - self.erased.get(label, EMPTY)
        masks = dict(self.masks)
        for other in self.labels:
            theirs = self.mask(other.id) if other.id != label else EMPTY
            contested = taken & theirs
            if not contested:
                continue
            seeds = [claim.voxel for claim in claims if claim.other == other.id]
            won = EMPTY
            if seeds and not other.is_done:
                around = np.array(seeds)
                won = flooded(contested | (answer & own), around) & contested
            taken = taken - (contested - won)
            masks[other.id] = theirs - won
        masks[label] = taken | (own & self.hand)
        return replace(
            self,
            masks=without_empty(masks),
            waiting=waiting,
            claims=left,
        )

    # Hand

    def with_edit(self, mask: Mask, label: int) -> Document:
        """Voxels painted by hand; those of labels that are done stay as they are.

        Raises
        ------
        DocumentError
            Where the label is done.
        """
        self.require_open(label)
        painted = self.unlocked(mask)
        erased = dict(self.erased)
        erased[label] = erased.get(label, EMPTY) - painted
        changed = self._set(painted, label)
        return replace(changed, hand=self.hand | painted, erased=without_empty(erased))

    def with_erasure(self, mask: Mask, label: int) -> Document:
        """Voxels rubbed out by hand, from whatever label they have, and from this one.

        Answers to those labels do not bring them back; another label may have them.
        """
        rubbed = self.unlocked(mask)
        erased = dict(self.erased)
        for known in self.labels:
            part = rubbed if known.id == label else rubbed & self.mask(known.id)
            if part and not known.is_done:
                erased[known.id] = erased.get(known.id, EMPTY) | part
        changed = self._set(rubbed, 0)
        return replace(changed, hand=self.hand - rubbed, erased=erased)

    def unlocked(self, mask: Mask) -> Mask:
        """The voxels of a mask that no label has that is done."""
        for known in self.labels:
            if known.is_done:
                mask = mask - self.mask(known.id)
        return mask

    def _set(self, mask: Mask, label: int) -> Document:
        """Voxels given to a label, or with 0 to none, and taken from all others."""
        masks = {n: old if n == label else old - mask for n, old in self.masks.items()}
        if label:
            masks[label] = self.mask(label) | mask
        return replace(self, masks=without_empty(masks))

    # Result

    def labels_of(self, shape: tuple[int, int, int]) -> NDArray[np.uint8 | np.uint16]:
        """The result: the number of each voxel's label (z, y, x), 0 for none."""
        highest = max(label.id for label in self.labels)
        result = np.zeros(shape, dtype=np.uint8 if highest < 256 else np.uint16)
        for number, mask in self.masks.items():
            mask.number(result, number)
        return result


def _any_voxel(mask: Mask) -> Voxel:
    index, plane = next(iter(mask.planes.items()))
    row, column = divmod(int(plane.array().argmax()), plane.columns)
    return (index, plane.row + row, plane.column + column)

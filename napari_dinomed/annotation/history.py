"""Undo and redo: documents, and the names of the steps between them.

In: documents. Out: the present one, and what undo and redo would do. What was opened is the
floor: there is nothing to undo before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask

# Documents share what they have in common: a step costs what it changed, about 100 kB for
# an organ in a clinical CT, so that this many take 50 MB.
_MOST_STEPS = 500


@dataclass(frozen=True)
class Step:
    """A document that can be gone to, and the name of what is undone or done by going."""

    name: str
    document: Document


@dataclass(frozen=True)
class History:
    """A document, what it was before, and what was undone.

    Parameters
    ----------
    present
        The document as it is.
    past, future
        The nearest first.
    """

    present: Document
    past: tuple[Step, ...] = ()
    future: tuple[Step, ...] = ()

    @property
    def undoes(self) -> str:
        """Name of the step that undo takes back; empty where there is none."""
        return self.past[0].name if self.past else ""

    @property
    def redoes(self) -> str:
        """Name of the step that redo makes again; empty where there is none."""
        return self.future[0].name if self.future else ""

    def then(self, document: Document, name: str) -> History:
        """A new present; what was undone is forgotten. No change is no step."""
        if document == self.present:
            return self
        past = (Step(name, self.present), *self.past[: _MOST_STEPS - 1])
        return History(document, past)

    def amended(self, document: Document) -> History:
        """The present as the engine completes it: no step of the user's."""
        return replace(self, present=document)

    def answered(self, label: int, answer: Mask) -> History:
        """An answer taken by the present, and by all documents that wait for the same."""
        present = self.present

        def completed(step: Step) -> Step:
            if not step.document.asks_as(present, label):
                return step
            return replace(step, document=step.document.answered(label, answer))

        return History(
            present.answered(label, answer),
            tuple(completed(step) for step in self.past),
            tuple(completed(step) for step in self.future),
        )

    def undone(self) -> History:
        """One step back, where there is one."""
        if not self.past:
            return self
        step = self.past[0]
        ahead = (Step(step.name, self.present), *self.future)
        return History(step.document, self.past[1:], ahead)

    def redone(self) -> History:
        """One step forward again, where there is one."""
        if not self.future:
            return self
        step = self.future[0]
        behind = (Step(step.name, self.present), *self.past)
        return History(step.document, behind, self.future[1:])

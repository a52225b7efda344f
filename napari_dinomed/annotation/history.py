"""Undo and redo: documents, the names of the steps between them, and how each was made.

In: documents. Out: the present one, and what undo and redo would do. What was opened is the
floor: there is nothing to undo before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_dinomed.annotation.making import NOTHING, UNKNOWN, Answer, Change, begun

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.making import Features, Made
    from napari_dinomed.annotation.mask import Mask

# Documents share what they have in common: a step costs what it changed, about 100 kB for
# an organ in a clinical CT, so that this many take 50 MB.
_MOST_STEPS = 500


@dataclass(frozen=True)
class Step:
    """A document that can be gone to, and the name of what is undone or done by going.

    Parameters
    ----------
    name, document
        These.
    made
        How the document was made.
    """

    name: str
    document: Document
    made: Made = NOTHING


@dataclass(frozen=True)
class History:
    """A document, what it was before, and what was undone.

    Parameters
    ----------
    present
        The document as it is.
    past, future
        The nearest first.
    made
        How the present was made, from `BLANK`.
    """

    present: Document
    past: tuple[Step, ...] = ()
    future: tuple[Step, ...] = ()
    made: Made = NOTHING

    @property
    def undoes(self) -> str:
        """Name of the step that undo takes back; empty where there is none."""
        return self.past[0].name if self.past else ""

    @property
    def redoes(self) -> str:
        """Name of the step that redo makes again; empty where there is none."""
        return self.future[0].name if self.future else ""

    def then(self, document: Document, name: str, kept: str | None = None) -> History:
        """A new present; what was undone is forgotten. No change is no step.

        Parameters
        ----------
        document, name
            The new present, and the name of the step that leads there.
        kept
            The step's name as it is kept on disk, where the name tells of a file.
        """
        if document == self.present:
            return self
        made = begun(self.made, self.present)
        change = Change.between(self.present, document, name if kept is None else kept)
        past = (self._step(name), *self.past[: _MOST_STEPS - 1])
        return History(document, past, made=made.then(change))

    def amended(self, document: Document) -> History:
        """The present as the engine completes it: no step of the user's."""
        made = begun(self.made, self.present)
        change = Change.between(self.present, document, "another encoder")
        return replace(self, present=document, made=made.then(change))

    def answered(self, label: int, found: Mask, features: Features = UNKNOWN) -> History:
        """An answer taken by the present, and by all documents that wait for the same."""
        present, answer = self.present, Answer(label, features)

        def completed(step: Step) -> Step:
            document = step.document
            if not document.asks_as(present, label):
                return step
            made = begun(step.made, document).then(answer)
            return replace(step, document=document.answered(label, found), made=made)

        return History(
            present.answered(label, found),
            tuple(completed(step) for step in self.past),
            tuple(completed(step) for step in self.future),
            begun(self.made, present).then(answer),
        )

    def undone(self) -> History:
        """One step back, where there is one."""
        if not self.past:
            return self
        step = self.past[0]
        ahead = (self._step(step.name), *self.future)
        return History(step.document, self.past[1:], ahead, step.made)

    def redone(self) -> History:
        """One step forward again, where there is one."""
        if not self.future:
            return self
        step = self.future[0]
        behind = (self._step(step.name), *self.past)
        return History(step.document, behind, self.future[1:], step.made)

    def moved(self, steps: int) -> History:
        """So many steps forward, or back where they are negative, as far as there are."""
        history = self
        for _ in range(abs(steps)):
            history = history.redone() if steps > 0 else history.undone()
        return history

    def _step(self, name: str) -> Step:
        """The way to the present."""
        return Step(name, self.present, self.made)

"""The state of a session: immutable values, and the history that undo walks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from napari_dinomed.engine.messages import HeadName
from napari_dinomed.segment.prompts import Label, Meaning, Point, Prompts, Scribble

# Okabe and Ito's palette, told apart with any colour vision.
_PALETTE = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)


def new_label(number: int, meaning: Meaning) -> Label:
    """A label with the name and colour that go with its number."""
    color = _PALETTE[(number - 1) % len(_PALETTE)]
    return Label(number, f"Label {number}", color, meaning)


@dataclass(frozen=True)
class Choices:
    """How prompts are read; outside undo, kept with the session.

    Parameters
    ----------
    encoder
        Name of the encoder.
    window
        Name of the window preset; empty for the volume's own.
    head
        Readout.
    threshold
        Probability from which a voxel belongs to a label.
    """

    encoder: str = "filters"
    window: str = ""
    head: HeadName = "auto"
    threshold: float = 0.5


@dataclass(frozen=True)
class Annotation:
    """All that the user has made: labels and prompts."""

    labels: tuple[Label, ...] = ()
    prompts: Prompts = field(default_factory=Prompts)

    def find(self, label: int) -> Label:
        """The label with this id; KeyError where there is none."""
        for known in self.labels:
            if known.id == label:
                return known
        raise KeyError(label)

    def with_new_label(self, meaning: Meaning) -> Annotation:
        """One more label, with the lowest id, a name and a colour that are free."""
        taken = {label.id for label in self.labels}
        free = next(n for n in range(1, len(taken) + 2) if n not in taken)
        return replace(self, labels=(*self.labels, new_label(free, meaning)))

    def with_label(self, label: Label) -> Annotation:
        """The label of the same id replaced."""
        labels = tuple(label if old.id == label.id else old for old in self.labels)
        return replace(self, labels=labels)

    def without_label(self, label: int) -> Annotation:
        """A label and its prompts removed."""
        return Annotation(
            tuple(known for known in self.labels if known.id != label),
            self.prompts.without_label(label),
        )

    def with_points(self, points: tuple[Point, ...]) -> Annotation:
        """Other points, the same scribbles."""
        return replace(self, prompts=replace(self.prompts, points=points))

    def with_scribbles(self, scribbles: tuple[Scribble, ...]) -> Annotation:
        """Other scribbles, the same points."""
        return replace(self, prompts=replace(self.prompts, scribbles=scribbles))


@dataclass(frozen=True)
class History:
    """An annotation, what it was before, and what was undone."""

    present: Annotation = field(default_factory=Annotation)
    past: tuple[Annotation, ...] = ()
    future: tuple[Annotation, ...] = ()

    def then(self, annotation: Annotation) -> History:
        """A new present; what was undone is forgotten."""
        if annotation == self.present:
            return self
        return History(annotation, (*self.past, self.present))

    def undone(self) -> History:
        """One step back, where there is one."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.present, *self.future))

    def redone(self) -> History:
        """One step forward again, where there is one."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.present), self.future[1:])

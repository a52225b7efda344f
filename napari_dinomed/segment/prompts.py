"""What the user says: labels, and points and scribbles that belong or do not belong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from napari_dinomed.errors import PromptError
from napari_dinomed.volume import NamedLabel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

MAX_LABEL = 65_535
_WEIGHT_OF_FIRST = 3.0

Voxel = tuple[int, int, int]
Mark = tuple[Voxel, bool]
LabelId = Annotated[int, Field(ge=1, le=MAX_LABEL)]


def thinned(painted: tuple[Mark, ...], most: int) -> tuple[Mark, ...]:
    """At most so many of the painted marks on either side, evenly chosen."""
    kept: list[Mark] = []
    for belongs in (True, False):
        side = [mark for mark in painted if mark[1] is belongs]
        kept.extend(side[:: max(1, -(-len(side) // most))])
    return tuple(kept)


def typical(included: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of what was measured at included marks (n, ...), in the order they were made.

    The first counts most: it shows what is meant, later ones only what was missed.
    """
    weights = [_WEIGHT_OF_FIRST] + [1.0] * (len(included) - 1)
    return np.asarray(np.average(included, axis=0, weights=weights))


class Meaning(StrEnum):
    """What a click on something means."""

    OBJECT = "object"
    """This one connected thing."""
    ALL_LIKE_THIS = "all-like-this"
    """Everything that looks like it."""


@dataclass(frozen=True)
class Label:
    """One thing to segment.

    Parameters
    ----------
    id
        The number that its voxels get, from 1.
    name
        The user's name for it.
    color
        Red, green, blue from 0 to 1.
    meaning
        One object, or all that look alike.
    """

    id: LabelId
    name: str
    color: tuple[float, float, float]
    meaning: Meaning = Meaning.OBJECT


def legend_of(labels: tuple[Label, ...]) -> tuple[NamedLabel, ...]:
    """What the labels' numbers stand for, as it is written beside them."""
    return tuple(NamedLabel(label.id, label.name, label.color) for label in labels)


@dataclass(frozen=True)
class Point:
    """A click on a voxel (z, y, x): it belongs to the label, or it does not."""

    voxel: Voxel
    label: LabelId
    include: bool = True


@dataclass(frozen=True)
class Scribble:
    """A brush stroke over voxels (z, y, x) that belong to the label, or do not."""

    voxels: tuple[Voxel, ...]
    label: LabelId
    include: bool = True


@dataclass(frozen=True)
class Prompts:
    """All that the user has said so far; adding and removing give a new value."""

    points: tuple[Point, ...] = ()
    scribbles: tuple[Scribble, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points or self.scribbles)

    @property
    def all(self) -> tuple[Point | Scribble, ...]:
        """Points and scribbles alike."""
        return (*self.points, *self.scribbles)

    def with_point(self, point: Point) -> Prompts:
        """These prompts and one more point."""
        return replace(self, points=(*self.points, point))

    def without_label(self, label: int) -> Prompts:
        """These prompts less everything said about a label."""
        return Prompts(
            tuple(point for point in self.points if point.label != label),
            tuple(stroke for stroke in self.scribbles if stroke.label != label),
        )

    def included_labels(self) -> tuple[int, ...]:
        """Labels that at least one prompt includes, ascending."""
        return tuple(sorted({prompt.label for prompt in self.all if prompt.include}))

    def marks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Marked voxels (n, 3) and their classes (n,): a label, or 0 for an exclusion.

        Later prompts win where two mark the same voxel.
        """
        marked: dict[Voxel, int] = {}
        for stroke in self.scribbles:
            target = stroke.label if stroke.include else 0
            marked |= dict.fromkeys(stroke.voxels, target)
        for point in self.points:
            marked[point.voxel] = point.label if point.include else 0
        voxels = np.array(list(marked), dtype=np.int64).reshape(-1, 3)
        return voxels, np.array(list(marked.values()), dtype=np.int64)

    def marks_for(self, label: int) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
        """Clicked and painted voxels that belong to one label, or do not.

        What another label includes does not belong to this one; what another label
        excludes says nothing of it. Both are in the order in which they were made.
        """
        clicked = tuple(
            (point.voxel, point.include and point.label == label)
            for point in self.points
            if point.include or point.label == label
        )
        painted = tuple(
            (voxel, stroke.include and stroke.label == label)
            for stroke in self.scribbles
            if stroke.include or stroke.label == label
            for voxel in stroke.voxels
        )
        return clicked, painted

    def require_inside(self, shape: tuple[int, ...]) -> None:
        """Raise `PromptError` where a prompt lies outside a volume of this shape."""
        for voxel in self._voxels():
            if any(not 0 <= v < n for v, n in zip(voxel, shape, strict=True)):
                raise PromptError(
                    f"The prompt at voxel {voxel} (z, y, x) lies outside the volume of "
                    f"{shape} voxels."
                )

    def require_labels(self, labels: Iterable[int]) -> None:
        """Raise `PromptError` where a prompt names a label that does not exist."""
        known = set(labels)
        for prompt in self.all:
            if prompt.label not in known:
                raise PromptError(
                    f"A prompt names label {prompt.label}, but the labels are "
                    f"{sorted(known)}."
                )

    def _voxels(self) -> Iterable[Voxel]:
        yield from (point.voxel for point in self.points)
        for stroke in self.scribbles:
            yield from stroke.voxels

"""Labels: what a number stands for, what a click on it means, and whether it is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from napari_dinomed.volume import NamedLabel

if TYPE_CHECKING:
    from collections.abc import Iterable

# Okabe and Ito's palette, told apart with any colour vision.
PALETTE = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)
MAX_LABEL = 65_534
"""What the layers can count to: two bytes a voxel, and one number for exclusions."""

LabelId = Annotated[int, Field(ge=1, le=MAX_LABEL)]
_Part = Annotated[float, Field(ge=0, le=1)]


class Meaning(StrEnum):
    """What a click on something means."""

    OBJECT = "object"
    """This one connected thing."""
    ALL_LIKE_THIS = "all-like-this"
    """Everything that looks like it."""


class State(StrEnum):
    """Whether a label is being worked on."""

    OPEN = "open"
    """Clicks, answers and the brush change it."""
    DONE = "done"
    """It is locked: nothing changes its voxels until it is opened again."""


@dataclass(frozen=True)
class Label:
    """One thing to segment.

    Parameters
    ----------
    id
        The number that its voxels get, from 1; never given again within a document.
    name
        The user's name for it; what no file or table can hold (line ends, half characters)
        is a space.
    color
        Red, green, blue from 0 to 1.
    meaning
        One object, or all that look alike.
    state
        Open, or done and locked.
    """

    id: LabelId
    name: str
    color: tuple[_Part, _Part, _Part]
    meaning: Meaning = Meaning.OBJECT
    state: State = State.OPEN

    def __post_init__(self) -> None:
        if not self.name.isprintable():
            name = "".join(c if c.isprintable() else " " for c in self.name).strip()
            object.__setattr__(self, "name", name)

    @property
    def is_done(self) -> bool:
        """Whether it is locked."""
        return self.state is State.DONE


def new_label(number: int, meaning: Meaning = Meaning.OBJECT) -> Label:
    """A label with the name and colour that go with its number."""
    color = PALETTE[(number - 1) % len(PALETTE)]
    return Label(number, f"Label {number}", color, meaning)


def legend_of(labels: Iterable[Label]) -> tuple[NamedLabel, ...]:
    """What the labels' numbers stand for, as it is written beside them."""
    return tuple(NamedLabel(label.id, label.name, label.color) for label in labels)


@dataclass(frozen=True)
class Effort:
    """What a user did for a label.

    Parameters
    ----------
    clicks
        Points that include or exclude.
    painted
        Voxels of strokes, and of the label that a hand has set.
    """

    clicks: Annotated[int, Field(ge=0)]
    painted: Annotated[int, Field(ge=0)]

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.clicks + other.clicks, self.painted + other.painted)

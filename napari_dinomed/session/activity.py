"""What the engine does for a session, as values that a window shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dinomed.engine.messages import Progress


@dataclass(frozen=True)
class View:
    """The plane in view: axis of the volume that is cut, and where."""

    axis: int = 0
    index: int = 0


class Phase(StrEnum):
    """What the engine does for a session."""

    BARE = "bare"
    """Nothing; it has no features that fit the choices."""
    ENCODING = "encoding"
    """Features are being computed."""
    ANSWERING = "answering"
    """A label's prompts are being answered."""
    READY = "ready"
    """Nothing; features are there, and the next click is answered at once."""


@dataclass(frozen=True)
class Activity:
    """What is going on.

    Parameters
    ----------
    phase
        What the engine does.
    progress
        How far it is, where it says so.
    where
        Where it computes, in words.
    """

    phase: Phase = Phase.BARE
    progress: Progress | None = None
    where: str = ""

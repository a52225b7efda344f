"""How far a job is, and what a user should know of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What is being done."""

    LOADING = "loading"
    """An encoder."""
    SENDING = "pieces sent"
    """A volume goes to an engine elsewhere."""
    SLICES = "slices"
    """Their features are computed, or read from disk."""
    LESSONS = "lessons"
    """What was painted is learnt from."""
    ADAPTING = "lessons of the encoder"
    """An encoder is adapted; the subject says how long that takes yet."""
    FETCHING = "bytes"
    """Weights."""
    MEASURING = "measuring"
    """A benchmark's case."""
    SILENCE = "no sign of life from the engine"
    """Nothing, as far as is known."""
    RELIEF = "at work again"
    """What was done before the silence."""


@dataclass(frozen=True)
class Progress:
    """So much of a job is done.

    Parameters
    ----------
    done, total
        Of what the stage counts; a total of 0 where that is not known.
    stage
        What is being done.
    subject
        Name of the encoder or case that it is done with, where there is one.
    """

    done: int
    total: int
    stage: Stage
    subject: str = ""

    @property
    def text(self) -> str:
        """What is counted or done, in words."""
        if self.stage is Stage.LOADING:
            return f"Loading {self.subject}"
        return self.subject if self.stage is Stage.MEASURING else self.stage.value


@dataclass(frozen=True)
class Notice:
    """Something the user should know; the job goes on."""

    text: str

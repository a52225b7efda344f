"""Between an engine and its client, whatever is asked: signs of life, and ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hello:
    """First message of an engine: who it is."""

    version: str
    python: str = ""


@dataclass(frozen=True)
class Ping:
    """Ask for a sign of life; it is given whatever is computed meanwhile."""


@dataclass(frozen=True)
class Pong:
    """A sign of life.

    Parameters
    ----------
    seconds_at_step
        Since the step began that is being computed; 0 where none is.
    """

    seconds_at_step: float = 0.0


@dataclass(frozen=True)
class Cancel:
    """Withdraw a request; the envelope's number names it."""


@dataclass(frozen=True)
class Withdrawn:
    """The request was cancelled, or a newer one took its place."""


@dataclass(frozen=True)
class Failed:
    """The request could not be carried out.

    Parameters
    ----------
    error
        Name of an error of `napari_dinomed.errors`, or of an unexpected one.
    text
        What the user should read.
    """

    error: str
    text: str

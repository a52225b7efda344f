"""Encoders where the engine computes: which there are, their weights, and getting ready."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Describe:
    """Ask what encoders there are and where they would compute."""

    device: str = "auto"


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder as it stands on the engine's machine."""

    name: str
    title: str
    channels: int
    parameters: float
    licence: str
    present: bool
    licence_to_accept: str | None


@dataclass(frozen=True)
class Described:
    """Result of `Describe`."""

    device: str
    encoders: tuple[EncoderInfo, ...]


@dataclass(frozen=True)
class FetchWeights:
    """Download an encoder's weights.

    Parameters
    ----------
    encoder
        Name of an encoder.
    accepted
        The licence that the user has accepted for that, if any.
    """

    encoder: str
    accepted: str = ""


@dataclass(frozen=True)
class Fetched:
    """Result of `FetchWeights`."""

    sha256: str
    revision: str


@dataclass(frozen=True)
class Prepare:
    """Read the libraries that volumes will need, when there is time for it.

    Parameters
    ----------
    encoder
        Who will encode them.
    """

    encoder: str


@dataclass(frozen=True)
class Prepared:
    """Result of `Prepare`."""

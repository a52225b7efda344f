"""How what an encoder says is read: the one list of it, for panel, program and wire."""

from __future__ import annotations

from enum import StrEnum


class Readout(StrEnum):
    """A way to read tokens, as the user picks it."""

    AUTO = "auto"
    """All that is known together."""
    KNN = "knn"
    """The likeness to the prompts that are nearest."""
    PROBE = "probe"
    """A linear probe, taught by prompts and by what was found so far."""

    @property
    def text(self) -> str:
        """What the panel calls it."""
        return _TEXTS[self]


_TEXTS = {
    Readout.AUTO: "automatic",
    Readout.KNN: "nearest prompts (k-NN)",
    Readout.PROBE: "linear probe",
}

"""What a batch says of a volume that it is done with."""

from __future__ import annotations

from dataclasses import dataclass

from napari_dinomed.batch.quality import Measures
from napari_dinomed.review import LIGHTS


@dataclass(frozen=True)
class Done:
    """One volume that a batch is done with.

    Parameters
    ----------
    task
        What identifies the work: the files, the model and the program's version.
    source, labels
        The volume, and the name of the file with its labels; empty where there is none.
    measures
        Of each label.
    seconds
        That it took.
    warnings
        In what the volume is unlike those that taught.
    error
        Why there are no labels; empty where there are.
    written
        Size and time of change of the file with the labels.
    """

    task: str
    source: str
    labels: str = ""
    measures: tuple[Measures, ...] = ()
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str = ""
    written: tuple[int, int] = (0, 0)

    @property
    def light(self) -> str:
        """The worst light of its labels."""
        if self.error or not self.measures:
            return LIGHTS[0]
        return min((one.light for one in self.measures), key=LIGHTS.index)

    @property
    def doubt(self) -> float:
        """The most that is in doubt of a label."""
        return max((one.doubt for one in self.measures), default=1.0)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why somebody should look at it, and in what it is unlike those that taught."""
        why = (f"{one.label}: {one.reason}" for one in self.measures if one.reason)
        return tuple(reason for reason in (self.error, *why, *self.warnings) if reason)

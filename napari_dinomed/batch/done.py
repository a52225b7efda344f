"""What a batch says of a volume that it is done with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_dinomed.amounts import in_usual_unit
from napari_dinomed.batch.light import MOST_ODD
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
        The volume, or the first file of its series, and the name of the file with its
        labels; empty where there is none.
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
    voxels
        Of the volume.
    worker
        Who labelled it; empty where the run's own process did.
    """

    task: str
    source: str
    labels: str = ""
    measures: tuple[Measures, ...] = ()
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str = ""
    written: tuple[int, int] = (0, 0)
    voxels: int = 0
    worker: str = ""

    @property
    def told(self) -> tuple[Measures, ...]:
        """Its measures, with volumes in the unit that users think in."""
        return tuple(map(_as_told, self.measures))

    @property
    def light(self) -> str:
        """The worst light of its labels."""
        if self.error or not self.measures:
            return LIGHTS[0]
        return min((one.light for one in self.measures), key=LIGHTS.index)

    @property
    def oddness(self) -> float:
        """Of its oddest label; the most where there is none."""
        return max((one.oddness for one in self.measures), default=MOST_ODD)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why somebody should look at it, and in what it is unlike those that taught."""
        why = (f"{one.label}: {one.reason}" for one in self.measures if one.reason)
        return tuple(reason for reason in (self.error, *why, *self.warnings) if reason)


def _as_told(one: Measures) -> Measures:
    volume, unit = in_usual_unit(one.volume, one.unit.removesuffix("³"))
    return replace(one, volume=volume, unit=unit)

"""What a batch says of a volume that it is done with."""

from __future__ import annotations

from dataclasses import dataclass

from napari_dinomed.batch.quality import Measures


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

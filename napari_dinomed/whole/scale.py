"""Model size, resolution and readout against each other, on one's own labels.

In: figures of every label for each encoder, side and readout. Out: the mean over labels, a
grid for each readout: bigger is not reliably better (arXiv 2509.06467).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.whole.readout import READOUTS, Readout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.whole.readout import Figures


@dataclass(frozen=True)
class Trial:
    """Labels told by one encoder at one resolution.

    Parameters
    ----------
    encoder
        Its name.
    side
        Pixels of the shorter side of a slice; 0 where an encoder takes slices as they are.
    figures
        Of each label and readout.
    """

    encoder: str
    side: int
    figures: tuple[Figures, ...]

    def mean(self, readout: Readout) -> float:
        """Mean AUROC over labels."""
        own = [one.auroc for one in self.figures if one.readout == readout]
        return float(np.mean(own))


@dataclass(frozen=True, eq=False)
class Grid:
    """Mean AUROC of one readout.

    Parameters
    ----------
    readout
        Which.
    encoders, sides
        Its rows and columns.
    means
        (encoders, sides); not a number where it was not tried.
    """

    readout: Readout
    encoders: tuple[str, ...]
    sides: tuple[int, ...]
    means: NDArray[np.float64]


def grids_of(trials: list[Trial]) -> tuple[Grid, ...]:
    """A grid for each readout; an encoder that takes slices as they are fills its row."""
    encoders = tuple(dict.fromkeys(trial.encoder for trial in trials))
    sides = tuple(sorted({trial.side for trial in trials if trial.side})) or (0,)
    grids = []
    for readout in READOUTS:
        means = np.full((len(encoders), len(sides)), np.nan)
        for trial in trials:
            row = encoders.index(trial.encoder)
            columns = (
                [sides.index(trial.side)] if trial.side in sides else range(len(sides))
            )
            means[row, list(columns)] = trial.mean(readout)
        grids.append(Grid(readout, encoders, sides, means))
    return tuple(grids)

"""What was found of all that looks alike: the answer after a further click builds on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found after some clicks.

    Parameters
    ----------
    logit
        That a cell belongs, (z, y, x).
    share
        Of the volume, over the cut.
    is_thin
        Whether it was found by lines.
    start
        The first slice of cells that it tells of.
    rims
        Of the clicks, those that only completed a blob that was found.
    """

    logit: Floats
    share: float
    is_thin: bool
    start: int = 0
    rims: tuple[int, ...] = ()

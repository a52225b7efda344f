"""What was found, drawn over the volume after some of the clicks.

In: masks as they come, and the truth. Out: one picture, a row for each; what is right, what
was missed and what spilled over have colours of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.report import overlay_picture, write_picture
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.bench.case import Case

# Clicks after which a row is drawn.
_PICTURED = (1, 5, 10)


class Painter:
    """Writes an overlay after some of the clicks.

    Parameters
    ----------
    path
        The picture, written anew with each row.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[NDArray[np.uint8]] = []

    def __call__(self, case: Case, number: int, mask: NDArray[np.bool_]) -> None:
        """Draw a mask (z, y, x) after so many clicks."""
        if number not in _PICTURED:
            return
        # 1 is right, 2 was missed, 3 spilled over.
        ids = np.where(case.truth, np.where(mask, 1, 2), np.where(mask, 3, 0))
        labels = tuple(new_label(n, Meaning.OBJECT) for n in (1, 2, 3))
        window = choose_window(case.volume, None)
        self._rows.append(overlay_picture(case.volume, window, ids, labels))
        write_picture(self._path, np.concatenate(self._rows))

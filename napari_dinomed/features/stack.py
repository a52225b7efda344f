"""A volume as an encoder sees it: windowed slices, read a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume import Volume, Window


@dataclass(frozen=True)
class SlicePlan:
    """How slices are brought to an encoder.

    Parameters
    ----------
    side
        Pixels that the shorter side of a slice is resized to before patches are cut.
    """

    side: int = 448


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Slices along z, as grey values in [0, 1]."""

    volume: Volume
    window: Window

    @property
    def depth(self) -> int:
        """Number of slices."""
        return int(self.volume.array.shape[0])

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        return (self.volume.array.shape[1], self.volume.array.shape[2])

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Slices ``start`` to ``stop`` as (n, rows, columns); past the ends they repeat."""
        indices = np.clip(np.arange(start, stop), 0, self.depth - 1)
        first, last = int(indices[0]), int(indices[-1])
        slab = self.window.apply(np.asarray(self.volume.array[first : last + 1]))
        return slab[indices - first]

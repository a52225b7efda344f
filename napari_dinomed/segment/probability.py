"""How probable one label is, as its answer was cut from it.

In: a box of probabilities, and what else decided. Out: planes of it, in 255ths, small
enough to be kept and sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.segment.regions import connected, start_of, within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Painted
    from napari_dinomed.segment.regions import Box

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

CERTAIN = 255


@dataclass(frozen=True, eq=False)
class BoxProbability:
    """How probable the voxels (z, y, x) of a box are, in 255ths; all others are not."""

    box: Box
    parts: Bytes

    @classmethod
    def of(
        cls,
        placed: tuple[Box, Floats],
        threshold: float,
        seeds: NDArray[np.integer[Any]] | None,
        marks: Painted,
    ) -> BoxProbability:
        """The same as a `Canvas` takes it: what is over the threshold is the answer.

        Parameters
        ----------
        placed
            A box, and the probability of its voxels.
        threshold
            Probability from which a voxel belongs.
        seeds
            Voxels (n, 3) that what belongs is connected to, or None.
        marks
            What the user said for certain.
        """
        box, probability = placed
        start, shape = start_of(box), probability.shape
        parts = np.stack([_in_parts(plane) for plane in probability])
        if seeds is not None:
            belongs, places = probability > threshold, seeds - start
            parts[belongs & ~connected(belongs, places[within(places, shape)])] = 0
        places = marks.voxels - start
        held = within(places, shape)
        parts[tuple(places[held].T)] = np.where(marks.belongs[held], CERTAIN, 0)
        return cls(box, parts)

    def plane(self, axis: int, index: int, shape: tuple[int, ...]) -> Bytes:
        """The plane (rows, columns) across an axis of a volume (z, y, x)."""
        plane = np.zeros(np.delete(shape, axis), dtype=np.uint8)
        across = self.box[axis]
        if across.start <= index < across.stop:
            rows, columns = (part for n, part in enumerate(self.box) if n != axis)
            plane[rows, columns] = self.parts.take(index - across.start, axis)
        return plane


def _in_parts(probability: Floats) -> Bytes:
    # Half of one down: what is at a half of all stays below what is over it.
    return np.asarray(np.ceil(probability * CERTAIN - 0.5), dtype=np.uint8)

"""Labels being put together from what was found of each.

In: boxes of probabilities, one label after another. Out: labels of the box that holds all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.segment.regions import connected, hull, moved, start_of, within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.annotation.prompts import Painted
    from napari_dinomed.segment.regions import Box

    LabelArray = NDArray[np.unsignedinteger[Any]]
    Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BoxLabels:
    """Labels (z, y, x) of a box whose first voxel lies at ``start``; all else is 0."""

    start: tuple[int, int, int]
    labels: LabelArray


class Canvas:
    """Labels being put together: where two claim a voxel, the more probable has it.

    It covers what has been painted so far, not the volume.
    """

    def __init__(self, dtype: type[np.unsignedinteger[Any]], threshold: float) -> None:
        self._threshold = threshold
        self._box: Box = (slice(0, 0),) * 3
        self._labels: LabelArray = np.zeros((0, 0, 0), dtype=dtype)
        self._best: Floats = np.zeros((0, 0, 0), dtype=np.float32)

    def paint(
        self,
        label: Label,
        placed: tuple[Box, Floats],
        seeds: NDArray[np.integer[Any]] | None,
    ) -> None:
        """Give a label the voxels where it is most probable.

        Parameters
        ----------
        label, placed
            The label, and how probable it is where.
        seeds
            Voxels (n, 3) that it must be connected to, or None.
        """
        box, probability = placed
        self._reach(box)
        inside = moved(box, self._start)
        best = self._best[inside]
        wins = probability > best
        if seeds is not None:
            places = seeds - start_of(box)
            # A mark far from what was found is settled by itself.
            wins = connected(wins, places[within(places, wins.shape)])
        self._labels[inside][wins] = label.id
        best[wins] = probability[wins]

    def settle(self, label: Label, marks: Painted) -> None:
        """What the user marked last is what the user gets."""
        places = marks.voxels - self._start
        held = within(places, self._labels.shape)
        where, belongs = tuple(places[held].T), marks.belongs[held]
        now = self._labels[where]
        rest = np.where(now == label.id, 0, now)
        # Of a voxel that was marked twice, numpy keeps what is assigned last.
        self._labels[where] = np.where(belongs, label.id, rest)

    def finish(self) -> BoxLabels:
        """The box that just holds all that has a label."""
        box: Box = ()
        for others in ((1, 2), (0, 2), (0, 1)):
            held = np.flatnonzero(self._labels[box].any(others))
            if not len(held):
                return BoxLabels((0, 0, 0), self._labels[:0, :0, :0])
            box = (*box, slice(int(held[0]), int(held[-1]) + 1))
        z, y, x = (int(n) for n in self._start + start_of(box))
        return BoxLabels((z, y, x), np.ascontiguousarray(self._labels[box]))

    @property
    def _start(self) -> NDArray[np.int64]:
        return start_of(self._box)

    def _reach(self, box: Box) -> None:
        """Cover another box as well."""
        before = self._box if self._labels.size else box
        self._box = hull(before, box)
        shape = [part.stop - part.start for part in self._box]
        if self._labels.shape == tuple(shape):
            return
        labels = np.zeros(shape, dtype=self._labels.dtype)
        best = np.full(shape, self._threshold, dtype=np.float32)
        if self._labels.size:
            inside = moved(before, self._start)
            labels[inside], best[inside] = self._labels, self._best
        self._labels, self._best = labels, best

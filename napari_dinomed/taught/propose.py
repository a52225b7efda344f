"""Proposals: what a taught model says of a volume, before any click.

In: a model, and looks of a volume on its bases. Out: labels of the box that holds all that
was found. A first reading of the whole volume, on cells, tells where an object is; a second
one reads it closely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.segment.canvas import BoxLabels, Canvas
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.method import MOST_CELLS
from napari_dinomed.segment.regions import bounding_box, deepest, grown, largest, start_of
from napari_dinomed.taught.examples import looks_at, places_of
from napari_dinomed.taught.teach import features_of, read_by

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_dinomed.segment.one_object.looks import Looks
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.taught.header import Reading
    from napari_dinomed.taught.learners import Read
    from napari_dinomed.taught.model import TaughtModel

# Cells on which all that looks alike is read: as many as tokens of a large stack.
_MOST_ALIKE = 2_000_000
_AT_ONCE = 65_536
# Room around an object for the second reading, as a share of its length.
_ROOM = 0.25
# A probability is half where a logit is at its cut.
_BELONGS = 0.5


@dataclass(frozen=True, eq=False)
class Proposal:
    """What was found.

    Parameters
    ----------
    box
        Labels; their numbers are the model's.
    doubts
        For each label that was found, the share on which two readings differ, of all that
        either finds.
    """

    box: BoxLabels
    doubts: Mapping[int, float]


class Reader:
    """A model made ready to read volumes.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: TaughtModel) -> None:
        self.model = model
        self._reads: dict[tuple[int, Reading], Read] = {}

    def propose(
        self,
        looks: tuple[Looks, ...],
        shape: tuple[int, ...],
        spacing: tuple[float, float, float],
    ) -> Iterator[Proposal | None]:
        """Find every label that the model knows.

        Parameters
        ----------
        looks
            Of the volume, on the model's bases.
        shape, spacing
            Voxels of the volume along (z, y, x), and their size.

        Yields
        ------
        Proposal or None
            None where this may be interrupted; the proposal last.
        """
        whole = tuple(slice(0, length) for length in shape)
        canvas, doubts = Canvas(np.uint16, _BELONGS), {}
        for lesson in self.model.header.lessons:
            label, (first, *others) = lesson.label, lesson.readings
            is_object = label.meaning is Meaning.OBJECT
            cells = Cells.over(whole, spacing, MOST_CELLS if is_object else _MOST_ALIKE)
            logit = yield from self._logit(label.id, first, looks, cells, shape)
            if not bool((logit > 0).any()):
                continue
            if is_object and not cells.is_finest:
                cells = Cells.over(_around(logit, cells, whole), spacing, MOST_CELLS)
                logit = yield from self._logit(label.id, first, looks, cells, shape)
            keep = largest if is_object else np.asarray
            for other in others:
                second = yield from self._logit(label.id, other, looks, cells, shape)
                pair = (keep((one > 0).numpy()) for one in (logit, second))
                doubts[label.id] = _difference(*pair)
            found = torch.sigmoid(cells.to_voxels(logit)).numpy()
            seeds = None
            if is_object and (found > _BELONGS).any():
                heart = deepest(largest(found > _BELONGS), spacing)
                seeds = (heart + start_of(cells.box))[None]
            canvas.paint(label, (cells.box, found), seeds)
            yield None
        yield Proposal(canvas.finish(), doubts)

    def _read(self, label: int, reading: Reading) -> Read:
        """From features to logits of a label; learnt when first asked for."""
        if (label, reading) not in self._reads:
            self._reads[label, reading] = read_by(self.model, label, reading)
        return self._reads[label, reading]

    def _logit(
        self,
        label: int,
        reading: Reading,
        looks: tuple[Looks, ...],
        cells: Cells,
        shape: tuple[int, ...],
    ) -> Generator[None, None, torch.Tensor]:
        """Logit (z, y, x) of cells."""
        read, parts = self._read(label, reading), []
        count = int(np.prod(cells.shape))
        middles = [cells.middles(axis) for axis in range(3)]
        for start in range(0, count, _AT_ONCE):
            numbers = np.arange(start, min(start + _AT_ONCE, count))
            index = np.unravel_index(numbers, cells.shape)
            voxels = np.column_stack(
                [middle[i] for middle, i in zip(middles, index, strict=True)]
            )
            seen, places = looks_at(looks, voxels), places_of(voxels, shape)
            parts.append(read(features_of(seen, places, reading.by_place)))
            yield None
        return torch.cat(parts).reshape(cells.shape)


def _difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Share of what either has that the other has not."""
    either = int((first | second).sum())
    return float((first ^ second).sum() / either) if either else 1.0


def _around(logit: torch.Tensor, cells: Cells, whole: Box) -> Box:
    """Box of voxels around the largest thing that was found, with room."""
    region = bounding_box(largest((logit > 0).numpy()))
    box = cells.voxels_of(region)
    room = 1 + int(_ROOM * max(part.stop - part.start for part in box))
    return grown(box, room, whole)

"""All that looks alike, by a readout that the user picked: read off every token.

In: tokens of every slice, and marks. Out: the mean of what the planes say of each voxel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from napari_dinomed.segment.examples import gather_examples
from napari_dinomed.segment.heads import HEADS
from napari_dinomed.segment.marks import all_marks
from napari_dinomed.segment.suggest import Doubt, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Mark, Painted
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.heads import Head
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.segment.turns import Stepwise

    Floats = NDArray[np.float32]

# Probabilities (slices, tokens) of each bank.
Readings: TypeAlias = "list[torch.Tensor]"
_VOXELS = np.ones(3, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class ReadoutFinder:
    """Reads what a label includes off every token.

    Parameters
    ----------
    banks
        Tokens along one axis or several.
    kind
        The readout, fitted to each bank.
    clicks
        Clicked voxels in order, and whether they belong.
    painted
        Voxels under strokes, and whether they belong.
    spacing
        Size of a voxel along (z, y, x).
    """

    banks: tuple[TokenBank, ...]
    kind: type[Head]
    clicks: tuple[Mark, ...]
    painted: Painted
    spacing: NDArray[np.float64]

    def answer(self) -> Stepwise[Readings]:
        """What is read of every token."""
        marks = all_marks(self.painted, self.clicks)
        readings = []
        for bank in self.banks:
            voxels, belongs = marks.voxels.astype(np.int64), marks.belongs.astype(np.int64)
            head = self.kind().fit(gather_examples(bank, voxels, belongs))
            column = int(torch.searchsorted(head.classes_, 1))
            parts = []
            for index in range(bank.depth):
                parts.append(head.predict_proba(bank.slice_tokens(index))[:, column])
                yield None
            readings.append(torch.stack(parts))
        return readings

    def doubt(self) -> Stepwise[Doubt]:
        """How sure the readout is of each voxel, and whether the other one agrees."""
        (other,) = (kind for kind in HEADS.values() if kind is not self.kind)
        readings = []
        for finder in (self, replace(self, kind=other)):
            _, probability = finder.placed((yield from finder.answer()))
            readings.append(probability)
        # Its cells are voxels.
        return Doubt(np.stack(readings), self.spacing, _same, _same)

    def worth(self, places: Sequence[Place]) -> Stepwise[list[float]]:
        """How much a click would tell: as much as is in doubt there."""
        yield None
        return [place.in_doubt for place in places]

    @property
    def seeds(self) -> None:
        """All that looks alike need not be connected."""

    def plane(self, readings: Readings, axis: int, index: int) -> Floats:
        """Probability (rows, columns) of a plane."""
        _, probability = self.placed(readings)
        return np.asarray(probability.take(index, axis))

    def placed(self, readings: Readings) -> tuple[Box, Floats]:
        """The whole volume as a box, and the probability of its voxels."""
        planes = [
            bank.on_every(_VOXELS, reading.__getitem__)
            for bank, reading in zip(self.banks, readings, strict=True)
        ]
        probability = torch.stack(planes).mean(0).numpy()
        return tuple(slice(0, length) for length in probability.shape), probability


def _same(places: NDArray[np.integer]) -> NDArray[np.int64]:
    return places.astype(np.int64)

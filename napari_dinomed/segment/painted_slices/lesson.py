"""What painted slices teach: a network for all slices, and where its answer is cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.segment.painted_slices.network import PaintedSlices, SliceNet, teach

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Painted
    from napari_dinomed.segment.all_alike.appearance import AlikeField
    from napari_dinomed.segment.turns import Stepwise

    Floats = NDArray[np.float32]
    Bools = NDArray[np.bool_]

# Lessons of the network that answers, and of those on which the cut is tried.
_LESSONS, _TRIAL_LESSONS = 300, 150
# Logits that are tried as a cut.
_CUTS = np.linspace(-5, 2, 29)
# Dice that a cut must gain, for each logit that it lies away from even odds: networks for
# trial have seen half of the paint, and are less sure than the one taught by all of it.
_CUT_COST = 0.02


@dataclass(frozen=True, eq=False)
class Lesson:
    """Painted slices, and a fold for each painted cell.

    Parameters
    ----------
    field
        What the volume looks like.
    slices
        The painted ones, ascending.
    belongs, known
        As in `PaintedSlices`.
    folds
        0 or 1, (slices, rows, columns).
    """

    field: AlikeField
    slices: NDArray[np.int64]
    belongs: Floats
    known: Bools
    folds: NDArray[np.int64]

    @classmethod
    def of(cls, field: AlikeField, painted: Painted) -> Lesson:
        """Folds alternate between slices, or are the halves of a single one."""
        cells = painted.voxels // field.step
        slices, order = np.unique(cells[:, 0], return_inverse=True)
        shape = (len(slices), *field.shape[1:])
        places = np.ravel_multi_index((order, *cells.T[1:]), shape)
        marked, included = (
            np.bincount(part, minlength=math.prod(shape)).reshape(shape)
            for part in (places, places[painted.belongs])
        )
        folds = np.arange(len(slices))[:, None, None] % 2
        if len(slices) == 1:
            folds = (np.arange(shape[2]) > np.median(cells[:, 2])).astype(np.int64)
        return cls(
            field,
            slices,
            (included / np.maximum(marked, 1)).astype(np.float32),
            marked > 0,
            np.broadcast_to(folds, shape),
        )

    def logit(self, smooth: Callable[[Floats], Floats]) -> Stepwise[Floats]:
        """Logit (z, y, x) of every cell, smoothed.

        Serial sections differ, and a network is less sure of those that it has not seen:
        there the cut is tried.
        """
        net = yield from teach(self._painted(self.known), _LESSONS)
        whole = smooth((yield from self._read(net)))
        if self.field.has_sections:
            whole = whole - np.float32((yield from self._best_cut(smooth)))
        return whole

    def _best_cut(self, smooth: Callable[[Floats], Floats]) -> Stepwise[float]:
        """The cut with the highest Dice on folds that a network has not learnt from."""
        unseen = np.zeros(self.known.shape, dtype=np.float32)
        for fold in (0, 1):
            seen = self.known & (self.folds != fold)
            held_out = self.known & (self.folds == fold)
            if not self._has_both(seen) or not held_out.any():
                return 0.0
            net = yield from teach(self._painted(seen), _TRIAL_LESSONS)
            whole = yield from self._read(net)
            unseen[held_out] = smooth(whole)[self.slices][held_out]
        logits, belongs = unseen[self.known], self.belongs[self.known] > 0.5
        found = logits > _CUTS[:, None]
        overlap = 2 * (found & belongs).sum(1) / (found.sum(1) + belongs.sum())
        return float(_CUTS[np.argmax(overlap - _CUT_COST * np.abs(_CUTS))])

    def _has_both(self, cells: Bools) -> bool:
        return bool(0 < self.belongs[cells].sum() < cells.sum())

    def _painted(self, known: Bools) -> PaintedSlices:
        def look(place: int, part: tuple[slice, slice]) -> torch.Tensor:
            return self.field.part_of_slice(int(self.slices[place]), part)

        return PaintedSlices(look, torch.from_numpy(self.belongs), torch.from_numpy(known))

    def _read(self, net: SliceNet) -> Stepwise[Floats]:
        """What a network says of every slice, (z, y, x)."""
        logit = np.empty(self.field.shape, dtype=np.float32)
        for index, plane in enumerate(logit):
            looks = self.field.part_of_slice(index, (slice(None), slice(None)))
            plane[:] = net.logit(looks).numpy()
            yield None
        return logit

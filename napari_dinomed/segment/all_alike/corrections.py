"""How clicks put right what was found, each around itself.

In: a logit as it was before the last click, and a fresh one. Out: the one, moved towards
the other where the click speaks, and right at every click.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.segment.correct import correction_share, depth_inside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Mark
    from napari_dinomed.segment.all_alike.appearance import AlikeField

    Floats = NDArray[np.float32]

WHOLE = slice(None)


@dataclass(frozen=True, eq=False)
class Corrections:
    """The clicks of a label, as far as they correct.

    Parameters
    ----------
    field
        What the volume looks like.
    clicks
        Clicked voxels in order, and whether they belong.
    is_painted
        Whether anything was painted before.
    """

    field: AlikeField
    clicks: tuple[Mark, ...]
    is_painted: bool = False

    def around_last(self, before: Floats, fresh: Floats, slices: slice) -> Floats:
        """The answer before the last click, moved towards the fresh one most around it.

        What earlier clicks said holds, too.

        Parameters
        ----------
        before
            Logit (z, y, x) of all slices.
        fresh, slices
            Logit (z, y, x) of some slices, and which.
        """
        field, options = self.field, self.field.options
        *earlier, last = self.clicks
        depth = self._depth_in_error(before, last)
        count = len(self.clicks) + self.is_painted
        distance = field.distance(last[0])[slices]
        share = correction_share(distance, options.reach * depth, count, options.everywhere)
        held = before[slices]
        moved = self._pulled(held + share * (fresh - held), last, depth, slices)
        for mark in earlier:
            there = self._at(moved, mark, slices)
            if there is not None and there < options.sure:
                local = moved if slices == WHOLE else before
                moved = self._pulled(moved, mark, self._depth_in_error(local, mark), slices)
        return moved

    def around_all(self, logit: Floats, slices: slice) -> Floats:
        """An answer found in another way than those before, right around every click."""
        if slices != WHOLE:
            return logit
        for count in range(1, len(self.clicks) + 1):
            until = replace(self, clicks=self.clicks[:count])
            logit = until.around_last(logit, logit, slices)
        return logit

    def _at(self, logit: Floats, mark: Mark, slices: slice) -> float | None:
        """How surely a logit of some slices says of a mark what it is; None if elsewhere.

        Below 0 it says the opposite.
        """
        voxel, belongs = mark
        z, y, x = self.field.cell(voxel)
        place = z - (slices.start or 0)
        if not 0 <= place < len(logit):
            return None
        there = float(logit[place, y, x])
        return there if belongs else -there

    def _depth_in_error(self, logit: Floats, mark: Mark) -> float:
        """How deep a mark lies in what a logit of all slices has wrong there."""
        voxel, belongs = mark
        wrong = (logit > 0) ^ belongs
        return depth_inside(wrong, self.field.cell(voxel), self.field.spacing)

    def _pulled(self, logit: Floats, mark: Mark, depth: float, slices: slice) -> Floats:
        """A logit pulled to the right side around a mark, as far as its depth."""
        voxel, belongs = mark
        options = self.field.options
        there = self._at(logit, mark, slices)
        own = options.own_logit
        if there is not None:
            own = max(own, options.sure - there)
        sign = 1.0 if belongs else -1.0
        distance = self.field.distance(voxel)[slices]
        fading = np.exp(-((distance / (options.own_reach * depth)) ** 2))
        return np.asarray(logit + sign * own * fading, dtype=np.float32)

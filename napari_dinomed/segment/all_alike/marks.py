"""What the marks of a label mean together, before any cell is read.

In: clicks, strokes, and the answer before the last click. Out: the direction in which looks
that belong lie, or that lines are meant; and where scores are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.prompts import NOT_PAINTED
from napari_dinomed.segment.all_alike.depths import depths, radius_of
from napari_dinomed.segment.all_alike.share import chosen_share, spread
from napari_dinomed.segment.all_alike.thin import means_thin
from napari_dinomed.segment.limits import forbidden_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Mark, Painted
    from napari_dinomed.annotation.region import Region
    from napari_dinomed.segment.all_alike.answer import Answer
    from napari_dinomed.segment.all_alike.appearance import AlikeField
    from napari_dinomed.segment.all_alike.options import Options

# Painted voxels of either side that are read as clicks are; more of a stroke say the same.
_MOST_PAINTED = 24
# Painted voxels from which a network learns, and those that there must be of each side.
_MUCH_PAINTED, LEAST_OF_EACH = 1000, 50
# Cells on which a cut can be measured.
_LEAST_COUNTED = 200
# Included clicks after which blobs are meant for good, unless clicks far from any say
# otherwise; and what the strength of lines on their rims counts as at most.
_ESTABLISHED, _OF_A_BLOB = 2, -0.5


@dataclass(frozen=True, eq=False)
class Reading:
    """What all marks together mean, before any cell is read.

    Parameters
    ----------
    direction
        Of looks that belong; None where lines are meant.
    cut, unit
        Score at which logits are 0, and what lies one logit above it.
    share
        Of the volume, over the cut.
    rims
        Of the clicks, those that only completed a blob that was found.
    """

    direction: NDArray[np.float64] | None
    cut: float
    unit: float
    share: float
    rims: tuple[int, ...]

    @property
    def is_thin(self) -> bool:
        """Whether lines are meant."""
        return self.direction is None


@dataclass(frozen=True, eq=False)
class Marks:
    """The marks of a label on a volume.

    Parameters
    ----------
    field, clicks, painted, limits
        As in `AlikeFinder`.
    """

    field: AlikeField
    clicks: tuple[Mark, ...]
    painted: Painted = NOT_PAINTED
    limits: tuple[Region, ...] = ()

    @property
    def is_well_painted(self) -> bool:
        """Whether a network can learn from what was painted."""
        included = int(np.count_nonzero(self.painted.belongs))
        excluded = len(self.painted) - included
        is_much = included + excluded >= _MUCH_PAINTED
        return is_much and min(included, excluded) >= LEAST_OF_EACH

    def _rims(self, before: Answer | None) -> tuple[int, ...]:
        """Clicks that only completed a blob which was found: they lie on its rim.

        Rims are as dark as lines; where blobs are found well, only rims are left to click.
        """
        rims = before.rims if before is not None else ()
        if before is None or before.is_thin or not self.clicks:
            return rims
        *earlier, (voxel, belongs) = self.clicks
        if not belongs or sum(included for _, included in earlier) < _ESTABLISHED:
            return rims
        found, spacing = before.logit > 0, self.field.spacing
        if found.all() or not found.any():
            return rims
        beyond = depths(~found, spacing, goes_on=True)[self.field.cell(voxel)]
        is_rim = 0 < beyond <= radius_of(depths(found, spacing), found)
        return (*rims, len(earlier)) if is_rim else rims

    def _means_thin(self, so_far: bool | None, rims: tuple[int, ...]) -> bool:
        """Whether thin things are meant, given whether they were before the last click.

        Asked where membranes are everywhere: on an empty background, small blobs are as
        strong. Strokes do not count: they reach the edges of blobs.
        """
        field = self.field
        if not (field.has_membranes and any(belongs for _, belongs in self.clicks)):
            return False
        strengths: dict[bool, list[float]] = {True: [], False: []}
        for number, (voxel, belongs) in enumerate(self.clicks):
            strength = field.thin.strength(field.cell(voxel))
            if number in rims:
                strength = min(strength, _OF_A_BLOB)
            strengths[belongs].append(strength)
        return means_thin(strengths[True], strengths[False], so_far)

    def reading(self, before: Answer | None) -> Reading:
        """What all marks together mean."""
        field, options = self.field, self.field.options
        marks = (*self.painted.thinned(_MOST_PAINTED), *self.clicks)
        belongs = np.array([belongs for _, belongs in marks])
        rims = self._rims(before) if field.has_membranes else ()
        is_thin = self._means_thin(None if before is None else before.is_thin, rims)
        share = before.share if before is not None and before.is_thin == is_thin else None
        direction = None
        if is_thin:
            thin, trust = field.thin.score, options.lines
            marked = np.array([field.mean_around(thin, voxel) for voxel, _ in marks])
            scores = self.counted(field.drawn(thin))
        else:
            looks = np.array([field.around(voxel) for voxel, _ in marks])
            trust = options.sections if field.has_membranes else options.things
            direction = field.direction(looks, belongs, trust.near(share))
            marked = looks @ direction
            scores = self.counted(field.sample @ direction)
        share = chosen_share(scores, marked, belongs, share, trust, options)
        return Reading(direction, *cut_for(scores, share, options), share, rims)

    def counted(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (n,) of the cells of the sample that may belong, where there are many."""
        may = ~forbidden_at(self.limits, self.field.drawn_voxels)
        return scores[may] if may.sum() >= _LEAST_COUNTED else scores


def cut_for(
    scores: NDArray[np.float64], share: float, options: Options
) -> tuple[float, float]:
    """Cut and unit of scores (n,) of the sample, for a share of the volume."""
    cut = float(np.quantile(scores, 1 - share))
    return cut, options.sharpness * spread(scores)

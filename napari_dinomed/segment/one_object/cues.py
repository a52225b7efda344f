"""What speaks for and against each cell: the few numbers that the network weighs.

In: a view of the volume on a grid of cells, marks, and the answer before. Out: cues
(cues, z, y, x). All are free of scale (multiples of the window, of a cell's edge, of the
distance between the means of both sides), so that they mean the same for every volume,
resolution and encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.one_object.cells import Cells
    from napari_dinomed.segment.one_object.looks import Looks, PartOfLooks

# Brings differences of grey values, of which most are below a quarter of the window, to
# the range of the other cues; farther off than three, all are just different.
_GREY_GAIN = 4.0
_GREY_MOST = 3.0
# Radii in cells at which nearness to a mark is told: touching, near, and in the region.
_NEAR_INCLUDED = (1.5, 4.0, 12.0)
_NEAR_EXCLUDED = (1.5, 4.0)
# Cosine to exclusions where there are none: less alike than nearly all that are.
_NOT_EXCLUDED = -0.2
# Radius in cells of the ball around inclusions that is believed in before any answer.
_FIRST_BELIEF = 2.0
# How many marks the answer before counts for in what the probe learns.
_ANSWER_COUNTS = 5.0
# Variance that every direction is granted, as a share of the mean variance: looks are of
# some hundred cells that are much alike.
_SHRINKAGE = 0.3
_PROBE_MOST = 2.0
# Nearness to inclusions, by the extent of the volume, falls from 1 at them to -1 at two
# fifths of it: what is clicked on takes up some of a volume, seldom half of it.
_VOLUME_GAIN = 5.0
_BINS = 32
# Share of cells that every bin is granted, and logit at which evidence counts as sure.
_BIN_FLOOR = 1e-3
_GREY_SURE = 4.0

LIKENESS = ("like_included", "like_excluded")
PROBE = ("probe",)
NAMES = (
    "grey",
    "grey_from_included",
    "grey_to_included",
    "grey_to_excluded",
    *LIKENESS,
    *PROBE,
    "grey_competition",
    *(f"within_{radius:g}_of_included" for radius in _NEAR_INCLUDED),
    *(f"within_{radius:g}_of_excluded" for radius in _NEAR_EXCLUDED),
    "nearer_to_included",
    "before",
    "has_before",
    "within_volume",
)


@dataclass(frozen=True, eq=False)
class Marks:
    """Voxels (n, 3) that belong to the object, and that do not."""

    included: NDArray[np.int64]
    excluded: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.included) + len(self.excluded)


@dataclass(frozen=True, eq=False)
class View:
    """A grid of cells and what is seen on it, whatever the marks are.

    Parameters
    ----------
    cells
        The grid.
    grey
        Grey values (images, z, y, x) from 0 to 1.
    looks
        Of each plane, of the whole volume.
    extent
        Mean edge of the whole volume, in edges of a cell.
    """

    cells: Cells
    grey: torch.Tensor
    looks: tuple[Looks, ...]
    extent: float

    @cached_property
    def parts(self) -> tuple[PartOfLooks, ...]:
        """Looks near the cells, of each plane."""
        return tuple(looks.within(self.cells) for looks in self.looks)


def cues(view: View, marks: Marks, before: torch.Tensor | None) -> torch.Tensor:
    """Cues (cues, z, y, x), in the order of `NAMES`.

    Parameters
    ----------
    view
        What is seen.
    marks
        At least one of them included.
    before
        Probability (z, y, x) of the answer before, or None.
    """
    included = view.cells.distance(marks.included)
    belief = before
    if belief is None:
        belief = torch.exp(-((included / _FIRST_BELIEF) ** 2) / 2)
    return torch.stack(
        [
            *_grey_cues(view, marks),
            *_token_cues(view, marks, belief),
            _competition(view.grey, belief),
            *_place_cues(view.cells, marks, included),
            torch.zeros_like(belief) if before is None else 2 * before - 1,
            torch.full_like(belief, float(before is not None)),
            (1 - _VOLUME_GAIN * included / view.extent).clamp(-1, 1),
        ]
    )


def held_by_marks(probability: torch.Tensor, cues: torch.Tensor) -> torch.Tensor:
    """A probability (z, y, x) that the cells touching a mark are what it says of them."""
    included, excluded = (
        cues[NAMES.index(f"within_{_NEAR_INCLUDED[0]:g}_of_{side}")]
        for side in ("included", "excluded")
    )
    is_included = cues[NAMES.index("nearer_to_included")] > 0
    more = torch.maximum(probability, included * is_included)
    return torch.minimum(more, 1 - excluded * ~is_included)


def _grey_cues(view: View, marks: Marks) -> list[torch.Tensor]:
    grey = view.grey
    towards = _grey_at(view, marks.included)
    from_included = (grey - towards.mean(1)[:, None, None, None]).mean(0) * _GREY_GAIN
    to_excluded = torch.full_like(grey[0], _GREY_MOST)
    if len(marks.excluded):
        to_excluded = _least_difference(grey, _grey_at(view, marks.excluded))
    return [
        2 * grey.mean(0) - 1,
        from_included.clamp(-_GREY_MOST, _GREY_MOST),
        _least_difference(grey, towards),
        to_excluded,
    ]


def _grey_at(view: View, voxels: NDArray[np.int64]) -> torch.Tensor:
    """Grey values (images, n) of the cells that hold some voxels."""
    z, y, x = view.cells.holding(voxels).T
    return view.grey[:, z, y, x]


def _least_difference(grey: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Difference (z, y, x) from the grey value of the mark (images, n) that is nearest."""
    least = torch.full_like(grey[0], _GREY_MOST)
    for mark in marks.T:
        difference = (grey - mark[:, None, None, None]).abs().mean(0) * _GREY_GAIN
        least = torch.minimum(least, difference)
    return least


def _token_cues(view: View, marks: Marks, belief: torch.Tensor) -> list[torch.Tensor]:
    """Likeness to either side, and the probe: means over the planes."""
    planes = []
    for looks, part in zip(view.looks, view.parts, strict=True):
        included, excluded = looks.at(marks.included), looks.at(marks.excluded)
        like_excluded = torch.full(belief.shape, _NOT_EXCLUDED)
        if len(excluded):
            like_excluded = part.likeness(excluded)
        probe = _probe(part, included, excluded, belief)
        planes.append(torch.stack([part.likeness(included), like_excluded, probe]))
    return list(torch.stack(planes).mean(0))


def _probe(
    part: PartOfLooks, included: torch.Tensor, excluded: torch.Tensor, belief: torch.Tensor
) -> torch.Tensor:
    """A linear discriminant (Fisher 1936) of both sides, taught by marks and belief.

    Returns
    -------
    torch.Tensor
        (z, y, x): 1 at the mean look of the inside, −1 at that of the outside.
    """
    looks = part.looks.flatten(0, 2)
    inner, outer = part.gathered(belief).flatten(), part.gathered(1 - belief).flatten()
    inner, outer = (share / share.sum().clamp_min(1e-6) for share in (inner, outer))
    inside = _mean_look(inner @ looks, included)
    outside = _mean_look(outer @ looks, excluded)
    share = (inner + outer) / 2
    mean = share @ looks
    apart = inside - outside
    within = (looks * share[:, None]).T @ looks - torch.outer(mean, mean)
    within -= torch.outer(apart, apart) / 4
    variance = within.diagonal().mean().clamp_min(1e-6)
    within += _SHRINKAGE * variance * torch.eye(len(within))
    direction = torch.linalg.solve(within, apart)
    gap = (direction @ apart).clamp_min(1e-6) / 2
    offset = direction @ (inside + outside) / 2
    score: torch.Tensor = (part.projected(direction) - offset) / gap
    return score.clamp(-_PROBE_MOST, _PROBE_MOST)


def _mean_look(believed: torch.Tensor, marked: torch.Tensor) -> torch.Tensor:
    total = _ANSWER_COUNTS * believed + marked.sum(0)
    return total / (_ANSWER_COUNTS + len(marked))


def _competition(grey: torch.Tensor, belief: torch.Tensor) -> torch.Tensor:
    """Logit that a grey value is one of the inside (Zhu and Yuille 1996), in [−1, 1]."""
    logit = torch.zeros_like(belief)
    for image in grey:
        place = (image * _BINS).long().clamp(0, _BINS - 1)
        inside, outside = (
            _density(place, weight.contiguous()) for weight in (belief, 1 - belief)
        )
        logit = logit + (inside / outside).log()[place]
    return (logit / _GREY_SURE).clamp(-1, 1)


def _density(place: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Share of the weight that lies in each bin, smoothed over its neighbours."""
    share = torch.bincount(place.flatten(), weight.flatten(), _BINS)
    share = share / share.sum().clamp_min(1e-6)
    wide = torch.nn.functional.pad(share[None], (1, 1), mode="replicate")[0]
    smooth: torch.Tensor = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    return smooth + _BIN_FLOOR


def _place_cues(cells: Cells, marks: Marks, included: torch.Tensor) -> list[torch.Tensor]:
    near = [torch.exp(-((included / radius) ** 2) / 2) for radius in _NEAR_INCLUDED]
    if not len(marks.excluded):
        far = torch.zeros_like(included)
        return [*near, *(far for _ in _NEAR_EXCLUDED), torch.ones_like(included)]
    excluded = cells.distance(marks.excluded)
    away = [torch.exp(-((excluded / radius) ** 2) / 2) for radius in _NEAR_EXCLUDED]
    nearer = (excluded - included) / (excluded + included + 1)
    return [*near, *away, nearer]

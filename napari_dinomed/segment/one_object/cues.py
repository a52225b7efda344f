"""What speaks for and against each cell: the few numbers that the network weighs.

In: a view of the volume on a grid of cells, marks, and the answer before. Out: cues
(cues, z, y, x). All are free of scale (multiples of the window, of a cell's edge, of the
distance between the means of both sides), so that they mean the same for every volume,
resolution and encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.segment.one_object.options import CueOptions
from napari_dinomed.segment.one_object.sides import Side, probe, vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.one_object.cells import Cells
    from napari_dinomed.segment.one_object.looks import Looks, PartOfLooks

LIKENESS = ("like_included", "like_excluded", "vote")
PROBE = ("probe",)
NAMES = (
    "grey",
    "grey_from_included",
    "grey_to_included",
    "grey_to_excluded",
    *LIKENESS,
    *PROBE,
    "grey_competition",
    "touching_included",
    "near_included",
    "around_included",
    "touching_excluded",
    "near_excluded",
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

    def plus(self, voxel: NDArray[np.int64], includes: bool) -> Marks:
        """These and one more voxel (3,)."""
        if includes:
            return Marks(np.vstack([self.included, voxel]), self.excluded)
        return Marks(self.included, np.vstack([self.excluded, voxel]))


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
    options
        How cues are made of it.
    """

    cells: Cells
    grey: torch.Tensor
    looks: tuple[Looks, ...]
    extent: float
    options: CueOptions = field(default_factory=CueOptions)

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
    options = view.options
    included = view.cells.distance(marks.included, view.grey.device)
    belief = _nearness(included, options.first_belief) if before is None else before
    return torch.stack(
        [
            *_grey_cues(view, marks),
            *_token_cues(view, marks, belief),
            _competition(view.grey, belief, options),
            *_place_cues(view, marks, included),
            torch.zeros_like(belief) if before is None else 2 * before - 1,
            torch.full_like(belief, float(before is not None)),
            (1 - options.volume_gain * included / view.extent).clamp(-1, 1),
        ]
    )


def held_by_marks(probability: torch.Tensor, cues: torch.Tensor) -> torch.Tensor:
    """A probability (z, y, x) that the cells touching a mark are what it says of them."""
    included, excluded = (
        cues[NAMES.index(f"touching_{side}")] for side in ("included", "excluded")
    )
    is_included = cues[NAMES.index("nearer_to_included")] > 0
    more = torch.maximum(probability, included * is_included)
    return torch.minimum(more, 1 - excluded * ~is_included)


def _grey_cues(view: View, marks: Marks) -> list[torch.Tensor]:
    grey, most, gain = view.grey, view.options.most_grey, view.options.grey_gain
    towards = _grey_at(view, marks.included)
    from_included = (grey - towards.mean(1)[:, None, None, None]).mean(0) * gain
    to_excluded = torch.full_like(grey[0], most)
    if len(marks.excluded):
        to_excluded = _least_difference(view, _grey_at(view, marks.excluded))
    return [
        2 * grey.mean(0) - 1,
        from_included.clamp(-most, most),
        _least_difference(view, towards),
        to_excluded,
    ]


def _grey_at(view: View, voxels: NDArray[np.int64]) -> torch.Tensor:
    """Grey values (images, n) of the cells that hold some voxels."""
    z, y, x = torch.from_numpy(view.cells.holding(voxels).T).to(view.grey.device)
    return view.grey[:, z, y, x]


def _least_difference(view: View, marks: torch.Tensor) -> torch.Tensor:
    """Difference (z, y, x) from the grey value of the mark (images, n) that is nearest."""
    least = torch.full_like(view.grey[0], view.options.most_grey)
    for mark in marks.T:
        difference = (view.grey - mark[:, None, None, None]).abs().mean(0)
        least = torch.minimum(least, difference * view.options.grey_gain)
    return least


def _token_cues(view: View, marks: Marks, belief: torch.Tensor) -> list[torch.Tensor]:
    """Likeness to either side, the vote and the probe: means over the planes."""
    options = view.options
    planes = []
    for looks, part in zip(view.looks, view.parts, strict=True):
        included, excluded = looks.at(marks.included), looks.at(marks.excluded)
        like_excluded = torch.full_like(belief, options.not_excluded)
        if len(excluded):
            like_excluded = part.likeness(excluded)
        inside = Side.of(part, belief, included, options.answer_counts)
        outside = Side.of(part, 1 - belief, excluded, options.answer_counts)
        taught = (read(part, inside, outside, options) for read in (vote, probe))
        planes.append(torch.stack([part.likeness(included), like_excluded, *taught]))
    return list(torch.stack(planes).mean(0))


def _competition(
    grey: torch.Tensor, belief: torch.Tensor, options: CueOptions
) -> torch.Tensor:
    """Logit that a grey value is one of the inside (Zhu and Yuille 1996), in [−1, 1]."""
    logit = torch.zeros_like(belief)
    for image in grey:
        place = (image * options.bins).long().clamp(0, options.bins - 1)
        inside, outside = (
            _density(place, weight.contiguous(), options.bins) + options.bin_floor
            for weight in (belief, 1 - belief)
        )
        logit = logit + (inside / outside).log()[place]
    return (logit / options.grey_sure).clamp(-1, 1)


def _density(place: torch.Tensor, weight: torch.Tensor, bins: int) -> torch.Tensor:
    """Share of the weight that lies in each bin, smoothed over its neighbours."""
    share = torch.bincount(place.flatten(), weight.flatten(), bins)
    share = share / share.sum().clamp_min(1e-6)
    wide = functional.pad(share[None], (1, 1), mode="replicate")[0]
    smooth: torch.Tensor = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    return smooth


def _place_cues(view: View, marks: Marks, included: torch.Tensor) -> list[torch.Tensor]:
    options = view.options
    radii = (options.touching, options.near, options.around)
    near = [_nearness(included, radius) for radius in radii]
    if not len(marks.excluded):
        far = torch.zeros_like(included)
        return [*near, far, far, torch.ones_like(included)]
    excluded = view.cells.distance(marks.excluded, included.device)
    away = [_nearness(excluded, radius) for radius in radii[:2]]
    nearer = (excluded - included) / (excluded + included + 1)
    return [*near, *away, nearer]


def _nearness(distance: torch.Tensor, radius: float) -> torch.Tensor:
    """1 at no distance, falling as a Gaussian whose standard deviation is a radius."""
    return torch.exp(-((distance / radius) ** 2) / 2)

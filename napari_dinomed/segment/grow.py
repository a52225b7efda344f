"""From a few clicks to one object.

1. Each click supports what is like it and near it (`support`).
2. Where support is cut is chosen from the data (`level`); excluded clicks compete.
3. The region so found teaches a linear probe on the tokens, in which clicks weigh most,
   as GrabCut (Rother et al. 2004) teaches a colour model; both are averaged.
4. Grey values inside and just outside the region compete for the cells near its edge.
5. A later click corrects the answer before it, most of all around itself (`correct`), and
   does not flood: included, it adds at most half of the object or a ball around itself, and
   no other object found alike unless it lies in that.
6. The random walker puts the edge where grey values change (`refine`).

The constants were chosen on the volumes named in ``docs/concepts.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.annotation.prompts import NOT_PAINTED
from napari_dinomed.segment.competition import grey_competition
from napari_dinomed.segment.correct import cells_within, correction_share, depth_inside
from napari_dinomed.segment.heads import Examples, LinearProbe
from napari_dinomed.segment.level import (
    LevelPrior,
    Votes,
    bounding_box,
    choose_level,
    connected,
)
from napari_dinomed.segment.marks import all_marks
from napari_dinomed.segment.refine import WalkerOptions, random_walker
from napari_dinomed.segment.tokens import to_voxels, tokens_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Mark, Painted, Voxel
    from napari_dinomed.segment.level import Level
    from napari_dinomed.segment.support import SupportField
    from napari_dinomed.segment.turns import Stepwise
    from napari_dinomed.volume import Volume, Window

    Floats = NDArray[np.float32]
    Bools = NDArray[np.bool_]

_SHARPNESS = 0.1
_MOST_LOGIT = 8.0
_MOST_TAUGHT = 6.9
_SURE = 1.1
_TAUGHT = 300
_TAUGHT_WEIGHT = 0.02
_NEIGHBOURHOOD = 6
_PROBE_SHARE = 0.5
_DOUBT = -2.0
_GREY_SHARE = 0.5
_GREY_INNER = 3
_GREY_OUTER = 8
_SHARE_PRIOR = LevelPrior(log_size=-2.2)
_MOST_RESIZED = 2.0
_MOST_GROWN = 1.5
_BALL_ADDED = 0.7
_BISECTIONS = 6
_MOST_VOXELS = 1_500_000
_MOST_PAINTED = 24
_WALKER = WalkerOptions(contrast=1.0, prior=0.2)


@dataclass(frozen=True, eq=False)
class Grower:
    """Grows one object from its marks.

    Parameters
    ----------
    volume, window
        The voxels, and how their grey values compare.
    field
        Tokens, and support maps kept from click to click.
    clicks
        Clicked voxels in order, and whether they belong.
    painted
        Voxels under strokes, and whether they belong.
    """

    volume: Volume
    window: Window
    field: SupportField
    clicks: tuple[Mark, ...]
    painted: Painted = NOT_PAINTED

    def evidence(self) -> Stepwise[Floats]:
        """Logit (z, y, x) on the working grid that a cell belongs to the object.

        The last click corrects what the clicks before it gave: fully around itself, ever
        less elsewhere, and only in its own direction.
        """
        return (yield from self.field.turns.answer(self, Grower._answer))

    def _answer(self, before: Floats | None) -> Stepwise[Floats]:
        """The evidence, given that before the last click if there was any."""
        evidence = self._fresh_evidence()
        yield None
        return evidence if before is None else self._corrected(evidence, before)

    def _corrected(self, evidence: Floats, before: Floats) -> Floats:
        """The evidence before the last click, moved towards the evidence with it."""
        voxel, belongs = self.clicks[-1]
        region = replace(self, clicks=self.clicks[:-1])._join(before > 0)
        wrong = (evidence > 0) & ~region if belongs else region
        spacing = self.field.spacing
        depth = depth_inside(wrong, self.field.cell(voxel), spacing)
        count = len(self.clicks) + bool(self.painted)
        share = partial(correction_share, self.field.distance(voxel), depth, count, belongs)
        if not belongs:
            return np.asarray(before + share() * np.minimum(evidence - before, 0))
        change = np.where(self._rim_of_others(before), 0, np.maximum(evidence - before, 0))
        size = int(region.sum())
        most = max(_MOST_GROWN * size, size + cells_within(_BALL_ADDED * depth, spacing))
        return self._grown(before, change, share, most)

    def _others(self, evidence: Floats) -> Bools:
        """What is like the object but neither marked nor joined to it: other objects."""
        found = evidence > 0
        return found & ~self._join(found)

    def _rim_of_others(self, evidence: Floats) -> Bools:
        """The cells beside other objects: what joins them to this one passes there."""
        return np.asarray(ndimage.binary_dilation(self._others(evidence)) & (evidence <= 0))

    def _grown(
        self, before: Floats, change: Floats, share: Callable[..., Floats], most: float
    ) -> Floats:
        """The evidence with a share of a change, less far away where it would flood."""
        usual = share()
        whole = np.asarray(before + usual * change)
        if self._size(whole) <= most:
            return whole
        near = share(everywhere=0.0)

        def grown(held: float) -> Floats:
            return np.asarray(before + np.maximum(near, (1 - held) * usual) * change)

        return grown(_least(lambda held: self._size(grown(held)) <= most, 1.0))

    def _fresh_evidence(self) -> Floats:
        """The evidence of all marks together, whatever was answered before."""
        first = self._competition()
        learnt = self._probe_logit(first)
        logit = first
        if learnt is not None:
            logit = (1 - _PROBE_SHARE) * logit + _PROBE_SHARE * learnt
        logit = logit + _GREY_SHARE * self._grey_logit(logit)
        return self._of_like_size(logit, self._size(first))

    def _size(self, logit: Floats) -> int:
        return int(self._join(logit > 0).sum())

    def _of_like_size(self, logit: Floats, size: int) -> Floats:
        """A logit shifted, where it must be, so that its region neither fades nor floods.

        The size was chosen with care (`level`); what the probe and the grey values make of
        the region may differ from it by a factor, not by an order of magnitude.
        """
        low, high = size / _MOST_RESIZED, size * _MOST_RESIZED
        if low <= self._size(logit) <= high:
            return logit
        sign = 1.0 if self._size(logit) < low else -1.0

        def is_enough(shift: float) -> bool:
            now = self._size(logit + sign * shift)
            return now >= low if sign > 0 else now <= high

        return logit + np.float32(sign * _least(is_enough, _MOST_LOGIT))

    def refined(self, evidence: Floats) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
        """Box around what was found, and its probability on the voxels there."""
        region = self._join(evidence > _DOUBT)
        cells = bounding_box(region, 2)
        box = tuple(
            slice(part.start * int(step), min(part.stop * int(step), length))
            for part, step, length in zip(
                cells, self.field.step, self.volume.array.shape, strict=True
            )
        )
        parted = np.where(self._others(evidence), -evidence, evidence)
        prior = torch.sigmoid(self.field.to_voxels(parted)[box])
        return box, self._walk(prior, box).numpy()

    @cached_property
    def _marks(self) -> Painted:
        return all_marks(self.painted, self.clicks)

    def _join(self, mask: Bools) -> Bools:
        """The parts of a mask that hold a mark."""
        return connected(mask, self._seeds)

    @cached_property
    def _seeds(self) -> NDArray[np.int64]:
        """Cells (n, 3) that hold an included mark."""
        return self.field.cells(self._marks.voxels[self._marks.belongs])

    def _competition(self) -> Floats:
        """Support over the level, or over the excluded marks' support if that is less."""
        marks = (*self.painted.thinned(_MOST_PAINTED), *self.clicks)
        included, excluded = _sides(marks)
        support = np.max([self.field.of(voxel) for voxel in included], axis=0)
        unit = self.field.depth_unit(support)
        margin = support + self._level(marks, len(self.clicks)).depth * unit
        if excluded:
            against = np.max([self.field.of(voxel) for voxel in excluded], axis=0)
            margin = np.minimum(margin, support - against)
        logit = margin / (_SHARPNESS * unit)
        return np.asarray(np.clip(logit, -_MOST_LOGIT, _MOST_LOGIT), dtype=np.float32)

    def _level(self, marks: tuple[Mark, ...], clicks: int) -> Level:
        """The level after marks of which the last so many are clicks.

        It depends on the level before the last click, and so on back to the strokes.
        """
        key = (self.painted.key, marks)
        known = self.field.levels.get(key)
        if known is not None:
            return known
        before = None
        if clicks and any(belongs for _, belongs in marks[:-1]):
            before = self._level(marks[:-1], clicks - 1)
        return self.field.levels.keep(key, self._choose_level(marks, before))

    def _choose_level(self, marks: tuple[Mark, ...], before: Level | None) -> Level:
        included, excluded = _sides(marks)
        maps = [self.field.of(voxel) for voxel in included]
        support = np.max(maps, axis=0)
        unit = self.field.depth_unit(support)
        missed = [
            -max(float(earlier[self.field.cell(voxel)]) for earlier in maps[:number]) / unit
            for number, voxel in enumerate(included)
            if number > 0
        ]
        reached = [-float(support[self.field.cell(voxel)]) / unit for voxel in excluded]
        votes = Votes(tuple(missed), tuple(reached), before, marks[-1][1], len(marks))
        prior, cell_size = self._size_prior()
        return choose_level(
            -support / unit, self.field.grey, self._seeds, cell_size, votes, prior
        )

    def _size_prior(self) -> tuple[LevelPrior, float]:
        """What is known of sizes, and what a cell counts: millilitres, or a share."""
        if self.volume.geometry.unit != "mm":
            return _SHARE_PRIOR, 1 / self.field.grey.size
        return LevelPrior(), float(np.prod(self.field.spacing)) / 1000

    def _probe_logit(self, evidence: Floats) -> Floats | None:
        """Logit of a probe taught by the evidence and the marks; None without two sides."""
        examples = self._lesson(evidence)
        if len(torch.unique(examples.classes)) < 2:
            return None
        logit = self.field.linear(*LinearProbe().fit(examples).logit())
        return np.asarray(np.clip(logit, -_MOST_TAUGHT, _MOST_TAUGHT))

    def _grey_logit(self, evidence: Floats) -> Floats:
        """How much better a cell near the edge fits the grey values inside than outside."""
        region = self._join(evidence > 0)
        box = bounding_box(region, _GREY_OUTER + 1)
        inside, grey = region[box], self.field.grey[box]
        distance = ndimage.distance_transform_edt(~inside)
        outside = (distance > _GREY_INNER) & (distance <= _GREY_OUTER) & (evidence[box] < 0)
        result = np.zeros(evidence.shape, dtype=np.float32)
        logit = grey_competition(grey, inside, outside, (0.0, 1.0))
        result[box] = np.where(distance <= _GREY_INNER, logit, 0)
        return result

    def _lesson(self, evidence: Floats) -> Examples:
        """Tokens of sure cells inside, around and far outside, and of the marks."""
        random = np.random.default_rng(0)
        region = self._join(evidence > 0)
        near = ndimage.binary_dilation(region, iterations=_NEIGHBOURHOOD)
        inside = _draw(region & (evidence > _SURE), _TAUGHT, random)
        around = _draw(near & ~region & (evidence < 0), _TAUGHT // 2, random)
        far = _draw(~region, _TAUGHT // 2, random)
        taught = self.field.centres(np.concatenate([inside, around, far]))
        marks = self._marks
        is_inside = np.arange(len(taught)) < len(inside)
        weights = torch.ones(len(taught) + len(marks))
        weights[: len(taught)] = _TAUGHT_WEIGHT
        return Examples(
            tokens_at(self.field.banks, np.concatenate([taught, marks.voxels])),
            torch.from_numpy(np.concatenate([is_inside, marks.belongs]).astype(np.int64)),
            weights,
        )

    def _walk(self, prior: torch.Tensor, box: tuple[slice, ...]) -> torch.Tensor:
        """The walker's probability in a box, on every second pixel where it is large."""
        grey = torch.from_numpy(self.window.apply(self.volume.array[box]))
        step = 1 if grey.numel() <= _MOST_VOXELS else 2
        thin = (slice(None), slice(None, None, step), slice(None, None, step))
        spacing = self.volume.geometry.spacing
        walked = random_walker(
            prior[thin].contiguous(),
            grey[thin].contiguous(),
            self._seed_values(box, step, tuple(grey[thin].shape)),
            (spacing[0], spacing[1] * step, spacing[2] * step),
            _WALKER,
        )
        return walked if step == 1 else to_voxels(walked, (grey.shape[1], grey.shape[2]))

    def _seed_values(
        self, box: tuple[slice, ...], step: int, shape: tuple[int, ...]
    ) -> torch.Tensor:
        seeds = np.full(shape, -1, dtype=np.float32)
        start = np.array([part.start for part in box])
        places = (self._marks.voxels - start) // (1, step, step)
        held = ((places >= 0) & (places < shape)).all(1)
        seeds[tuple(places[held].T)] = self._marks.belongs[held]
        return torch.from_numpy(seeds)


def _least(is_enough: Callable[[float], bool], most: float) -> float:
    """The least value up to ``most`` that is enough, as more is, by bisection."""
    less, more = 0.0, most
    for _ in range(_BISECTIONS):
        middle = (less + more) / 2
        if is_enough(middle):
            more = middle
        else:
            less = middle
    return more


def _sides(marks: tuple[Mark, ...]) -> tuple[list[Voxel], list[Voxel]]:
    included = [voxel for voxel, belongs in marks if belongs]
    return included, [voxel for voxel, belongs in marks if not belongs]


def _draw(
    mask: NDArray[np.bool_], count: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Up to ``count`` cells (n, 3) of a mask, at random."""
    cells = np.argwhere(mask)
    return cells[random.choice(len(cells), min(count, len(cells)), replace=False)]

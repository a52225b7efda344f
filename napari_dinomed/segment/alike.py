"""All that looks like the clicks, wherever it is.

What a cell looks like is its filter responses and, from a learnt encoder, its tokens. A
linear discriminant (Fisher 1936) separates the mean of the included clicks from the rest of
the volume, with the covariance of the whole volume, which is known well before any click;
excluded clicks move the mean of the rest. The cells that it finds teach it in turn, less
and less as clicks come in. Where it is cut follows from how much of a volume such things
usually take up, from the clicks, from the cut before the last click, and from gaps: few
cells score as the edges of bright things on a dark ground do. On serial sections, whose
stain and thickness vary, every cell is seen together with those above and below it, and
what is found teaches a small perceptron, which finds as much in its own way. The result is
smoothed by a fraction of the radius of what was found, so that thin things stay thin; near
its edges, again by that radius, the grey values inside and outside compete.

Where clicks on serial sections mean thin lines and sheets, a line filter takes the
discriminant's place.

Where much is painted, whole slices say, a small network learns from it instead
(`painted`); clicks then correct what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from scipy import ndimage, special

from napari_dinomed.annotation.mask import EMPTY
from napari_dinomed.annotation.prompts import NOT_PAINTED
from napari_dinomed.segment.competition import grey_competition
from napari_dinomed.segment.correct import correction_share, depth_inside
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.segment.grid import WorkingGrid
from napari_dinomed.segment.marks import typical
from napari_dinomed.segment.painted import Lesson
from napari_dinomed.segment.perceptron import teach
from napari_dinomed.segment.thin import Lines, means_thin, width_of_cell
from napari_dinomed.segment.threads import one_thread
from napari_dinomed.segment.tokens import to_voxels
from napari_dinomed.segment.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.annotation.prompts import Mark, Painted, Voxel
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.segment.turns import Stepwise
    from napari_dinomed.volume import Volume

    Floats = NDArray[np.float32]
    Looks = NDArray[np.float64]

_MOST_CELLS = 3_000_000
_SAMPLE = 40_000
_TOKEN_PARTS = 32
# What stays in a processor's cache: three times as fast as a slice at once.
_READ_AT_ONCE = 16_384
_BALL = 2
_SHRINKAGE = 0.05
# Seen with their neighbours, sections have less noise, which does what shrinkage does.
_SECTIONS_SHRINKAGE = 0.1
_REST_WEIGHT = 4.0
_MOST_EXCLUDED = 0.4
_LESSONS = 3
_LESSON_WEIGHT = 6.0
_VOTE_WEIGHT = 0.5
_VOTE_SOFTNESS = 0.3
_EARLIER_WEIGHT = 0.3
_INERTIA = 1.0
_SHARES = np.logspace(-2.5, np.log10(0.5), 34)
_GAP_WIDTH = 0.15
_LEAST_DENSITY = 0.02
_SHARPNESS = 0.35
_MOST_LOGIT = 8.0
_EVERYWHERE = 3.0
# In depths of a click: what spills is more often cut off near it.
_REACH_ADDING = 3.0
_REACH_REMOVING = 2.0
_OWN_LOGIT = 3.0
_OWN_REACH = 1.5
_SURE = 1.0
_ACROSS = 0.5
_MOST_ACROSS = 1.0
_WITHIN = 0.1
_THIN = 6.0
_NEAR_INSIDE = 0.3
_NEAR_OUTSIDE = 0.4
_FAR_OUTSIDE = 1.0
_SPAN = (0.5, 99.5)
_MOST_PAINTED = 24
_MUCH_PAINTED = 1000
_LEAST_OF_EACH = 50
_KEPT = 16
_LEAST_SPREAD = 1e-6
_LEAST_RESPONSE = 1e-4


@dataclass(frozen=True, eq=False)
class Responses:
    """Filter responses to a volume.

    Parameters
    ----------
    bank
        The responses.
    channels
        How many of them, from the first, say nothing of the place.
    grey
        Which is the smoothed grey value.
    """

    bank: TokenBank
    channels: int
    grey: int


class AlikeField(WorkingGrid):
    """What every cell of the working grid looks like, and answers so far.

    Parameters
    ----------
    volume
        The voxels.
    filters
        Filter responses.
    banks
        Tokens of a learnt encoder, or none.
    """

    def __init__(
        self,
        volume: Volume,
        filters: Responses,
        banks: tuple[TokenBank, ...],
    ) -> None:
        super().__init__(volume, _MOST_CELLS)
        parts = [self._standardised(filters), *map(self._principal, banks)]
        shares = [1.0] + [1 / len(banks) ** 0.5 for _ in banks]
        self._looks = torch.cat(
            [part * share for part, share in zip(parts, shares, strict=True)], dim=-1
        )
        self.has_sections = defaults_for(volume.modality).has_sections
        self._responses = self._looks[..., : filters.channels]
        if self.has_sections:
            self._responses = self._responses.clone()
            _see_with_neighbours(self._looks)
        flat = self._looks.view(-1, self._looks.shape[-1])
        random = np.random.default_rng(0)
        self._drawn = random.choice(len(flat), min(_SAMPLE, len(flat)), replace=False)
        sample = flat[torch.from_numpy(self._drawn)].double().numpy()
        self._mean: Looks = sample.mean(0)
        self.sample: Looks = sample - self._mean
        covariance = np.cov(self.sample.T)
        shrinkage = _SECTIONS_SHRINKAGE if self.has_sections else _SHRINKAGE
        ridge = shrinkage * np.trace(covariance) / len(covariance)
        self.covariance: Looks = covariance + ridge * np.eye(len(covariance))
        self.turns: Turns[Answer] = Turns(_KEPT)
        self._width_of_cell = width_of_cell(volume.geometry, int(self.step[1:].max()))
        self._grey = filters.grey

    @property
    def grey(self) -> Floats:
        """Smoothed grey values (z, y, x), on a scale of their own."""
        return np.asarray(self._responses[..., self._grey].float().numpy())

    @property
    def seen_grey(self) -> Floats:
        """The same; on serial sections, together with those above and below."""
        return np.asarray(self._looks[..., self._grey].float().numpy())

    def discriminant(
        self, looks: Looks, belongs: NDArray[np.bool_], trust: _Trust
    ) -> Floats:
        """How far every cell (z, y, x) looks as marks (n, parts) that belong do.

        That is, how far it lies in the direction in which they differ from the rest. What
        this finds, about the usual share of the volume, teaches the direction in turn.
        """
        rest = _rest(looks[~belongs])
        marked = typical(looks[belongs]) - rest
        direction = np.linalg.solve(self.covariance, marked)
        own = len(looks) / (len(looks) + _LESSON_WEIGHT)
        for _ in range(_LESSONS):
            scores = self.sample @ direction
            share = _mean_share(_votes(scores, np.quantile(scores, 1 - _SHARES), trust))
            found = self.sample[scores > np.quantile(scores, 1 - share)].mean(0)
            direction = np.linalg.solve(self.covariance, own * marked + (1 - own) * found)
        towards = torch.from_numpy(direction).float()
        return self._read(lambda looks: looks @ towards)

    def taught(self, belongs: NDArray[np.bool_]) -> Floats:
        """What a perceptron says of every cell (z, y, x), taught by those in the sample."""
        looks = torch.from_numpy(self.sample).float()
        return self._read(teach(looks, torch.from_numpy(belongs)))

    @cached_property
    def lines(self) -> Lines:
        """Where lines are."""
        return Lines(self.grey, self._width_of_cell)

    def _read(self, read: Callable[[torch.Tensor], torch.Tensor]) -> Floats:
        """What is read in the looks (n, parts) of every cell, (z, y, x)."""
        mean = torch.from_numpy(self._mean).float()
        cells = self._looks.view(-1, self._looks.shape[-1])
        parts = torch.split(cells, _READ_AT_ONCE)
        with one_thread():
            answers = [read(part.float() - mean) for part in parts]
        return np.asarray(torch.cat(answers).view(self.shape).numpy())

    def around(self, voxel: Voxel) -> Looks:
        """Mean look of a small ball within the slice of a voxel."""
        near = self._looks[self._ball(voxel)].double().flatten(0, 1)
        return np.asarray(near.mean(0).numpy() - self._mean)

    def mean_around(self, scores: Floats, voxel: Voxel) -> float:
        """Mean of scores (z, y, x) over the same ball."""
        return float(scores[self._ball(voxel)].mean())

    def drawn(self, scores: Floats) -> Looks:
        """Scores (z, y, x) of the cells in the sample."""
        return scores.reshape(-1)[self._drawn].astype(np.float64)

    def _ball(self, voxel: Voxel) -> tuple[int, slice, slice]:
        z, *within = self.cell(voxel)
        rows, columns = (
            slice(max(0, place - _BALL), place + _BALL + 1) for place in within
        )
        return z, rows, columns

    def part_of_slice(self, index: int, part: tuple[slice, slice]) -> torch.Tensor:
        """What a part of a slice looks like to a network, (parts, rows, columns).

        Of serial sections it is the filter responses alone, with the same mean and spread
        in every slice: the contrast of sections varies with their thickness and stain.
        """
        if self.has_sections:
            offsets, gains = self._unevenness
            looks = (self._responses[index][part].float() - offsets[index]) * gains[index]
        else:
            looks = self._looks[index][part].float() - torch.from_numpy(self._mean).float()
        return looks.movedim(-1, 0)

    @cached_property
    def _unevenness(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of every slice and filter, the mean, and the usual spread by the slice's own."""
        planes = [plane.float() for plane in self._responses]
        offsets = torch.stack([plane.mean((0, 1)) for plane in planes])
        spreads = torch.stack([plane.std((0, 1)) for plane in planes])
        return offsets, spreads.mean(0) / spreads.clamp_min(_LEAST_SPREAD)

    def _standardised(self, filters: Responses) -> torch.Tensor:
        bank, channels = filters.bank, filters.channels
        sample = bank.in_cells(bank.sample(_SAMPLE, seed=0))[:, :channels]
        spread = sample.std(0)
        # What does not vary, as where the window shows all as white, says nothing.
        axes = torch.eye(bank.channels)[:, :channels] * (spread > _LEAST_RESPONSE)
        return self._rotated(bank, axes / (spread + _LEAST_SPREAD) / channels**0.5)

    def _principal(self, bank: TokenBank) -> torch.Tensor:
        """The principal components of the tokens, with a mean square length of one."""
        sample = bank.in_cells(bank.sample(_SAMPLE // 8, seed=0))
        centred = sample - sample.mean(0)
        count = min(_TOKEN_PARTS, *centred.shape)
        axes = torch.linalg.svd(centred, full_matrices=False).Vh[:count].T
        length = ((centred @ axes) ** 2).sum(1).mean().sqrt()
        return self._rotated(bank, axes / length)

    def _rotated(self, bank: TokenBank, axes: torch.Tensor) -> torch.Tensor:
        """Tokens on new axes (channels, parts), on every cell: (z, y, x, parts)."""
        scores = torch.stack([bank.slice_tokens(i) @ axes for i in range(bank.depth)])
        looks = torch.zeros((*self.shape, axes.shape[1]), dtype=torch.float16)
        for number in range(axes.shape[1]):
            part = scores[..., number]
            looks[..., number] = bank.on_every(self.step, part.__getitem__)
        return looks


def _see_with_neighbours(looks: torch.Tensor) -> None:
    """Mix every slice (z, y, x, parts) in place with those beside it, half as much."""
    before = looks[0].float()
    for index, plane in enumerate(looks):
        here, after = plane.float(), looks[min(index + 1, len(looks) - 1)].float()
        plane[:] = here / 2 + (before + after) / 4
        before = here


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found after some clicks.

    Parameters
    ----------
    logit
        That a cell belongs, (z, y, x).
    share
        Of the volume, over the cut.
    is_thin
        Whether it was found by lines.
    """

    logit: Floats
    share: float
    is_thin: bool


@dataclass(frozen=True, eq=False)
class AlikeFinder:
    """Finds all that looks like what a label includes.

    Parameters
    ----------
    field
        What the volume looks like.
    clicks
        Clicked voxels in order, and whether they belong.
    painted
        Voxels under strokes, and whether they belong.
    start
        What was proposed, which marks correct; empty if nothing was.
    """

    field: AlikeField
    clicks: tuple[Mark, ...]
    painted: Painted = NOT_PAINTED
    start: Mask = EMPTY

    def answer(self) -> Stepwise[Answer]:
        """The answer to all marks, built on the one before the last click."""
        return (yield from self.field.turns.answer(self, AlikeFinder._find))

    @property
    def seeds(self) -> None:
        """All that looks alike need not be connected."""

    def plane(self, answer: Answer, axis: int, index: int) -> Floats:
        """Probability (rows, columns) of a plane, not refined."""
        field = self.field
        shape = [length for other, length in enumerate(field.volume_shape) if other != axis]
        plane = torch.from_numpy(answer.logit.take(index // int(field.step[axis]), axis))
        return torch.sigmoid(to_voxels(plane[None], (shape[0], shape[1])))[0].numpy()

    def placed(self, answer: Answer) -> tuple[Box, Floats]:
        """The whole volume as a box, and the probability on its voxels."""
        box = tuple(slice(0, length) for length in self.field.volume_shape)
        # Who painted slices has shown where edges are: the network has learnt them.
        logit = answer.logit
        if not self._is_well_painted:
            logit = logit + self._competition(logit > 0, self.field.grey)
        return box, torch.sigmoid(self.field.to_voxels(logit)).numpy()

    def _competition(self, found: NDArray[np.bool_], grey: Floats) -> Floats:
        """How much better a cell near an edge fits the grey values inside than outside."""
        if found.all() or not found.any():
            return np.zeros(found.shape, dtype=np.float32)
        spacing = self.field.spacing
        radius = _typical_radius(found, spacing)
        depth = _depths(found, spacing) / radius
        beyond = _depths(~found, spacing, goes_on=True) / radius
        outside = (beyond > _NEAR_OUTSIDE) & (beyond <= _FAR_OUTSIDE)
        span = np.percentile(grey[found | outside], _SPAN)
        logit = grey_competition(grey, found, outside, (float(span[0]), float(span[1])))
        return np.where((beyond <= _NEAR_OUTSIDE) & (depth <= _NEAR_INSIDE), logit, 0)

    def _find(self, before: Answer | None) -> Stepwise[Answer]:
        """The answer, given the one before the last click if there was any."""
        says_what = bool(self.painted.belongs.any())
        if before is None and self.start and not (says_what and not self.clicks):
            before = self._proposed()
            if not self.clicks:
                return before
        if before is None:
            is_taught = self._is_well_painted
            return (yield from self._taught()) if is_taught else self._fresh(None)
        # A click among thousands of painted cells would teach nothing: it corrects.
        # Nor do exclusions alone say what else belongs.
        is_known = says_what or any(belongs for _, belongs in self.clicks)
        is_told = is_known and not self._is_well_painted
        fresh = self._fresh(before) if is_told else before
        if before.is_thin != fresh.is_thin:
            return replace(fresh, logit=self._all_corrected(fresh.logit))
        return replace(fresh, logit=self._corrected(before.logit, fresh.logit))

    def _proposed(self) -> Answer:
        """What was proposed, as an answer before any mark."""
        whole = tuple(slice(0, length) for length in self.field.volume_shape)
        z, y, x = whole
        share = self.field.mean_of(self.start.array((z, y, x)).astype(np.float32))
        logit = _OWN_LOGIT * (2 * share - 1)
        return Answer(logit, float((logit > 0).mean()), is_thin=False)

    def _all_corrected(self, logit: Floats) -> Floats:
        """An answer found in another way than those before, right around every click."""
        for count in range(1, len(self.clicks) + 1):
            until = replace(self, clicks=self.clicks[:count])
            logit = until._corrected(logit, logit)
        return logit

    def _means_thin(self, so_far: bool | None) -> bool:
        """Whether thin things are meant, given whether they were before the last click.

        Asked of sections only, where membranes are everywhere: on an empty background,
        small blobs are as strong. Strokes do not count: they reach the edges of blobs.
        """
        field = self.field
        if not (field.has_sections and any(belongs for _, belongs in self.clicks)):
            return False
        strengths: dict[bool, list[float]] = {True: [], False: []}
        for voxel, belongs in self.clicks:
            strengths[belongs].append(field.lines.strength(field.cell(voxel)))
        return means_thin(strengths[True], strengths[False], so_far)

    def _fresh(self, before: Answer | None) -> Answer:
        """The answer to all marks together."""
        field = self.field
        marks = (*self.painted.thinned(_MOST_PAINTED), *self.clicks)
        belongs = np.array([belongs for _, belongs in marks])
        is_thin = self._means_thin(None if before is None else before.is_thin)
        share = before.share if before is not None and before.is_thin == is_thin else None
        if is_thin:
            scores = field.lines.score
            trust = _LINE_TRUST
        else:
            looks = np.array([field.around(voxel) for voxel, _ in marks])
            trust = _SECTIONS_TRUST if field.has_sections else _TRUST
            scores = field.discriminant(looks, belongs, trust.near(share))
        marked = np.array([field.mean_around(scores, voxel) for voxel, _ in marks])
        share = _choose_share(field.drawn(scores), marked, belongs, share, trust)
        logit = self._cut(scores, share)
        if field.has_sections and not is_thin:
            logit = self._taught_by(logit, share)
        return Answer(logit, share, is_thin)

    def _taught_by(self, logit: Floats, share: float) -> Floats:
        """What a perceptron finds, taught by what a discriminant found."""
        field = self.field
        competing = self._competition(logit > 0, field.seen_grey)
        belongs = field.drawn(logit + competing) > 0
        if min(belongs.sum(), (~belongs).sum()) < _LEAST_OF_EACH:
            return logit
        return self._cut(field.taught(belongs), share)

    def _cut(self, scores: Floats, share: float) -> Floats:
        """Logit (z, y, x), smoothed, that is over 0 for a share of the volume."""
        drawn = self.field.drawn(scores)
        cut = float(np.quantile(drawn, 1 - share))
        logit = (scores - cut) / (_SHARPNESS * _spread(drawn))
        return self._smoothed(np.clip(logit, -_MOST_LOGIT, _MOST_LOGIT))

    @property
    def _is_well_painted(self) -> bool:
        included = int(np.count_nonzero(self.painted.belongs))
        excluded = len(self.painted) - included
        is_much = included + excluded >= _MUCH_PAINTED
        return is_much and min(included, excluded) >= _LEAST_OF_EACH

    def _taught(self) -> Stepwise[Answer]:
        """The answer of a network that learnt from what was painted."""
        logit = yield from Lesson.of(self.field, self.painted).logit(self._smoothed)
        share = float((logit > 0).mean())
        return Answer(np.clip(logit, -_MOST_LOGIT, _MOST_LOGIT), share, is_thin=False)

    def _smoothed(self, logit: Floats) -> Floats:
        """Smoothed by a fraction of the radius of what is found, more across slices."""
        radius = _typical_radius(logit > 0, self.field.spacing)
        across = min(_ACROSS * radius / self.field.spacing[0], _MOST_ACROSS)
        within = radius / self.field.spacing[1:]
        sigmas = [across, *np.where(within > _THIN, _WITHIN * within, 0)]
        return np.asarray(ndimage.gaussian_filter(logit, sigmas, truncate=3.0))

    def _corrected(self, before: Floats, fresh: Floats) -> Floats:
        """The answer before the last click, moved towards the fresh one most around it.

        What earlier clicks said holds, too.
        """
        *earlier, last = self.clicks
        voxel, belongs = last
        depth = self._depth_in_error(before, last)
        distance = self.field.distance(voxel)
        count = len(self.clicks) + bool(self.painted)
        reach = depth * (_REACH_ADDING if belongs else _REACH_REMOVING)
        share = correction_share(distance, reach, count, _EVERYWHERE)
        moved = self._pulled(before + share * (fresh - before), last, depth)
        for mark in earlier:
            if self._at(moved, mark) < _SURE:
                moved = self._pulled(moved, mark, self._depth_in_error(moved, mark))
        return moved

    def _at(self, logit: Floats, mark: Mark) -> float:
        """How surely a logit says of a mark what it is; below 0 it says the opposite."""
        voxel, belongs = mark
        there = float(logit[self.field.cell(voxel)])
        return there if belongs else -there

    def _depth_in_error(self, logit: Floats, mark: Mark) -> float:
        """How deep a mark lies in what a logit has wrong there."""
        voxel, belongs = mark
        wrong = (logit > 0) ^ belongs
        return depth_inside(wrong, self.field.cell(voxel), self.field.spacing)

    def _pulled(self, logit: Floats, mark: Mark, depth: float) -> Floats:
        """A logit pulled to the right side around a mark, as far as its depth."""
        voxel, belongs = mark
        own = max(_OWN_LOGIT, _SURE - self._at(logit, mark))
        sign = 1.0 if belongs else -1.0
        fading = np.exp(-((self.field.distance(voxel) / (_OWN_REACH * depth)) ** 2))
        return np.asarray(logit + sign * own * fading, dtype=np.float32)


def _rest(excluded: Looks) -> Looks:
    """What the rest of the volume looks like: its mean, which is 0, and excluded marks."""
    count = len(excluded)
    return np.asarray(excluded.sum(0) / max(count + _REST_WEIGHT, count / _MOST_EXCLUDED))


@dataclass(frozen=True)
class _Trust:
    """What the choice of the cut goes by.

    Parameters
    ----------
    share, weight
        Logarithm of the usual share, and what it weighs.
    gap
        What it weighs that few cells score as the cut.
    included_doubt
        Chance that an included mark lies where no cut is right, as the thick places of
        what is thin do.
    excluded_doubt
        The same for an excluded mark: other lines answer as strongly as those meant.
    """

    share: float
    weight: float
    gap: float = 0.0
    included_doubt: float = 0.0
    excluded_doubt: float = 0.0

    def near(self, share: float | None) -> Self:
        """The same, with another share for the usual one if there is another."""
        return self if share is None else replace(self, share=float(np.log10(share)))


_TRUST = _Trust(share=-0.8, weight=1.5, gap=2.0)
_SECTIONS_TRUST = _Trust(
    share=-0.95, weight=1.5, gap=2.0, included_doubt=0.2, excluded_doubt=0.2
)
_LINE_TRUST = _Trust(share=-0.7, weight=8.0, included_doubt=0.5, excluded_doubt=0.8)


def _choose_share(
    scores: Looks,
    marked: Looks,
    belongs: NDArray[np.bool_],
    before: float | None,
    trust: _Trust,
) -> float:
    """Share of the volume that belongs: the usual one, the clicks and the last one vote.

    The share before the last click follows the earlier ones, which so weigh less.
    """
    cuts = np.quantile(scores, 1 - _SHARES)
    votes = _votes(scores, cuts, trust)
    above = (marked[:, None] - cuts) / (_spread(scores) * _VOTE_SOFTNESS)
    right = special.expit(np.where(belongs[:, None], above, -above))
    doubt = np.where(belongs, trust.included_doubt, trust.excluded_doubt)[:, None]
    weights = np.full(len(marked), _VOTE_WEIGHT)
    if before is not None:
        weights[:-1] *= _EARLIER_WEIGHT
        votes -= _INERTIA * len(marked) * np.log10(_SHARES / before) ** 2
    votes += weights @ np.log(doubt + (1 - doubt) * right)
    return _mean_share(votes)


def _votes(scores: Looks, cuts: Looks, trust: _Trust) -> Looks:
    """For every share, before any click: it is usual, and its cut lies in a gap."""
    votes = -trust.weight * (np.log10(_SHARES) - trust.share) ** 2
    ordered, near = np.sort(scores), _GAP_WIDTH * _spread(scores)
    ends = (np.searchsorted(ordered, cuts + side) for side in (near, -near))
    count = np.subtract(*ends)
    # Of what lies beyond the cut, how much within a standard deviation, as at the cut.
    density = count / len(scores) / (2 * _GAP_WIDTH) / _SHARES
    gap = np.minimum(np.log(np.maximum(density, _LEAST_DENSITY)), 0)
    return np.asarray(votes - trust.gap * gap)


def _spread(scores: Looks) -> float:
    return max(float(scores.std()), _LEAST_SPREAD)


def _mean_share(votes: Looks) -> float:
    weights = np.exp(votes - votes.max())
    return float(10 ** (weights @ np.log10(_SHARES) / weights.sum()))


def _typical_radius(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Radius in the plane of what a mask covers; a disc's mean depth is a third of it."""
    some = mask[:: max(1, len(mask) // 8)]
    inside = _depths(some, spacing)[some]
    return 2.5 * float(inside.mean()) if len(inside) else 0.0


def _depths(
    mask: NDArray[np.bool_], spacing: NDArray[np.float64], *, goes_on: bool = False
) -> Floats:
    """How deep in a mask its cells lie, within their plane; beyond its rim it may go on."""
    depths = np.full(mask.shape, np.inf, dtype=np.float32)
    for plane, depth in zip(mask, depths, strict=True):
        padded = np.pad(plane, 1, constant_values=goes_on)
        if not padded.all():
            near = ndimage.distance_transform_edt(padded, sampling=spacing[1:])
            depth[:] = near[1:-1, 1:-1]
    return depths

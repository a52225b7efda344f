"""The method for all that looks alike: from marks to a probability of every voxel.

In: what the volume looks like, and marks in the order in which they were made. Out: how
probable each voxel is. A linear discriminant separates what was included from the rest;
what it finds teaches it, and on serial sections a perceptron, which finds as much in its
own way. Where clicks on serial sections mean thin lines and sheets, a line filter takes
the discriminant's place. Where it is cut follows from the share of the volume that such
things usually take up, from the clicks, from the cut before the last click, and from gaps.
The result is smoothed by a fraction of the radius of what was found, so that thin things
stay thin; near its edges, again by that radius, the grey values inside and outside compete.

Where much is painted, whole slices say, a small network learns from it instead
(`painted_slices`); clicks then correct what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.annotation.mask import EMPTY
from napari_dinomed.annotation.prompts import NOT_PAINTED
from napari_dinomed.features.tokens import to_voxels
from napari_dinomed.segment.all_alike.answer import Answer
from napari_dinomed.segment.all_alike.competition import grey_competition
from napari_dinomed.segment.all_alike.corrections import WHOLE, Corrections
from napari_dinomed.segment.all_alike.depths import depths, radius_of, typical_radius
from napari_dinomed.segment.all_alike.marks import LEAST_OF_EACH, Marks, cut_for
from napari_dinomed.segment.painted_slices.lesson import Lesson
from napari_dinomed.segment.suggest import Doubt, Place
from napari_dinomed.segment.turns import Early

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.annotation.prompts import Mark, Painted
    from napari_dinomed.annotation.region import Region
    from napari_dinomed.segment.all_alike.appearance import AlikeField
    from napari_dinomed.segment.all_alike.marks import Reading
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.segment.turns import Stepwise

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]

# Beyond this a logit is sure, and what was found before holds no longer.
_MOST_LOGIT = 8.0
# Slices on either side that a first look at one takes in: smoothing reaches hardly farther.
_BESIDE = 1
# Percentiles between which grey values are told apart.
_SPAN = (0.5, 99.5)
# Gaussians are cut off at so many standard deviations.
_REACH = 3.0


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
    view
        Axis and index of the plane in view, which is answered first; None if there is none.
    limits
        What says where the label is not: the share that it takes up is one of the rest.
    """

    field: AlikeField
    clicks: tuple[Mark, ...]
    painted: Painted = NOT_PAINTED
    start: Mask = EMPTY
    view: tuple[int, int] | None = None
    limits: tuple[Region, ...] = ()

    def answer(self) -> Stepwise[Answer]:
        """The answer to all marks, built on the one before the last click."""
        return (yield from self.field.turns.answer(self, AlikeFinder._find))

    def doubt(self) -> Stepwise[Doubt]:
        """How sure the answer is of each cell."""
        answer = yield from self.answer()
        field = self.field
        logit = answer.logit + self._at_edges(answer.logit, WHOLE)
        reading = torch.sigmoid(torch.from_numpy(logit)).numpy()
        return Doubt(
            reading[None],
            field.spacing,
            lambda voxels: voxels // field.step,
            field.centres,
        )

    def worth(self, places: Sequence[Place]) -> Stepwise[list[float]]:
        """How much a click would tell: as much as is in doubt there."""
        yield None
        return [place.in_doubt for place in places]

    @property
    def _marks(self) -> Marks:
        return Marks(self.field, self.clicks, self.painted, self.limits)

    @property
    def _corrections(self) -> Corrections:
        return Corrections(self.field, self.clicks, bool(self.painted))

    @property
    def seeds(self) -> None:
        """All that looks alike need not be connected."""

    def plane(self, answer: Answer, axis: int, index: int) -> Floats:
        """Probability (rows, columns) of a plane."""
        field = self.field
        shape = [length for other, length in enumerate(field.volume_shape) if other != axis]
        place = index // int(field.step[axis]) - (answer.start if axis == 0 else 0)
        logit = answer.logit.take(place, axis)
        if axis == 0:
            slices = slice(answer.start + place, answer.start + place + 1)
            logit = logit + self._at_edges(answer.logit[place : place + 1], slices)[0]
        plane = torch.from_numpy(logit)
        return torch.sigmoid(to_voxels(plane[None], (shape[0], shape[1])))[0].numpy()

    def placed(self, answer: Answer) -> tuple[Box, Floats]:
        """The whole volume as a box, and the probability on its voxels."""
        box = tuple(slice(0, length) for length in self.field.volume_shape)
        logit = answer.logit + self._at_edges(answer.logit, WHOLE)
        return box, torch.sigmoid_(self.field.to_voxels(logit)).numpy()

    def _at_edges(self, logit: Floats, slices: slice) -> Floats:
        """What grey values add to a logit near its edges.

        Who painted slices has shown where edges are: the network has learnt them.
        """
        if self._marks.is_well_painted:
            return np.zeros_like(logit)
        return self._competition(logit > 0, self.field.grey[slices])

    def _competition(self, found: Bools, grey: Floats) -> Floats:
        """How much better a cell near an edge fits the grey values inside than outside."""
        if found.all() or not found.any():
            return np.zeros(found.shape, dtype=np.float32)
        spacing, options = self.field.spacing, self.field.options
        deep = depths(found, spacing)
        radius = radius_of(deep, found)
        beyond = depths(~found, spacing, goes_on=True) / radius
        outside = (beyond > options.near_outside) & (beyond <= options.far_outside)
        low, high = np.percentile(grey[found | outside], _SPAN)
        logit = grey_competition(grey, found, outside, (float(low), float(high)))
        near = (beyond <= options.near_outside) & (deep <= options.near_inside * radius)
        return np.where(near, logit, np.float32(0))

    def _find(self, before: Answer | None) -> Stepwise[Answer]:
        """The answer, given the one before the last click if there was any."""
        says_what = bool(self.painted.belongs.any())
        if before is None and self.start and not (says_what and not self.clicks):
            before = self._proposed()
            if not self.clicks:
                return before
        if before is None and self._marks.is_well_painted:
            return (yield from self._taught())
        # A click among thousands of painted cells would teach nothing: it corrects.
        # Nor do exclusions alone say what else belongs.
        is_known = says_what or any(belongs for _, belongs in self.clicks)
        if before is not None and (self._marks.is_well_painted or not is_known):
            return self._after(before, before, WHOLE)
        reading = self._marks.reading(before)
        near = self._near_view()
        if near is not None:
            yield Early(lambda: self._after(before, self._fresh(reading, near), near))
        fresh = self._fresh(reading, WHOLE)
        yield None
        if self.field.has_membranes and not (self.field.has_sections and reading.is_thin):
            fresh = self._taught_by(fresh)
        return self._after(before, fresh, WHOLE)

    def _near_view(self) -> slice | None:
        """Slices around the one in view; None where a look at all is as soon made."""
        if self.view is None or self.view[0] != 0:
            return None
        place, depth = self.view[1] // int(self.field.step[0]), self.field.shape[0]
        near = slice(max(0, place - _BESIDE), min(depth, place + _BESIDE + 1))
        return near if 2 * (near.stop - near.start) <= depth else None

    def _after(self, before: Answer | None, fresh: Answer, slices: slice) -> Answer:
        """A fresh answer as far as the last click is to be believed, in some slices."""
        if before is None:
            return fresh
        if before.is_thin == fresh.is_thin:
            logit = self._corrections.around_last(before.logit, fresh.logit, slices)
        else:
            logit = self._corrections.around_all(fresh.logit, slices)
        return replace(fresh, logit=logit)

    def _proposed(self) -> Answer:
        """What was proposed, as an answer before any mark."""
        whole = tuple(slice(0, length) for length in self.field.volume_shape)
        z, y, x = whole
        share = self.field.mean_of(self.start.array((z, y, x)).astype(np.float32))
        logit = self.field.options.own_logit * (2 * share - 1)
        return Answer(logit, float((logit > 0).mean()), is_thin=False)

    def _fresh(self, reading: Reading, slices: slice) -> Answer:
        """What was read in some slices, whatever was answered before."""
        if reading.direction is None:
            scores = self.field.thin.score[slices]
        else:
            scores = self.field.projected(reading.direction, slices)
        logit = self._smoothed(_logit(scores, reading.cut, reading.unit))
        start = slices.start or 0
        return Answer(logit, reading.share, reading.is_thin, start, reading.rims)

    def _taught_by(self, answer: Answer) -> Answer:
        """What a perceptron finds, taught by what a discriminant found."""
        field = self.field
        competing = self._competition(answer.logit > 0, field.seen_grey)
        belongs = field.drawn(answer.logit) + field.drawn(competing) > 0
        if min(belongs.sum(), (~belongs).sum()) < LEAST_OF_EACH:
            return answer
        scores = field.taught(belongs)
        drawn = self._marks.counted(field.drawn(scores))
        logit = _logit(scores, *cut_for(drawn, answer.share, field.options))
        return replace(answer, logit=self._smoothed(logit))

    def _taught(self) -> Stepwise[Answer]:
        """The answer of a network that learnt from what was painted."""
        logit = yield from Lesson.of(self.field, self.painted).logit(self._smoothed)
        share = float((logit > 0).mean())
        return Answer(np.clip(logit, -_MOST_LOGIT, _MOST_LOGIT), share, is_thin=False)

    def _smoothed(self, logit: Floats) -> Floats:
        """Smoothed by a fraction of the radius of what is found, more across slices.

        A mitochondrion goes on in the next slice; a thin membrane has moved by then.
        """
        spacing, options = self.field.spacing, self.field.options
        radius = typical_radius(logit > 0, spacing)
        across = min(options.across * radius / spacing[0], options.most_across)
        sigmas = [across, *(options.within * radius / spacing[1:])]
        return np.asarray(ndimage.gaussian_filter(logit, sigmas, truncate=_REACH))


def _logit(scores: Floats, cut: float, unit: float) -> Floats:
    logit: Floats = np.clip((scores - cut) / unit, -_MOST_LOGIT, _MOST_LOGIT)
    return logit.astype(np.float32, copy=False)

"""A few fully labelled slices, and how well all the others are labelled from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Prompts, Stroke
from napari_dinomed.bench.forest import ForestHead
from napari_dinomed.bench.metrics import dice
from napari_dinomed.segment.heads import Examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.bench.case import Case
    from napari_dinomed.headless import Job

    Bools = NDArray[np.bool_]

_THINNING = 2
# Share of the space between two slices that the next seed goes on by: however many there
# are, none falls on another.
_GOLDEN = (5**0.5 - 1) / 2
_FOREST_LEARNS = 30_000


def labelled_slices(truth: Bools, count: int, seed: int = 0) -> list[int]:
    """Slices to label, evenly spaced among those that hold the label; seeds shift them."""
    holding = np.flatnonzero(truth.any((1, 2)))
    shift = (0.5 + seed * _GOLDEN) % 1
    places = [int((number + shift) * len(holding) / count) for number in range(count)]
    return sorted({int(holding[place]) for place in places})


def run_labels(case: Case, job: Job, count: int) -> float:
    """Dice on all other slices after so many were painted, every second pixel of them."""
    slices = labelled_slices(case.truth, count)
    painted = [
        Stroke(_painted(case.truth, slices, belongs), 1, include=belongs)
        for belongs in (True, False)
    ]
    prompts = Prompts(tuple(stroke for stroke in painted if stroke.mask))
    labels = job.segment((new_label(1, Meaning.ALL_LIKE_THIS),), prompts)
    return _on_the_others(case.truth, np.asarray(labels == 1), slices)


def run_forest(case: Case, filters: Job, count: int) -> float:
    """The same by random trees on filter responses, the recipe of pixel classification."""
    slices = labelled_slices(case.truth, count)
    painted = [_painted(case.truth, slices, belongs) for belongs in (True, False)]
    voxels = np.concatenate([mask.voxels() for mask in painted]).astype(np.int64)
    random = np.random.default_rng(0)
    if len(voxels) > _FOREST_LEARNS:
        voxels = random.permutation(voxels)[:_FOREST_LEARNS]
    (bank,) = filters.banks
    classes = torch.from_numpy(case.truth[tuple(voxels.T)].astype(np.int64))
    head = ForestHead().fit(Examples(bank.at(voxels), classes, torch.ones(len(classes))))
    proba = bank.on_every(
        np.ones(3, dtype=np.int64),
        lambda index: head.predict_proba(bank.slice_tokens(index))[:, 1],
    )
    return _on_the_others(case.truth, proba.numpy() > 0.5, slices)


def _painted(truth: Bools, slices: list[int], belongs: bool) -> Mask:
    """Every second pixel of some slices that belongs, or that does not."""
    painted = np.zeros_like(truth)
    thin = (slices, slice(None, None, _THINNING), slice(None, None, _THINNING))
    painted[thin] = truth[thin] == belongs
    return Mask.of(painted)


def _on_the_others(truth: Bools, mask: Bools, slices: list[int]) -> float:
    others = np.delete(np.arange(len(truth)), slices)
    return dice(truth[others], mask[others])

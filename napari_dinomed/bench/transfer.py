"""Labels of one volume applied to others, without a click."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.bench.metrics import dice
from napari_dinomed.segment.heads import Examples, LinearProbe
from napari_dinomed.segment.prompts import Meaning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.bench.case import Case
    from napari_dinomed.headless import Job
    from napari_dinomed.segment.tokens import TokenBank

    Bools = NDArray[np.bool_]

_OUTSIDE = 12_000
_PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5)
_EVERY = np.ones(3, dtype=np.int64)


def run_transfer(
    source: tuple[Case, Job], target: tuple[Case, Job], meaning: Meaning
) -> float:
    """Dice on a volume of a probe that learnt from another one.

    The tokens of all planes, unchanged from volume to volume; the penalty is the one that
    does best on the half of the source that was not learnt from. For one object the
    largest part is kept.
    """
    case, job = source
    random = np.random.default_rng(0)
    inside, outside = np.argwhere(case.truth), np.argwhere(~case.truth)
    drawn = random.choice(len(outside), min(_OUTSIDE, len(outside)), replace=False)
    voxels = np.concatenate([inside, outside[drawn]])
    tokens = torch.cat([bank.at(voxels) for bank in job.banks], dim=1)
    classes = torch.from_numpy(case.truth[tuple(voxels.T)].astype(np.int64))
    learnt = torch.from_numpy(voxels[:, 0] < np.median(inside[:, 0]))
    penalty = max(_PENALTIES, key=lambda p: _unseen_dice(tokens, classes, learnt, p))
    weights, offset = _probe(tokens, classes, penalty).logit()
    logit = _score(target[1].banks, weights) + offset
    return dice(target[0].truth, _kept(logit > 0, meaning))


def _probe(tokens: torch.Tensor, classes: torch.Tensor, penalty: float) -> LinearProbe:
    return LinearProbe(penalty).fit(Examples(tokens, classes, torch.ones(len(classes))))


def _unseen_dice(
    tokens: torch.Tensor, classes: torch.Tensor, learnt: torch.Tensor, penalty: float
) -> float:
    """Mean over both halves of the Dice of a probe that learnt from the other half."""
    values = []
    for half in (learnt, ~learnt):
        found = _probe(tokens[half], classes[half], penalty).predict_proba(tokens[~half])
        values.append(dice((classes[~half] > 0).numpy(), (found[:, 1] > 0.5).numpy()))
    return float(np.mean(values))


def _score(banks: tuple[TokenBank, ...], weights: torch.Tensor) -> NDArray[np.float32]:
    parts = torch.split(weights, [bank.channels for bank in banks])
    planes = [
        bank.on_every(_EVERY, partial(_project, bank, part))
        for bank, part in zip(banks, parts, strict=True)
    ]
    return np.asarray(torch.stack(planes).sum(0).numpy())


def _project(bank: TokenBank, weights: torch.Tensor, index: int) -> torch.Tensor:
    return bank.slice_tokens(index) @ weights


def _kept(mask: Bools, meaning: Meaning) -> Bools:
    if meaning is Meaning.ALL_LIKE_THIS or not mask.any():
        return mask
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    return np.asarray(components == np.argmax(sizes[1:]) + 1)

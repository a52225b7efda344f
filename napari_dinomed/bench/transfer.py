"""Labels of one volume applied to others, without a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.metrics import dice
from napari_dinomed.features.tokens import linear_readout, tokens_at
from napari_dinomed.segment.heads import Examples, LinearProbe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.bench.case import Case
    from napari_dinomed.headless import Job

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
    tokens = tokens_at(job.banks, voxels)
    classes = torch.from_numpy(case.truth[tuple(voxels.T)].astype(np.int64))
    learnt = torch.from_numpy(voxels[:, 0] < np.median(inside[:, 0]))
    penalty = max(_PENALTIES, key=lambda p: _unseen_dice(tokens, classes, learnt, p))
    weights, offset = _probe(tokens, classes, penalty).logit()
    logit = linear_readout(target[1].banks, _EVERY, weights, offset).numpy()
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


def _kept(mask: Bools, meaning: Meaning) -> Bools:
    if meaning is Meaning.ALL_LIKE_THIS or not mask.any():
        return mask
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    return np.asarray(components == np.argmax(sizes[1:]) + 1)

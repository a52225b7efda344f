"""Where scores are cut: what share of a volume belongs.

In: scores of a sample of a volume, and of marks. Out: a share. The usual share, the marks,
the share before the last click and gaps between scores vote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.all_alike.options import Options, Trust

    Scores = NDArray[np.float64]

# From a three-hundredth of a volume to half of it; two neighbours differ by a sixth.
_SHARES = np.logspace(-2.5, np.log10(0.5), 34)
# Half the width in which scores near a cut are counted, in standard deviations.
_GAP_WIDTH = 0.15
# What is rarer than this at a cut is a gap, whatever else.
_LEAST_DENSITY = 0.02
# Scores that do not vary are not divided by their spread.
_LEAST_SPREAD = 1e-6


def chosen_share(
    scores: Scores,
    marked: Scores,
    belongs: NDArray[np.bool_],
    before: float | None,
    trust: Trust,
    options: Options,
) -> float:
    """Share of the volume that belongs.

    Parameters
    ----------
    scores
        Scores (n,) of a sample of the volume.
    marked, belongs
        Scores of the marks, in order, and whether they belong.
    before
        The share before the last click, which follows the earlier ones: so they weigh
        less. None at first.
    trust, options
        What is gone by.
    """
    cuts = np.quantile(scores, 1 - _SHARES)
    votes = _votes(scores, cuts, trust)
    above = (marked[:, None] - cuts) / (spread(scores) * options.softness)
    right = special.expit(np.where(belongs[:, None], above, -above))
    doubt = np.where(belongs, trust.included_doubt, trust.excluded_doubt)[:, None]
    weights = np.full(len(marked), options.vote)
    if before is not None:
        weights[:-1] *= options.earlier_vote
        votes -= options.inertia * len(marked) * np.log10(_SHARES / before) ** 2
    votes += weights @ np.log(doubt + (1 - doubt) * right)
    return _mean_share(votes)


def usual_share(scores: Scores, trust: Trust) -> float:
    """Share of the volume that belongs, before any mark votes."""
    return _mean_share(_votes(scores, np.quantile(scores, 1 - _SHARES), trust))


def spread(scores: Scores) -> float:
    """Standard deviation of scores; never nothing."""
    return max(float(scores.std()), _LEAST_SPREAD)


def _votes(scores: Scores, cuts: Scores, trust: Trust) -> Scores:
    """For every share, before any click: it is usual, and its cut lies in a gap."""
    votes = -trust.weight * (np.log10(_SHARES) - trust.share) ** 2
    ordered, near = np.sort(scores), _GAP_WIDTH * spread(scores)
    ends = (np.searchsorted(ordered, cuts + side) for side in (near, -near))
    count = np.subtract(*ends)
    # Of what lies beyond the cut, how much within a standard deviation, as at the cut.
    density = count / len(scores) / (2 * _GAP_WIDTH) / _SHARES
    gap = np.minimum(np.log(np.maximum(density, _LEAST_DENSITY)), 0)
    return np.asarray(votes - trust.gap * gap)


def _mean_share(votes: Scores) -> float:
    weights = np.exp(votes - votes.max())
    return float(10 ** (weights @ np.log10(_SHARES) / weights.sum()))

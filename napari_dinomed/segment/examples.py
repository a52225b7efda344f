"""From prompts to examples: what a readout learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.segment.heads import Examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.tokens import TokenBank

_PRESUMED = 256
_PRESUMED_WEIGHT = 0.1
_KEPT = 0.85
_PER_CLASS = 400


def gather_examples(
    bank: TokenBank, voxels: NDArray[np.int64], classes: NDArray[np.int64]
) -> Examples:
    """Tokens under the marks, and tokens drawn at random as presumed background.

    The random tokens most like the included ones are left out, since a large object
    covers many of them.

    Parameters
    ----------
    bank
        Tokens of the volume.
    voxels, classes
        Marks (n, 3) and what they are (n,): a label, or 0 for background.
    """
    chosen = _at_most_per_class(classes)
    marked = bank.at(voxels[chosen])
    kinds = torch.from_numpy(classes[chosen])
    presumed = _presumed_background(bank, marked[kinds > 0])
    return Examples(
        torch.cat([marked, presumed]),
        torch.cat([kinds, torch.zeros(len(presumed), dtype=kinds.dtype)]),
        torch.cat(
            [torch.ones(len(marked)), torch.full((len(presumed),), _PRESUMED_WEIGHT)]
        ),
    )


def _presumed_background(bank: TokenBank, included: torch.Tensor) -> torch.Tensor:
    tokens = bank.in_cells(bank.sample(_PRESUMED, seed=0))
    centre = tokens.mean(0)
    similarity = (
        functional.normalize(tokens - centre) @ functional.normalize(included - centre).T
    )
    nearest = similarity.max(1).values
    return tokens[nearest <= torch.quantile(nearest, _KEPT)]


def _at_most_per_class(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the marks to learn from: long strokes are thinned evenly."""
    kept = []
    for value in np.unique(classes):
        indices = np.flatnonzero(classes == value)
        step = max(1, -(-len(indices) // _PER_CLASS))
        kept.append(indices[::step])
    return np.sort(np.concatenate(kept))

"""Random trees on filter responses, the recipe of pixel classification: a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.ensemble import ExtraTreesClassifier

    from napari_dinomed.segment.heads import Examples


class ForestHead:
    """Extremely randomised trees (Geurts et al. 2006), for filter responses.

    Parameters
    ----------
    trees
        How many; more are smoother and slower.
    """

    def __init__(self, trees: int = 60) -> None:
        self.trees = trees

    def fit(self, examples: Examples) -> Self:
        """Grow the trees; the same examples always give the same forest."""
        from sklearn.ensemble import ExtraTreesClassifier

        self.classes_ = torch.unique(examples.classes)
        self.forest_: ExtraTreesClassifier = ExtraTreesClassifier(
            self.trees, min_samples_leaf=2, n_jobs=-1, random_state=0
        ).fit(
            examples.tokens.numpy(),
            examples.classes.numpy(),
            sample_weight=examples.weights.numpy(),
        )
        return self

    def predict_proba(self, tokens: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, classes) of tokens (n, channels)."""
        votes: NDArray[np.float64] = self.forest_.predict_proba(tokens.numpy())
        return torch.from_numpy(votes.astype(np.float32))

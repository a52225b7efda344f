"""Readouts that turn tokens into class probabilities, fitted to a few marked tokens.

They follow the scikit-learn estimator shape: parameters in ``__init__``, ``fit`` returns
self, what is learnt ends in an underscore, ``predict_proba`` has one column for each of
``classes_``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch.nn import functional

from napari_dinomed.annotation.readout import Readout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, eq=False)
class Examples:
    """Marked tokens to learn from.

    Parameters
    ----------
    tokens
        (n, channels).
    classes
        (n,): a label id, or 0 for background.
    weights
        (n,): how much each counts; presumed background counts less than a click.
    """

    tokens: torch.Tensor
    classes: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> Examples:
        """The same on a device."""
        return Examples(
            self.tokens.to(device), self.classes.to(device), self.weights.to(device)
        )


def joined(parts: Sequence[Examples]) -> Examples:
    """Several together."""
    return Examples(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.classes for part in parts]),
        torch.cat([part.weights for part in parts]),
    )


class Head(Protocol):
    """A readout."""

    classes_: torch.Tensor

    def fit(self, examples: Examples) -> Self:
        """Learn from marked tokens."""

    def predict_proba(self, tokens: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, classes) of tokens (n, channels)."""


class KnnHead:
    """Nearest marked tokens by cosine similarity vote with softmax weights.

    Follows DINO's k-NN evaluation (temperature 0.07). Each vote also carries the
    example's weight.

    Parameters
    ----------
    neighbours
        How many of the nearest examples vote.
    temperature
        Lower values let the nearest decide alone.
    """

    def __init__(self, neighbours: int = 5, temperature: float = 0.07) -> None:
        self.neighbours = neighbours
        self.temperature = temperature

    def fit(self, examples: Examples) -> Self:
        """Keep the examples; the mean of all is taken off every token first."""
        self.classes_ = torch.unique(examples.classes)
        self.mean_ = examples.tokens.mean(0)
        self.references_ = functional.normalize(examples.tokens - self.mean_)
        self.votes_ = (
            functional.one_hot(
                torch.searchsorted(self.classes_, examples.classes), len(self.classes_)
            )
            * examples.weights[:, None]
        ).float()
        return self

    def predict_proba(self, tokens: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, classes) of tokens (n, channels)."""
        similarity = functional.normalize(tokens - self.mean_) @ self.references_.T
        count = min(self.neighbours, similarity.shape[1])
        nearest, index = similarity.topk(count, dim=1)
        share = torch.softmax(nearest / self.temperature, dim=1)
        votes = (share[:, :, None] * self.votes_[index]).sum(1)
        return votes / votes.sum(1, keepdim=True)


class LinearProbe:
    """Multinomial logistic regression with an L2 penalty, by L-BFGS.

    Parameters
    ----------
    penalty
        Weight of half the squared coefficients against the mean log-loss.
    """

    def __init__(self, penalty: float = 1e-2) -> None:
        self.penalty = penalty

    def fit(self, examples: Examples) -> Self:
        """Learn one linear score per class on standardised tokens."""
        self.classes_ = torch.unique(examples.classes)
        self.mean_ = examples.tokens.mean(0)
        self.scale_ = examples.tokens.std(0, correction=0).clamp_min(1e-6) * (
            examples.tokens.shape[1] ** 0.5
        )
        X = (examples.tokens - self.mean_) / self.scale_
        y = torch.searchsorted(self.classes_, examples.classes)
        share = examples.weights / examples.weights.sum()
        self.coefficients_, self.intercepts_ = self._minimise(X, y, share)
        return self

    def predict_proba(self, tokens: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, classes) of tokens (n, channels)."""
        standardised = (tokens - self.mean_) / self.scale_
        scores = standardised @ self.coefficients_ + self.intercepts_
        return torch.softmax(scores, dim=1)

    def logit(self) -> tuple[torch.Tensor, float]:
        """Weights (channels,) and offset whose score is the logit of the second of two."""
        weights = (self.coefficients_[:, 1] - self.coefficients_[:, 0]) / self.scale_
        offset = self.intercepts_[1] - self.intercepts_[0] - self.mean_ @ weights
        return weights, float(offset)

    def _minimise(
        self, X: torch.Tensor, y: torch.Tensor, share: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (X.shape[1], len(self.classes_))
        W = torch.zeros(shape, device=X.device, requires_grad=True)
        b = torch.zeros(shape[1], device=X.device, requires_grad=True)
        solver = torch.optim.LBFGS(
            [W, b], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-5
        )

        def loss() -> torch.Tensor:
            solver.zero_grad()
            losses = functional.cross_entropy(X @ W + b, y, reduction="none")
            total = (share * losses).sum() + self.penalty / 2 * (W**2).sum()
            total.backward()  # type: ignore[no-untyped-call]
            return total

        solver.step(loss)  # type: ignore[no-untyped-call]
        return W.detach(), b.detach()


HEADS: Mapping[str, type[Head]] = {Readout.KNN: KnnHead, Readout.PROBE: LinearProbe}

"""Ways to learn a label from examples: neighbours, a linear probe, a perceptron.

In: features (n, parts) and whether each belongs. Out: from features to logits. All are
fitted anew from the examples whenever a model is read: that takes a second or two, and a
file needs nothing but examples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_dinomed.segment.heads import Examples as MarkedTokens
from napari_dinomed.segment.heads import LinearProbe
from napari_dinomed.segment.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

Read = Callable[[torch.Tensor], torch.Tensor]
Learner = Callable[[torch.Tensor, torch.Tensor], Read]

# Examples that are compared with at most: every voxel of a proposal is, with each of them.
_MOST_NEIGHBOURS = 4000
_NEIGHBOURS = 16
# Of DINO's k-NN evaluation (Caron et al. 2021).
_TEMPERATURE = 0.07
_AT_ONCE = 8192
_PENALTY = 1e-3
_WIDTH = 64
_DROPPED = 0.3
_LESSONS, _BATCH = 400, 1024
_RATE, _DECAY = 3e-3, 1e-2
_LEAST_SPREAD = 1e-6


def neighbours(features: torch.Tensor, belongs: torch.Tensor) -> Read:
    """The nearest examples by cosine vote; the logit of their share."""
    random = torch.Generator().manual_seed(0)
    drawn = torch.randperm(len(features), generator=random)[:_MOST_NEIGHBOURS]
    known, votes = functional.normalize(features[drawn]), belongs[drawn].float()

    def read(features: torch.Tensor) -> torch.Tensor:
        shares = []
        for part in torch.split(functional.normalize(features), _AT_ONCE):
            count = min(_NEIGHBOURS, len(known))
            likeness, index = (part @ known.T).topk(count, dim=1)
            share = torch.softmax(likeness / _TEMPERATURE, dim=1)
            shares.append((share * votes[index]).sum(1))
        return torch.logit(torch.cat(shares), eps=1e-4)

    return read


def probe(features: torch.Tensor, belongs: torch.Tensor) -> Read:
    """A logistic regression; both sides count the same."""
    inside = belongs.float()
    weights = inside / inside.sum() + (1 - inside) / (1 - inside).sum()
    fitted = LinearProbe(_PENALTY).fit(MarkedTokens(features, belongs.long(), weights))
    direction, offset = fitted.logit()
    return lambda features: features @ direction + offset


@one_thread()
def perceptron(features: torch.Tensor, belongs: torch.Tensor) -> Read:
    """One hidden layer, taught by log-loss; the same examples teach the same."""
    random = torch.Generator().manual_seed(0)
    mean, spread = features.mean(0), features.std(0).clamp_min(_LEAST_SPREAD)
    standard, target = (features - mean) / spread, belongs.float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(features.shape[1], _WIDTH),
            nn.ReLU(),
            nn.Dropout(_DROPPED),
            nn.Linear(_WIDTH, 1),
        )
        solver = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
        for _ in range(_LESSONS):
            drawn = torch.randint(len(features), (_BATCH,), generator=random)
            logits = net(standard[drawn])[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logits, target[drawn])
            solver.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()
    net.eval()

    @torch.inference_mode()
    def read(features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = net((features - mean) / spread)[:, 0]
        return logits

    return read


LEARNERS: Mapping[str, Learner] = {
    "knn": neighbours,
    "probe": probe,
    "perceptron": perceptron,
}

"""A small perceptron that learns from an answer and finds its like.

Self-training (Scudder, IEEE Transactions on Information Theory 1965): what a linear
discriminant finds, once it is smoothed and grey values have competed near its edges, is
right in most cells. A perceptron that learns from all of them need not part them linearly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_dinomed.segment.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    # From looks (n, parts) to numbers (n,).
    Reading: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

# Units of each of two hidden layers, and how many of the first are dropped in a lesson.
_WIDTH, _DROPPED = 32, 0.2
# Lessons, and cells inside and outside in each: as many seen as a sample has, four times.
_LESSONS, _INSIDE, _OUTSIDE = 150, 256, 768
_RATE, _DECAY = 3e-3, 1e-3
# What does not vary is not divided by its spread.
_LEAST_SPREAD = 1e-6


@one_thread()
def teach(looks: torch.Tensor, belongs: torch.Tensor) -> Reading:
    """What a perceptron reads, taught by cells; the same cells teach the same.

    Parameters
    ----------
    looks
        What the cells look like, (n, parts).
    belongs
        Whether each belongs, (n,); some must, and some must not.

    Returns
    -------
    Callable
        From looks (n, parts) to logits (n,).
    """
    random = torch.Generator().manual_seed(0)
    spread = looks.std(0, correction=0).clamp_min(_LEAST_SPREAD)
    standard, belongs = looks / spread, belongs.float()
    inside, outside = torch.nonzero(belongs)[:, 0], torch.nonzero(1 - belongs)[:, 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = _layers(looks.shape[1])
        solver = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
        for _ in range(_LESSONS):
            drawn = torch.cat(
                [_drawn(inside, _INSIDE, random), _drawn(outside, _OUTSIDE, random)]
            )
            logits = net(standard[drawn])[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logits, belongs[drawn])
            solver.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()
    net.eval()

    def read(looks: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = net(looks / spread)
        return logits[:, 0]

    return read


def _layers(parts: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(parts, _WIDTH),
        nn.ReLU(),
        nn.Dropout(_DROPPED),
        nn.Linear(_WIDTH, _WIDTH),
        nn.ReLU(),
        nn.Linear(_WIDTH, 1),
    )


def _drawn(places: torch.Tensor, count: int, random: torch.Generator) -> torch.Tensor:
    return places[torch.randint(len(places), (count,), generator=random)]

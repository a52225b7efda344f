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

_WIDTH = 32
_DROPPED = 0.2
_LESSONS = 150
_INSIDE, _OUTSIDE = 256, 768
_RATE = 3e-3
_DECAY = 1e-3
_LEAST_SPREAD = 1e-6


@one_thread()
def teach(
    looks: torch.Tensor, belongs: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
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

    @torch.inference_mode()
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

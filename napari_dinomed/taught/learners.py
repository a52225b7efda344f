"""Ways to learn labels from examples: neighbours, a linear probe, a perceptron.

In: features (n, parts), whether each is of each label, and whether that is known: a volume
in which a label was not drawn says nothing of it. Out: what was learnt, as named tensors,
and from it and features to a logit for each label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn
from torch.nn import functional

from napari_dinomed.io.tensors import Form
from napari_dinomed.segment.heads import Examples as MarkedTokens
from napari_dinomed.segment.heads import LinearProbe
from napari_dinomed.segment.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dinomed.taught.header import LearnerName

Learnt = dict[str, torch.Tensor]

# Examples that are compared with at most: every voxel of a proposal is, with each of them.
_MOST_NEIGHBOURS = 4000
_NEIGHBOURS = 16
# Of DINO's k-NN evaluation (Caron et al. 2021).
_TEMPERATURE = 0.07
_AT_ONCE = 8192
_PENALTY = 1e-3
# Hidden units, and how much of them and of the weights is held back: examples are many, but
# volumes are few. In a trial on odd head-and-neck patients, told both, one layer of 64 with
# less held back proposed .58 where two of 128 proposed .65.
_WIDTH = 128
_DROPPED, _DECAY = 0.5, 0.1
_LESSONS, _BATCH = 1000, 256
_RATE = 3e-3
_LEAST_SPREAD = 1e-6
# Logit of a label that was never seen among the examples.
_NEVER = -9.0
# The perceptron's last parameter, one number a label.
_LAST = "6.bias"


class Learner(Protocol):
    """A way to learn labels."""

    def fit(
        self, features: torch.Tensor, belongs: torch.Tensor, known: torch.Tensor
    ) -> Learnt:
        """What features (n, parts) tell of labels (n, labels); the same teach the same."""

    def read(self, learnt: Learnt, features: torch.Tensor) -> torch.Tensor:
        """Logits (n, labels) of features (n, parts)."""

    def forms(self, parts: int, labels: int) -> Mapping[str, Form]:
        """What is learnt of labels from features (n, parts), by name."""


class Neighbours:
    """The nearest examples by cosine vote; the logit of their share."""

    def fit(
        self, features: torch.Tensor, belongs: torch.Tensor, known: torch.Tensor
    ) -> Learnt:
        """Keep some of the examples."""
        random = torch.Generator().manual_seed(0)
        drawn = torch.randperm(len(features), generator=random)[:_MOST_NEIGHBOURS]
        return {
            "looks": functional.normalize(features[drawn]).half(),
            "belongs": belongs[drawn],
            "known": known[drawn],
        }

    def read(self, learnt: Learnt, features: torch.Tensor) -> torch.Tensor:
        """Logits (n, labels) of features (n, parts)."""
        looks, known = learnt["looks"].float(), learnt["known"].float()
        votes = learnt["belongs"].float() * known
        count, shares = min(_NEIGHBOURS, len(looks)), []
        for part in torch.split(functional.normalize(features), _AT_ONCE):
            likeness, index = (part @ looks.T).topk(count, dim=1)
            weight = torch.softmax(likeness / _TEMPERATURE, dim=1)[:, :, None]
            asked = (weight * known[index]).sum(1).clamp_min(_LEAST_SPREAD)
            shares.append((weight * votes[index]).sum(1) / asked)
        return torch.logit(torch.cat(shares), eps=1e-4)

    def forms(self, parts: int, labels: int) -> Mapping[str, Form]:
        """The examples that are kept."""
        return {
            "looks": Form("float16", ("kept", parts)),
            "belongs": Form("bool", ("kept", labels)),
            "known": Form("bool", ("kept", labels)),
        }


class Probe:
    """A logistic regression for each label; both sides count the same."""

    def fit(
        self, features: torch.Tensor, belongs: torch.Tensor, known: torch.Tensor
    ) -> Learnt:
        """One direction and offset a label."""
        directions, offsets = [], []
        for inside, asked in zip(belongs.T, known.T, strict=True):
            direction, offset = _direction(features[asked], inside[asked])
            directions.append(direction)
            offsets.append(offset)
        return {
            "directions": torch.stack(directions, dim=1),
            "offsets": torch.stack(offsets),
        }

    def read(self, learnt: Learnt, features: torch.Tensor) -> torch.Tensor:
        """Logits (n, labels) of features (n, parts)."""
        return features @ learnt["directions"] + learnt["offsets"]

    def forms(self, parts: int, labels: int) -> Mapping[str, Form]:
        """A direction and an offset for each label."""
        return {
            "directions": Form("float32", (parts, labels)),
            "offsets": Form("float32", (labels,)),
        }


class Perceptron:
    """Two hidden layers that all labels share, taught by log-loss."""

    @one_thread()
    def fit(
        self, features: torch.Tensor, belongs: torch.Tensor, known: torch.Tensor
    ) -> Learnt:
        """Weights of the layers."""
        random = torch.Generator().manual_seed(0)
        mean, spread = features.mean(0), features.std(0).clamp_min(_LEAST_SPREAD)
        standard, target, asked = (
            (features - mean) / spread,
            belongs.float(),
            known.float(),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = _layers(features.shape[1], belongs.shape[1])
            solver = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
            pace = torch.optim.lr_scheduler.CosineAnnealingLR(solver, _LESSONS)
            for _ in range(_LESSONS):
                drawn = torch.randint(len(features), (_BATCH,), generator=random)
                loss = functional.binary_cross_entropy_with_logits(
                    net(standard[drawn]), target[drawn], asked[drawn], reduction="sum"
                )
                solver.zero_grad()
                (loss / _BATCH).backward()  # type: ignore[no-untyped-call]
                solver.step()
                pace.step()
        learnt = {name: value.detach() for name, value in net.state_dict().items()}
        return {**learnt, "mean": mean, "spread": spread}

    @torch.inference_mode()
    def read(self, learnt: Learnt, features: torch.Tensor) -> torch.Tensor:
        """Logits (n, labels) of features (n, parts)."""
        net = _layers(len(learnt["mean"]), len(learnt[_LAST]))
        layers = {name: learnt[name] for name in net.state_dict()}
        net.load_state_dict(layers)
        net.eval()
        logits: torch.Tensor = net((features - learnt["mean"]) / learnt["spread"])
        return logits

    def forms(self, parts: int, labels: int) -> Mapping[str, Form]:
        """Weights of the layers, and how features are brought to one spread."""
        with torch.device("meta"):
            layers = _layers(parts, labels).state_dict()
        weights = {name: Form("float32", (*one.shape,)) for name, one in layers.items()}
        return {
            **weights,
            "mean": Form("float32", (parts,)),
            "spread": Form("float32", (parts,)),
        }


LEARNERS: Mapping[LearnerName, Learner] = {
    "knn": Neighbours(),
    "probe": Probe(),
    "perceptron": Perceptron(),
}


def _layers(parts: int, labels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(parts, _WIDTH),
        nn.ReLU(),
        nn.Dropout(_DROPPED),
        nn.Linear(_WIDTH, _WIDTH),
        nn.ReLU(),
        nn.Dropout(_DROPPED),
        nn.Linear(_WIDTH, labels),
    )


def _direction(
    features: torch.Tensor, inside: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A direction (parts,) and an offset that part examples inside from those outside."""
    if not inside.any() or inside.all():
        return torch.zeros(features.shape[1]), torch.tensor(_NEVER)
    share = inside.float()
    weights = share / share.sum() + (1 - share) / (1 - share).sum()
    fitted = LinearProbe(_PENALTY).fit(MarkedTokens(features, inside.long(), weights))
    direction, offset = fitted.logit()
    return direction, torch.as_tensor(offset)

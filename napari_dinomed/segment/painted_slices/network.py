"""A small convolutional network that reads slices, learnt from painted ones.

A few layers of dilated convolutions (Yu and Koltun 2016, arXiv 1511.07122) see the
surroundings of a cell at growing distances; their outputs together decide. It is small
enough to be taught in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_dinomed.segment.turns import Lessons

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.segment.turns import Stepwise

# Channels of each layer, and how far apart its taps are: it sees 16 cells to each side.
_WIDTH, _DILATIONS = 16, (1, 2, 4, 8)
# Side in cells of what is seen in a lesson, and how many such there are in each.
_CROP, _CROPS = 64, 8
_RATE, _DECAY = 2e-2, 1e-3
# What does not vary is not divided by its spread.
_LEAST_SPREAD = 1e-6
# Painted cells that means and spreads are measured on.
_MOST_MEASURED = 24_000


@dataclass(frozen=True, eq=False)
class PaintedSlices:
    """Slices of which some cells were painted.

    Parameters
    ----------
    look
        From a place among the painted slices, and a part of it, to what it looks like
        (parts, rows, columns).
    belongs
        Share of a cell's paint that belongs, (slices, rows, columns).
    known
        Cells that were painted, (slices, rows, columns).
    """

    look: Callable[[int, tuple[slice, slice]], torch.Tensor]
    belongs: torch.Tensor
    known: torch.Tensor

    def crop(
        self, place: int, corner: tuple[int, int], side: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Looks, and as planes (1, side, side) what belongs and what is known."""
        rows, columns = (slice(start, start + side) for start in corner)
        return (
            self.look(place, (rows, columns)),
            self.belongs[place, None, rows, columns],
            self.known[place, None, rows, columns].float(),
        )


class SliceNet(nn.Module):
    """Logit of every cell of a slice that it belongs.

    Parameters
    ----------
    mean, scale
        Of each of the numbers that say what a cell looks like, (parts,).
    """

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.scale = (part[:, None, None] for part in (mean, scale))
        entry = nn.Conv2d(len(mean), _WIDTH, 1)
        self.entry = nn.Sequential(entry, nn.BatchNorm2d(_WIDTH))
        self.layers = nn.ModuleList(_layer(dilation) for dilation in _DILATIONS)
        self.decision = nn.Conv2d(_WIDTH * (1 + len(_DILATIONS)), 1, 1)

    def forward(self, looks: torch.Tensor) -> torch.Tensor:
        """Logits (n, 1, rows, columns) of looks (n, parts, rows, columns)."""
        standard = (looks - self.mean) / self.scale
        now = self.entry(standard.contiguous(memory_format=torch.channels_last)).relu()
        seen = [now]
        for layer in self.layers:
            now = now + layer(now).relu()
            seen.append(now)
        logits: torch.Tensor = self.decision(torch.cat(seen, 1))
        return logits

    @torch.inference_mode()
    def logit(self, looks: torch.Tensor) -> torch.Tensor:
        """Logit (rows, columns) of a slice's looks (parts, rows, columns)."""
        return self.forward(looks[None])[0, 0]


def teach(painted: PaintedSlices, lessons: int) -> Stepwise[SliceNet]:
    """A network taught by what was painted; the same paint gives the same network.

    It sees square crops, turned and mirrored, and is judged by log-loss and Dice.

    Parameters
    ----------
    painted
        Slices to learn from; something in them must be known.
    lessons
        Batches of crops to learn from.

    Yields
    ------
    Lessons
        How many it has had, after each; the network is returned.
    """
    random = torch.Generator().manual_seed(0)
    places = torch.nonzero(painted.known)
    mean, spread = _mean_and_spread(painted, places, random)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SliceNet(mean, spread)
    net.to(memory_format=torch.channels_last)
    solver = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
    rates = torch.optim.lr_scheduler.OneCycleLR(solver, _RATE, total_steps=lessons)
    for number in range(lessons):
        looks, belongs, known = _batch(painted, places, random)
        solver.zero_grad()
        _loss(net(looks), belongs, known).backward()  # type: ignore[no-untyped-call]
        solver.step()
        rates.step()
        yield Lessons(number + 1, lessons)
    return net.eval()


def _layer(dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(_WIDTH),
    )


def _mean_and_spread(
    painted: PaintedSlices, places: torch.Tensor, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of what painted cells look like, (parts,) each."""
    drawn = places[torch.randperm(len(places), generator=random)[:_MOST_MEASURED]]
    whole = (slice(None), slice(None))
    looks = []
    for place in set(drawn[:, 0].tolist()):
        _, rows, columns = drawn[drawn[:, 0] == place].T
        looks.append(painted.look(place, whole)[:, rows, columns])
    measured = torch.cat(looks, 1)
    return measured.mean(1), measured.std(1, correction=0).clamp_min(_LEAST_SPREAD)


def _batch(
    painted: PaintedSlices, places: torch.Tensor, random: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """Crops around painted cells: looks, what belongs and what is known."""
    rows, columns = painted.known.shape[1:]
    side = min(_CROP, rows, columns)
    crops = []
    for _ in range(_CROPS):
        drawn = int(torch.randint(len(places), (1,), generator=random))
        place, row, column = places[drawn].tolist()
        back = torch.randint(side, (2,), generator=random).tolist()
        corner = (
            min(max(0, row - back[0]), rows - side),
            min(max(0, column - back[1]), columns - side),
        )
        turns = int(torch.randint(8, (1,), generator=random))
        crops.append([_turned(part, turns) for part in painted.crop(place, corner, side)])
    return tuple(torch.stack(parts) for parts in zip(*crops, strict=True))


def _turned(part: torch.Tensor, turns: int) -> torch.Tensor:
    """One of the eight ways to lay down a square."""
    turned = torch.rot90(part, turns % 4, (1, 2))
    return turned.flip(1) if turns >= 4 else turned


def _loss(logits: torch.Tensor, belongs: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Log-loss and one minus soft Dice, over what is known."""
    losses = functional.binary_cross_entropy_with_logits(logits, belongs, reduction="none")
    found = torch.sigmoid(logits) * known
    overlap = 2 * (found * belongs).sum() / (found.sum() + (belongs * known).sum() + 1)
    return (losses * known).sum() / known.sum() + 1 - overlap

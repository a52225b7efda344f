"""Does a bigger or a finer encoder help? Asked of the user's own labels.

In: a labelled volume and what to combine. Out: a row for each combination, with Dice where
nothing was painted, and what the encoder costs there in seconds and in memory.

The question is that of arXiv 2509.06467: more parameters, pixels or blocks are not reliably
better on medical images.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.bench.labels import labelled_slices
from napari_dinomed.bench.metrics import dice
from napari_dinomed.errors import ReadError
from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.features.encoding import plans_for
from napari_dinomed.features.naming import EncoderName
from napari_dinomed.features.stack import SliceStack
from napari_dinomed.features.tokens import linear_readout, tokens_at
from napari_dinomed.headless import prepare
from napari_dinomed.segment.heads import Examples, LinearProbe
from napari_dinomed.taught.settle import best_cut
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.bench.case import Case
    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.headless import OnEvent
    from napari_dinomed.volume import Planes

    Voxels = NDArray[np.int64]

# Voxels of each class that a probe learns from, all painted slices together, and what is
# tried for its penalty: an encoder of many channels needs another one than one of few.
_PER_CLASS = 4000
_PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4)
_EVERY = np.ones(3, dtype=np.int64)


@dataclass(frozen=True)
class Studied:
    """What one combination came to.

    Parameters
    ----------
    encoder
        Its name, without folders, side and blocks.
    side, blocks
        Pixels of a slice's shorter side, and blocks that make a token; None for filters,
        which have neither.
    planes
        Slices along one axis or along three.
    dice
        By a linear probe, where nothing was painted.
    gain
        To the first combination.
    seconds, megabytes
        To encode what was measured, and of its tokens in memory.
    """

    encoder: str
    side: int | None
    blocks: int | None
    planes: str
    dice: float
    gain: float
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Combination:
    """An encoder's full name, and slices along one axis or three."""

    name: str
    planes: Planes


def combinations(
    encoders: Sequence[str],
    sides: Sequence[int],
    blocks: Sequence[int],
    planes: Sequence[Planes],
) -> list[Combination]:
    """Every encoder at every side, with every number of blocks, in every choice of planes.

    Filters see every voxel: for them there are only planes, and of these one.

    Raises
    ------
    ReadError
        Where an encoder's name has a side already.
    """
    made: dict[Combination, None] = {}
    for name in encoders:
        asked = EncoderName.parse(name)
        if asked.side or asked.blocks or asked.adapter:
            raise ReadError(
                f"Expected an encoder without side and adapter, got {asked}: what is "
                "studied is given by --sides and --blocks."
            )
        if name == FILTERS.name:
            made[Combination(name, "one")] = None
            continue
        for side, number, plane in product(sides or (0,), blocks or (0,), planes):
            fineness = f"{side or ''}{f'x{number}' if number else ''}"
            made[Combination(f"{name}@{fineness}" if fineness else name, plane)] = None
    return list(made)


def run_study(
    taught: Case,
    measured: Case,
    slices: int,
    asked: Sequence[Combination],
    device: str,
    on_event: OnEvent,
) -> Iterator[Studied]:
    """Paint a few slices of one volume, and read another, by each combination.

    Parameters
    ----------
    taught, measured
        What is painted, and what is read; two halves of one volume, or two volumes.
    slices
        How many are painted, evenly spaced among those that hold the label.
    asked
        What is combined; gains are to the first.
    device, on_event
        As for `prepare`.
    """
    first: float | None = None
    for one in asked:
        probe, cut = _taught(taught, slices, one, device, on_event)
        job = prepare(
            measured.volume, one.name, device=device, on_event=on_event, planes=one.planes
        )
        weights, offset = probe.logit()
        logits = linear_readout(job.banks, _EVERY, weights, offset)
        found = dice(measured.truth, (logits > cut).numpy())
        megabytes = sum(_bytes_of(bank) for bank in job.banks) / 1e6
        job.close()
        first = found if first is None else first
        encoder = make_encoder(one.name, device, lambda _: None)
        yield Studied(
            _alone(one.name),
            None if one.name == FILTERS.name else _side(encoder, measured),
            None if one.name == FILTERS.name else encoder.spec.blocks,
            one.planes,
            found,
            found - first,
            _seconds(encoder, measured, one.planes),
            megabytes,
        )


def _taught(
    case: Case, slices: int, one: Combination, device: str, on_event: OnEvent
) -> tuple[LinearProbe, float]:
    """A probe of what was painted, and the logit from which a voxel belongs.

    Penalty and cut are what does best where halves of the painted slices read each other.
    """
    job = prepare(
        case.volume, one.name, device=device, on_event=on_event, planes=one.planes
    )
    painted = labelled_slices(case.truth, slices)
    every = _examples(case, painted, job.banks)
    halves = [_examples(case, part, job.banks) for part in (painted[::2], painted[1::2])]
    job.close()
    tried = {penalty: _read_across(halves, penalty) for penalty in _PENALTIES}
    penalty = max(tried, key=lambda one: tried[one][0])
    return LinearProbe(penalty).fit(every), tried[penalty][1]


def _examples(case: Case, slices: list[int], banks: tuple[TokenBank, ...]) -> Examples:
    """Voxels of painted slices that belong and that do not, standing for all of them."""
    random = np.random.default_rng(0)
    parts: list[tuple[Voxels, int, float]] = []
    for index, belongs in product(slices, (False, True)):
        places = np.argwhere(case.truth[index] == belongs)
        if not len(places):
            continue
        count = max(1, min(len(places), _PER_CLASS // len(slices)))
        some = places[random.choice(len(places), count, replace=False)]
        voxels = np.column_stack([np.full(count, index), some])
        parts.append((voxels, int(belongs), len(places) / count))
    tokens = tokens_at(banks, np.concatenate([voxels for voxels, _, _ in parts]))
    classes = torch.cat([torch.full((len(v),), kind) for v, kind, _ in parts])
    weights = torch.cat([torch.full((len(v),), weight) for v, _, weight in parts])
    return Examples(tokens, classes, weights)


def _read_across(halves: list[Examples], penalty: float) -> tuple[float, float]:
    """Dice of halves that read each other, and the logit where it is highest."""
    logits = []
    for own, other in (halves, halves[::-1]):
        weights, offset = LinearProbe(penalty).fit(own).logit()
        logits.append(other.tokens @ weights + offset)
    score = torch.cat(logits)
    belongs = torch.cat([other.classes > 0 for other in halves[::-1]])
    shares = torch.cat([other.weights for other in halves[::-1]])
    cut = best_cut(score, belongs, shares)
    found = score > cut
    total = float((shares * found).sum() + (shares * belongs).sum())
    return 2 * float((shares * (found & belongs)).sum()) / total, cut


def _seconds(encoder: Encoder, case: Case, planes: Planes) -> float:
    """What encoding takes, from a block of each plane: tokens may have come from disk."""
    window = choose_window(case.volume, only=encoder.window)
    total = 0.0
    for plan in plans_for(case.volume, encoder, planes):
        stack = SliceStack(case.volume, window, plan.axis, plan.step, plan.shrink)
        block = min(encoder.block, stack.depth)
        begun = time.perf_counter()
        encoder.encode(stack, 0, block, plan)
        total += (time.perf_counter() - begun) / block * stack.depth
    return total


def _side(encoder: Encoder, case: Case) -> int:
    return encoder.spec.sides[case.volume.modality]


def _alone(name: str) -> str:
    """An encoder's name without folders, side and blocks."""
    asked = EncoderName.parse(name)
    return str(EncoderName(asked.base))


def _bytes_of(bank: TokenBank) -> int:
    return bank.tokens.numel() * bank.tokens.element_size()

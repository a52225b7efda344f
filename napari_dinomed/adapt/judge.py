"""Whether adapting helped: one readout on frozen and on adapted tokens, side by side.

In: tokens of slices that taught and of slices that did not. Out: Dice on the latter, by a
linear probe and by k-NN, for each label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from napari_dinomed.features.tokens import TokenBank
from napari_dinomed.segment.heads import Examples, KnnHead, LinearProbe, joined
from napari_dinomed.taught.settle import best_cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.adapt.painted import PaintedSlice
    from napari_dinomed.features.backbone import BackboneEncoder

Readout = Literal["probe", "knn"]
Head = KnnHead | LinearProbe
READOUTS: tuple[Readout, ...] = ("probe", "knn")
# Voxels of each class that readouts learn from, all slices together.
_PER_CLASS = {"probe": 4000, "knn": 1500}
# What is tried: penalties of a probe, neighbours of k-NN.
_SETTINGS: Mapping[Readout, tuple[float, ...]] = {
    "probe": (1e-1, 1e-2, 1e-3, 1e-4),
    "knn": (5,),
}
# Parts of what taught that settle how a readout is set. Of three slices, one alone reads
# the two others too badly to tell where to cut what all three say.
_PARTS = 3
# Probabilities nearer to 0 or 1 count as that near.
_SUREST = 1e-4
_EVERY = np.ones(3, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Shown:
    """A slice and its tokens.

    Parameters
    ----------
    bank
        Its tokens, as those of a volume of one slice.
    classes
        Of its voxels, (1, rows, columns).
    """

    bank: TokenBank
    classes: NDArray[np.uint8]


def show(slices: Sequence[PaintedSlice], encoder: BackboneEncoder) -> Iterator[Shown]:
    """Encode slices, one after the other, in the way they are encoded in use."""
    for one in slices:
        tokens = encoder.encode(one.stack, one.index, one.index + 1, one.plan)
        bank = TokenBank((1, *tokens.shape[1:]), (1, *one.classes.shape))
        bank.put(0, tokens)
        yield Shown(bank, one.classes[None])


def dice_of(
    taught: Sequence[Shown],
    held: Sequence[Shown],
    classes: int,
    readout: Readout,
    device: torch.device,
) -> tuple[float | None, ...]:
    """Dice of each class but 0 on slices that did not teach.

    Parameters
    ----------
    taught, held
        Slices that a readout learns from, and others.
    classes
        How many there are beside 0.
    readout
        Which.
    device
        Where readouts learn and read.

    Returns
    -------
    tuple
        Of each class; None where either side lacks it.
    """
    setting, cuts = _settled(taught, readout, device)
    head = _fitted(examples_of(taught, _PER_CLASS[readout]), readout, setting, device)
    found = [_found(head, one.bank, cuts, device) for one in held]
    return tuple(
        _dice(kind, [one.classes for one in held], [one.get(kind) for one in found])
        for kind in range(1, classes + 1)
    )


def examples_of(shown: Sequence[Shown], most: int) -> Examples:
    """Voxels of each class; each stands for as many as there are of its kind."""
    random = np.random.default_rng(0)
    tokens, classes, weights = [], [], []
    for one in shown:
        for kind in np.unique(one.classes):
            places = np.flatnonzero(one.classes == kind)
            count = max(1, min(len(places), most // len(shown)))
            some = random.choice(places, count, replace=False)
            voxels = np.column_stack(np.unravel_index(some, one.classes.shape))
            tokens.append(one.bank.at(voxels))
            classes.append(torch.full((count,), int(kind)))
            weights.append(torch.full((count,), len(places) / count))
    return Examples(torch.cat(tokens), torch.cat(classes), torch.cat(weights))


def _fitted(
    examples: Examples, readout: Readout, setting: float, device: torch.device
) -> Head:
    head = KnnHead(int(setting)) if readout == "knn" else LinearProbe(setting)
    return head.fit(examples.to(device))


def _scores(head: Head, tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Log-odds of tokens (n, channels) for each class, in main memory."""
    return _score(head.predict_proba(tokens.to(device))).cpu()


def _score(proba: torch.Tensor) -> torch.Tensor:
    """Log-odds of probabilities, bounded: those near 0 and 1 do not swamp the others."""
    return torch.logit(proba, _SUREST)


def _found(
    head: Head, bank: TokenBank, cuts: Mapping[int, float], device: torch.device
) -> dict[int, NDArray[np.bool_]]:
    """Voxels of a slice (1, rows, columns) that are found to be of each class."""
    scores = _scores(head, bank.slice_tokens(0), device)
    found = {}
    for column, kind in enumerate(head.classes_.tolist()):
        own = bank.on_every(_EVERY, partial(_column, scores, column))
        found[kind] = (own > cuts[kind]).numpy()
    return found


def _column(scores: torch.Tensor, column: int, index: int) -> torch.Tensor:
    del index  # a bank of one slice
    return scores[:, column]


def _dice(
    kind: int, truths: list[NDArray[np.uint8]], found: list[NDArray[np.bool_] | None]
) -> float | None:
    overlap = total = 0
    is_there = False
    for truth, own in zip(truths, found, strict=True):
        if own is None:
            return None
        is_there = is_there or bool((truth == kind).any())
        overlap += int((own & (truth == kind)).sum())
        total += int(own.sum()) + int((truth == kind).sum())
    return 2 * overlap / total if is_there else None


def _settled(
    taught: Sequence[Shown], readout: Readout, device: torch.device
) -> tuple[float, dict[int, float]]:
    """How a readout is set, and the score from which a voxel is of each class.

    Both are what does best when thirds of what taught are read by the others: an encoder
    of many channels needs another penalty than one of few, and what is rare is hardly
    anywhere more probable than not.
    """
    numbers = range(min(_PARTS, len(taught)))
    most = _PER_CLASS[readout] // len(numbers)
    parts = [examples_of(taught[number::_PARTS], most) for number in numbers]
    tried = [
        (setting, *_read_across(parts, readout, setting, device))
        for setting in _SETTINGS[readout]
    ]
    setting, _, cuts = max(tried, key=lambda one: one[1])
    return setting, cuts


def _read_across(
    parts: Sequence[Examples], readout: Readout, setting: float, device: torch.device
) -> tuple[float, dict[int, float]]:
    """Mean Dice over the classes but 0 of parts that the others read, and the cuts."""
    read: dict[int, list[tuple[torch.Tensor, ...]]] = {}
    for number, examples in enumerate(parts):
        # One alone reads itself.
        others = [*parts[:number], *parts[number + 1 :]] or [examples]
        head = _fitted(joined(others), readout, setting, device)
        scores = _scores(head, examples.tokens, device)
        for column, kind in enumerate(head.classes_.tolist()):
            belongs = examples.classes == kind
            read.setdefault(kind, []).append((scores[:, column], belongs, examples.weights))
    cuts, dice = {}, []
    for kind, told in read.items():
        score, belongs, weights = (torch.cat(part) for part in zip(*told, strict=True))
        cuts[kind] = best_cut(score, belongs, weights) if belongs.any() else 0.0
        found = score > cuts[kind]
        total = float((weights * found).sum() + (weights * belongs).sum())
        if kind and total:
            dice.append(2 * float((weights * (found & belongs)).sum()) / total)
    return float(np.mean(dice)) if dice else 0.0, cuts

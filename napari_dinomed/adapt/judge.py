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

from napari_dinomed.segment.heads import Examples, KnnHead, LinearProbe
from napari_dinomed.segment.tokens import TokenBank
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
# Of a probe, as `transfer` of the benchmarks mostly finds best.
PENALTY = 1e-4
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
    taught: Sequence[Shown], held: Sequence[Shown], classes: int, readout: Readout
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

    Returns
    -------
    tuple
        Of each class; None where either side lacks it.
    """
    cuts, head = _cuts(taught, readout), _fitted(taught, readout)
    found = [_found(head, one.bank, cuts) for one in held]
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


def _fitted(taught: Sequence[Shown], readout: Readout) -> Head:
    head = KnnHead() if readout == "knn" else LinearProbe(PENALTY)
    return head.fit(examples_of(taught, _PER_CLASS[readout]))


def _found(
    head: Head, bank: TokenBank, cuts: Mapping[int, float]
) -> dict[int, NDArray[np.bool_]]:
    """Voxels of a slice (1, rows, columns) that are found to be of each class."""
    proba = head.predict_proba(bank.slice_tokens(0))
    found = {}
    for column, kind in enumerate(head.classes_.tolist()):
        own = bank.on_every(_EVERY, partial(_column, proba, column))
        found[kind] = (own > cuts[kind]).numpy()
    return found


def _column(proba: torch.Tensor, column: int, index: int) -> torch.Tensor:
    del index  # a bank of one slice
    return proba[:, column]


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


def _cuts(taught: Sequence[Shown], readout: Readout) -> dict[int, float]:
    """Probability from which a voxel is of a class: what does best, halves reading halves.

    What is rare is hardly anywhere more probable than not.
    """
    halves = taught[::2], taught[1::2]
    tried: dict[int, list[tuple[torch.Tensor, ...]]] = {}
    for own, other in (halves, halves[::-1]) if len(taught) > 1 else ((taught, taught),):
        head, examples = _fitted(own, readout), examples_of(other, _PER_CLASS[readout])
        proba = head.predict_proba(examples.tokens)
        for column, kind in enumerate(head.classes_.tolist()):
            belongs = examples.classes == kind
            tried.setdefault(kind, []).append((proba[:, column], belongs, examples.weights))
    cuts = {}
    for kind, parts in tried.items():
        proba, belongs, weights = (torch.cat(part) for part in zip(*parts, strict=True))
        cuts[kind] = best_cut(proba, belongs, weights) if belongs.any() else 0.5
    return cuts

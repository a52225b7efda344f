"""How well features tell a volume's own labels apart where they were not taught them.

In: tokens, and voxels of labels. Out: for each label and readout a Dice: one quarter of the
label after another is hidden, with all around it, and read from the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_dinomed.annotation.readout import Readout
from napari_dinomed.segment.heads import HEADS, Examples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.features.tokens import TokenBank

    Voxels = NDArray[np.int64]

READOUTS = (Readout.PROBE, Readout.KNN)
_FOLDS = 4
# Voxels of a label, and around it, that are looked at: enough for two digits of Dice.
_INSIDE, _OUTSIDE = 1500, 3000
# Of the label's size, on each side of it; and voxels at least.
_AROUND, _LEAST_AROUND = 0.5, 4


def judged(
    banks: Sequence[TokenBank], channels: int, masks: Mapping[int, Mask]
) -> Iterator[dict[int, dict[str, float]] | None]:
    """Dice by label and readout, last; None where it may be interrupted.

    Parameters
    ----------
    banks
        Tokens along one axis or several; complete.
    channels
        How many of a token's numbers are looked at: those that do not tell the place.
    masks
        Voxels of each label. One that is too small to be parted is left out.
    """
    found: dict[int, dict[str, float]] = {}
    for number, mask in masks.items():
        voxels, inside, weights = _drawn(mask, banks[0].volume_shape)
        parts = _parts(voxels, inside)
        if parts is None:
            continue
        tokens = torch.cat([bank.at(voxels)[:, :channels] for bank in banks], dim=1)
        found[number] = {}
        for readout in READOUTS:
            taken = np.zeros(len(voxels), dtype=np.bool_)
            for part in np.unique(parts):
                hidden = parts == part
                taken[hidden] = _read(readout, tokens, inside, hidden)
                yield None
            found[number][readout] = _dice(inside, taken, weights)
    yield found


def _drawn(
    mask: Mask, shape: Sequence[int]
) -> tuple[Voxels, NDArray[np.bool_], NDArray[np.float64]]:
    """Voxels (n, 3) of a label and around it, which are its own, what each stands for."""
    box = tuple(
        slice(max(0, part.start - more), min(length, part.stop + more))
        for part, length in zip(mask.box, shape, strict=True)
        for more in [max(_LEAST_AROUND, int(_AROUND * (part.stop - part.start)))]
    )
    array = mask.array((box[0], box[1], box[2]))
    start = np.array([part.start for part in box])
    random = np.random.default_rng(0)
    drawn, weights = [], []
    for there, most in ((array, _INSIDE), (~array, _OUTSIDE)):
        places = np.flatnonzero(there)
        chosen = random.choice(places, min(most, len(places)), replace=False)
        drawn.append(np.stack(np.unravel_index(chosen, array.shape), 1) + start)
        weights.append(np.full(len(chosen), len(places) / max(1, len(chosen))))
    inside = np.repeat([True, False], [len(part) for part in drawn])
    return np.concatenate(drawn).astype(np.int64), inside, np.concatenate(weights)


def _parts(voxels: Voxels, inside: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Which part of the label each voxel goes with; None where it cannot be parted.

    Along the axis on which the label has most slices, in slabs of as many of its voxels.
    """
    own = voxels[inside]
    axis = int(np.argmax([len(np.unique(own[:, axis])) for axis in range(3)]))
    along = own[:, axis]
    cuts = np.unique(np.quantile(along, np.arange(1, _FOLDS) / _FOLDS, method="nearest"))
    parts = np.searchsorted(cuts, voxels[:, axis])
    known = [set(parts[inside]), set(parts[~inside])]
    return parts if len(known[0]) > 1 and known[1] >= known[0] else None


def _read(
    readout: Readout,
    tokens: torch.Tensor,
    inside: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """What is hidden, read from what is not."""
    shown = torch.from_numpy(~hidden)
    classes = torch.from_numpy(inside.astype(np.int64))[shown]
    examples = Examples(tokens[shown], classes, torch.ones(len(classes)))
    head = HEADS[readout]().fit(examples)
    found: NDArray[Any] = head.predict_proba(tokens[~shown])[:, -1].numpy()
    return np.asarray(found > 0.5)


def _dice(
    inside: NDArray[np.bool_], taken: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float:
    """Of all voxels, of which each one that was drawn stands for as many as it weighs."""
    both = weights[inside & taken].sum()
    return float(2 * both / (weights[inside].sum() + weights[taken].sum()))

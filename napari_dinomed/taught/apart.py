"""How far places are from the examples they are most like: whether a model knows them.

In: looks of places in and around a label, and a model's examples. Out: a distance of each.
Those of volumes that taught, each from all others, tell which are usual. What lies far from
its nearest neighbours among the taught is often read wrongly (Sun et al., ICML 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.segment.regions import bounding_box, grown, start_of, within
from napari_dinomed.taught.examples import distinct
from napari_dinomed.taught.header import Apart
from napari_dinomed.taught.surroundings import places_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.canvas import BoxLabels
    from napari_dinomed.taught.examples import Described, Examples

# What is around a label: its box, so much longer to each side.
_AROUND = 0.25
# Voxels that are looked at in a label, and around it: their mean has two digits.
_VOXELS = 500
_AT_ONCE = 2048


def apart_when_held_out(examples: Examples, label: int) -> dict[int, Apart]:
    """How far each volume's examples of a label, and around it, are from other volumes'.

    Parameters
    ----------
    examples
        Of all volumes.
    label
        Its class.

    Returns
    -------
    dict of int to Apart
        By the volume's number; empty where a single one has the label.
    """
    is_own = examples.classes == label
    cases = distinct(examples.cases[is_own])
    found = {}
    for case in cases if len(cases) > 1 else ():
        inside = is_own & (examples.cases == case)
        around = ~is_own & (examples.cases == case) & _near(examples, inside)
        others = examples.chosen(examples.cases != case)
        found[int(case)] = apart_from(
            others,
            label,
            examples.looks[inside],
            examples.looks[around],
            examples.weights[around],
        )
    return found


def apart_in(described: Described, box: BoxLabels, examples: Examples, label: int) -> Apart:
    """How far a label that was found, and what is around it, are from the examples.

    Parameters
    ----------
    described, box
        A volume as the model reads it, and labels that were found in it.
    examples, label
        Of the model, and the number of the label.
    """
    inside, around = _drawn(box, label, described.shape)
    looks = described.looks_at
    return apart_from(
        examples, label, looks(inside), looks(around), torch.ones(len(around))
    )


def apart_from(
    examples: Examples,
    label: int,
    inside: torch.Tensor,
    around: torch.Tensor,
    weights: torch.Tensor,
) -> Apart:
    """How far looks are from examples: those inside from the label's, others from others.

    Parameters
    ----------
    examples, label
        Some examples, and a class.
    inside, around
        Looks (n, parts) in the label and around it.
    weights
        What each place around it stands for, (n,).
    """
    is_own = examples.classes == label
    far = _distances(around, examples.looks[~is_own])
    total = float(weights.sum())
    return Apart(
        float(_distances(inside, examples.looks[is_own]).mean()),
        float((far * weights).sum()) / total if total else 0.0,
    )


def _distances(looks: torch.Tensor, examples: torch.Tensor) -> torch.Tensor:
    """One less the cosine to the nearest example, (n,); 1 where there are none."""
    if not len(examples):
        return torch.ones(len(looks))
    known = functional.normalize(examples.float()).T
    parts = (
        1 - (functional.normalize(part.float()) @ known).amax(1)
        for part in torch.split(looks, _AT_ONCE)
    )
    return torch.cat([*parts, torch.zeros(0)]).clamp_min(0)


def _near(examples: Examples, inside: torch.Tensor) -> torch.Tensor:
    """Which examples lie in the room around some of one volume, (n,)."""
    places = places_in(examples.surroundings)
    low, high = places[inside].aminmax(dim=0)
    room = _AROUND * (high - low)
    return ((places >= low - room) & (places <= high + room)).all(1)


def _drawn(
    box: BoxLabels, label: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels (n, 3) of a label, and around it; the same ones each time."""
    random, start = np.random.default_rng(0), np.array(box.start)
    mask = box.labels == label
    own = np.flatnonzero(mask)
    own = own[random.integers(0, len(own), _VOXELS)]
    inside = np.column_stack(np.unravel_index(own, mask.shape)) + start
    tight = tuple(
        slice(part.start + first, part.stop + first)
        for part, first in zip(bounding_box(mask), box.start, strict=True)
    )
    room = 1 + int(_AROUND * max(part.stop - part.start for part in tight))
    wide = grown(tight, room, tuple(slice(0, length) for length in shape))
    lengths = [part.stop - part.start for part in wide]
    around = random.integers(0, lengths, (_VOXELS, 3)) + start_of(wide)
    placed = around - start
    is_held = within(placed, mask.shape)
    is_own = np.zeros(len(around), dtype=bool)
    is_own[is_held] = mask[tuple(placed[is_held].T)]
    return inside, around[~is_own]

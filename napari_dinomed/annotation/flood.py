"""The connected part of a mask around some of its voxels.

In: a packed mask and seeds (z, y, x). Out: the part of it that faces connect to a seed; the
cost follows that part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.annotation.mask import Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flooded(mask: Mask, seeds: NDArray[np.integer[Any]]) -> Mask:
    """The part of a mask that is connected, by faces, to one of the seeds (n, 3) in it."""
    inside = (Mask.of_voxels(seeds) & mask).voxels()
    if not len(inside):
        return Mask()
    box = mask.box
    # A rim of nothing, so that steps from the last row do not land in the next one.
    free = np.pad(mask.array(box), 1)
    start = np.array([part.start - 1 for part in box])
    steps = np.array([free.shape[1] * free.shape[2], free.shape[2], 1])
    left = free.reshape(-1)
    reached: list[NDArray[np.int64]] = []
    front = (inside - start) @ steps
    left[front] = False
    while len(front):
        reached.append(front)
        beside = np.concatenate([front + step for step in (*steps, *-steps)])
        front = np.unique(beside[left[beside]])
        left[front] = False
    found = np.zeros(free.shape, dtype=np.bool_)
    found.reshape(-1)[np.concatenate(reached)] = True
    return Mask.of(found, start)

"""How many things a label is: its connected parts, counted slab by slab.

In: a label's voxels. Out: a count. Counting in one go keeps every other thread waiting for
as long; so slabs that share a slice are counted one after another, and parts that meet in
that slice are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_dinomed.segment.regions import numbered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Mask

# Voxels of a slab: some five milliseconds.
_AT_ONCE = 1_000_000


def count_things(
    mask: Mask, is_outdated: Callable[[], bool], at_once: int = _AT_ONCE
) -> int | None:
    """Parts of a mask that touch, be it by a corner.

    Parameters
    ----------
    mask
        The voxels.
    is_outdated
        Asked between slabs; None is given back where it says so.
    at_once
        Voxels of a slab at most, but for its two slices at least.
    """
    if not mask:
        return 0
    z, rows, columns = mask.box
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    deep = max(2, at_once // area)
    total, meetings, last = 0, [np.zeros((2, 0), np.int64)], None
    for start in range(z.start, max(z.stop - 1, z.start + 1), deep - 1):
        if is_outdated():
            return None
        slab = mask.array((slice(start, min(start + deep, z.stop)), rows, columns))
        parts, count = numbered(slab)
        if last is not None:
            meetings.append(_meeting(last, parts[0], total))
        last = np.where(parts[-1] > 0, parts[-1].astype(np.int64) + total, 0)
        total += count
    one, other = np.concatenate(meetings, axis=1) - 1
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(total, total))
    return int(connected_components(graph, directed=False)[0])


def _meeting(
    last: NDArray[np.int64], first: NDArray[np.integer], before: int
) -> NDArray[np.int64]:
    """Pairs (2, n) of numbers that the same slice's parts have in two slabs."""
    there = last > 0
    pairs = np.stack([last[there], first[there].astype(np.int64) + before])
    return np.unique(pairs, axis=1)

"""From a volume to its tokens: block by block, nearest to the view first, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.features.stack import SlicePlan, SliceStack
    from napari_dinomed.features.store import FeatureStore


def block_order(depth: int, size: int, first: int) -> list[tuple[int, int]]:
    """Blocks (start, stop) of ``size`` slices that cover ``depth``, nearest first.

    Parameters
    ----------
    depth, size
        Slices in all and in a block.
    first
        The slice in view.
    """
    blocks = [(start, min(start + size, depth)) for start in range(0, depth, size)]
    return sorted(blocks, key=lambda block: abs((block[0] + block[1] - 1) / 2 - first))


def extract_block(
    stack: SliceStack,
    plan: SlicePlan,
    encoder: Encoder,
    store: FeatureStore,
    start: int,
    stop: int,
) -> tuple[NDArray[np.float16], bool]:
    """Tokens of slices ``start`` to ``stop``: from the store if it has them all.

    Returns
    -------
    tuple
        Tokens (slices, channels, rows, columns), and whether they were computed.
    """
    stored = [store.read(index) for index in range(start, stop)]
    found = [tokens for tokens in stored if tokens is not None]
    if len(found) == len(stored):
        return np.stack(found), False
    tokens = encoder.encode(stack, start, stop, plan)
    store.write(start, tokens)
    return tokens, True

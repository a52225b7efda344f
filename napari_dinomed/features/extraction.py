"""From a volume to its tokens: block by block, nearest to the view first, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.errors import EngineError

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
    tokens = _encoded(stack, plan, encoder, start, stop)
    store.write(start, tokens)
    return tokens, True


def _encoded(
    stack: SliceStack, plan: SlicePlan, encoder: Encoder, start: int, stop: int
) -> NDArray[np.float16]:
    """Tokens of slices ``start`` to ``stop``, half of them at a time if need be."""
    try:
        return encoder.encode(stack, start, stop, plan)
    except MemoryError:
        if stop - start == 1:
            raise EngineError(
                "There is no memory left for a single slice. Close other programs or "
                "volumes, or open a coarser level or a part of this one."
            ) from None
    middle = (start + stop) // 2
    halves = ((start, middle), (middle, stop))
    return np.concatenate([_encoded(stack, plan, encoder, *half) for half in halves])

"""What a whole volume looks like, in one row of numbers.

As for CT-RATE in arXiv 2509.06467: tokens of a slice are averaged, and over slices their
mean and their maximum are taken. A region of interest, where one is given, keeps the tokens
that lie in it, which helps where what is asked for is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.tokens import TokenBank

    Floats = NDArray[np.float32]

# Told of what is stored: another number where a volume's row would be another.
POOLING = 1


def pooled(bank: TokenBank, channels: int, mask: NDArray[np.bool_] | None = None) -> Floats:
    """Mean and maximum over slices of the mean token of each, side by side.

    Parameters
    ----------
    bank
        Complete tokens of a volume, along one axis.
    channels
        How many of a token's channels, from the first, tell what is there.
    mask
        Voxels (z, y, x) to keep to; slices without any are left out.
    """
    slices = []
    for index in range(bank.depth):
        tokens = bank.slice_tokens(index)[:, :channels]
        if mask is not None:
            share = _share_of_tokens(bank, mask, index)
            if not share.any():
                continue
            tokens = tokens * (share / share.sum())[:, None] * len(tokens)
        slices.append(tokens.mean(0))
    stacked = torch.stack(slices)
    together: Floats = torch.cat([stacked.mean(0), stacked.amax(0)]).numpy()
    return together


def _share_of_tokens(bank: TokenBank, mask: NDArray[np.bool_], index: int) -> torch.Tensor:
    """How much of each token of a slice lies in a mask, (tokens,)."""
    start = index * bank.step
    part = mask.take(range(start, min(start + bank.step, mask.shape[bank.axis])), bank.axis)
    plane = torch.from_numpy(part.any(bank.axis).astype(np.float32))
    share = torch.nn.functional.adaptive_avg_pool2d(plane[None], bank.grid)
    return share.flatten()

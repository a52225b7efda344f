"""Tokens of a volume in memory, and how the token grid lies over the voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TokenBank:
    """Tokens of every slice that has been encoded so far.

    Token (row, column) of a slice covers the voxels from row × rows of the slice / rows
    of the grid on; pixel centres of both lie half a step in, as in bilinear resizing.

    Parameters
    ----------
    shape
        Slices, channels, rows and columns of tokens.
    slice_shape
        Rows and columns of voxels in a slice.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], slice_shape: tuple[int, int]
    ) -> None:
        depth, channels, rows, columns = shape
        self.grid = (rows, columns)
        self.slice_shape = slice_shape
        self.ready = np.zeros(depth, dtype=bool)
        self.tokens = torch.zeros((depth, rows * columns, channels), dtype=torch.float16)

    @property
    def depth(self) -> int:
        """Number of slices."""
        return len(self.ready)

    def put(self, start: int, tokens: NDArray[np.float16]) -> None:
        """Take in tokens (slices, channels, rows, columns) from slice ``start`` on."""
        stop = start + len(tokens)
        flat = torch.from_numpy(tokens).flatten(2).transpose(1, 2)
        self.tokens[start:stop] = flat
        self.ready[start:stop] = True

    def slice_tokens(self, index: int) -> torch.Tensor:
        """Tokens (rows × columns, channels) of a slice, single precision."""
        return self.tokens[index].float()

    def at(self, voxels: NDArray[np.int64]) -> torch.Tensor:
        """Tokens (n, channels) at voxels (n, 3), bilinear within the slice."""
        position = self._grid_position(voxels)
        low = np.floor(position).astype(np.int64)
        weight = torch.from_numpy((position - low).astype(np.float32))
        limit = np.array(self.grid) - 1
        slices = torch.from_numpy(voxels[:, 0])
        total = torch.zeros((len(voxels), self.tokens.shape[2]))
        for row in (0, 1):
            for column in (0, 1):
                corner = np.clip(low + np.array((row, column)), 0, limit)
                index = torch.from_numpy(corner[:, 0] * self.grid[1] + corner[:, 1])
                share = weight[:, 0] if row else 1 - weight[:, 0]
                share = share * (weight[:, 1] if column else 1 - weight[:, 1])
                total += share[:, None] * self.tokens[slices, index].float()
        return total

    def cells(self, voxels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Token cells (slice, row, column) that hold the voxels (n, 3)."""
        position = np.rint(self._grid_position(voxels)).astype(np.int64)
        cells = np.clip(position, 0, np.array(self.grid) - 1)
        return np.column_stack([voxels[:, 0], cells])

    def sample(self, count: int, seed: int) -> NDArray[np.int64]:
        """Cells (n, 3) drawn at random from the slices that are ready."""
        slices = np.flatnonzero(self.ready)
        total = len(slices) * self.grid[0] * self.grid[1]
        random = np.random.default_rng(seed)
        drawn = random.choice(total, size=min(count, total), replace=False)
        rest, column = np.divmod(drawn, self.grid[1])
        index, row = np.divmod(rest, self.grid[0])
        return np.column_stack([slices[index], row, column])

    def in_cells(self, cells: NDArray[np.int64]) -> torch.Tensor:
        """Tokens (n, channels) of cells (n, 3)."""
        flat = cells[:, 1] * self.grid[1] + cells[:, 2]
        return self.tokens[torch.from_numpy(cells[:, 0]), torch.from_numpy(flat)].float()

    def _grid_position(self, voxels: NDArray[np.int64]) -> NDArray[np.float64]:
        scale = np.array(self.grid) / np.array(self.slice_shape)
        return np.asarray((voxels[:, 1:] + 0.5) * scale - 0.5)


def to_voxels(scores: torch.Tensor, slice_shape: tuple[int, int]) -> torch.Tensor:
    """Scores (slices, rows, columns) of tokens, bilinear on the voxels of the slices."""
    return functional.interpolate(
        scores[:, None].float(), slice_shape, mode="bilinear", align_corners=False
    )[:, 0]

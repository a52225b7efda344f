"""Tokens of a volume in memory, and how their lattice lies over the voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


class TokenBank:
    """Tokens of every slice along one axis that has been encoded so far.

    Token (row, column) of a slice covers the voxels from row × rows of the slice / rows
    of the grid on; pixel centres of both lie half a step in, as in bilinear resizing.
    Slice i of the bank is slice ``i × step + step // 2`` of the volume.

    Parameters
    ----------
    shape
        Slices, channels, rows and columns of tokens.
    volume_shape
        Voxels along (z, y, x).
    axis, step
        Axis that the slices are taken along, and every how many of them.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        volume_shape: tuple[int, ...],
        axis: int = 0,
        step: int = 1,
    ) -> None:
        depth, channels, rows, columns = shape
        self.grid = (rows, columns)
        self.channels = channels
        self.volume_shape = volume_shape
        self.axis = axis
        self.step = step
        self.ready = np.zeros(depth, dtype=bool)
        self.tokens = torch.zeros((depth, rows * columns, channels), dtype=torch.float16)

    @property
    def depth(self) -> int:
        """Number of slices."""
        return len(self.ready)

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Rows and columns of voxels in a slice."""
        rows, columns = np.delete(self.volume_shape, self.axis)
        return (int(rows), int(columns))

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
        """Tokens (n, channels) at voxels (n, 3), linear in between."""
        places = [
            self._place(axis, voxels[:, axis]) for axis in (self.axis, *self._in_plane)
        ]
        low = [np.floor(place).astype(np.int64) for place in places]
        share = [
            torch.from_numpy((place - below).astype(np.float32))
            for place, below in zip(places, low, strict=True)
        ]
        limit = (self.depth - 1, self.grid[0] - 1, self.grid[1] - 1)
        total = torch.zeros((len(voxels), self.channels))
        for corner in product((0, 1), repeat=3):
            weight = torch.ones(len(voxels))
            for part, side in zip(share, corner, strict=True):
                weight = weight * (part if side else 1 - part)
            if not weight.any():
                continue
            index, row, column = (
                torch.from_numpy(np.clip(below + side, 0, most))
                for below, side, most in zip(low, corner, limit, strict=True)
            )
            flat = row * self.grid[1] + column
            total += weight[:, None] * self.tokens[index, flat].float()
        return total

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

    def on_every(
        self, steps: NDArray[np.int64], read: Callable[[int], torch.Tensor]
    ) -> torch.Tensor:
        """What ``read`` makes of each slice, at the centres of blocks of voxels.

        Linear in between, one axis after the other.

        Parameters
        ----------
        steps
            Voxels to a block, along (z, y, x).
        read
            From the index of a slice to one number for each of its tokens.
        """
        lengths = (self.depth, *self.grid)
        along, *others = (
            linear_weights(self._place(axis, self._centres(axis, steps)), length)
            for axis, length in zip((self.axis, *self._in_plane), lengths, strict=True)
        )
        needed = torch.nonzero(along.any(0)).flatten()
        scores = torch.stack([read(int(index)) for index in needed])
        values = torch.unflatten(scores.float(), 1, self.grid)
        for number, weights in enumerate((along[:, needed], *others)):
            values = torch.tensordot(values, weights, dims=([number], [1]))
            values = values.movedim(-1, number)
        return values.movedim(0, self.axis).contiguous()

    def projected_on(self, steps: NDArray[np.int64], axes: torch.Tensor) -> torch.Tensor:
        """Tokens on new axes, at the centres of blocks of voxels, linear in between.

        Parameters
        ----------
        steps
            Voxels to a block, along (z, y, x).
        axes
            (channels, parts).

        Returns
        -------
        torch.Tensor
            (z, y, x, parts), half precision.
        """
        along, rows, columns = (
            _Between.of(self._place(axis, self._centres(axis, steps)), length)
            for axis, length in zip(
                (self.axis, *self._in_plane), (self.depth, *self.grid), strict=True
            )
        )
        shape = (len(along), len(rows), len(columns), axes.shape[1])
        looks = torch.empty(shape, dtype=torch.float16)

        @lru_cache(maxsize=2)
        def look(index: int) -> torch.Tensor:
            return (self.slice_tokens(index) @ axes).view(*self.grid, -1)

        for place, (low, high, share) in enumerate(along.rows):
            plane = torch.lerp(look(low), look(high), share) if share else look(low)
            looks[place] = columns.on(rows.on(plane, 0), 1)
        return looks.movedim(0, self.axis).contiguous()

    @property
    def _in_plane(self) -> tuple[int, int]:
        rows, columns = (axis for axis in range(3) if axis != self.axis)
        return rows, columns

    def _centres(self, axis: int, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Where the centres of blocks of voxels lie along an axis of the volume."""
        starts = np.arange(0, self.volume_shape[axis], int(steps[axis]))
        stops = np.minimum(starts + steps[axis], self.volume_shape[axis])
        return np.asarray((starts + stops - 1) / 2)

    def _place(self, axis: int, voxels: NDArray[Any]) -> NDArray[np.float64]:
        """Where voxels lie on the lattice, along one axis of the volume."""
        if axis == self.axis:
            place = (voxels - self.step // 2) / self.step
            return np.asarray(np.clip(place, 0, self.depth - 1))
        length = self.grid[self._in_plane.index(axis)]
        return np.asarray((voxels + 0.5) * (length / self.volume_shape[axis]) - 0.5)


@dataclass(frozen=True, eq=False)
class _Between:
    """Places on a lattice: the node below, that above, and how far it is between them."""

    low: torch.Tensor
    high: torch.Tensor
    share: torch.Tensor

    @classmethod
    def of(cls, places: NDArray[np.float64], length: int) -> Self:
        """Places (n,) on a lattice of a length; the ends repeat."""
        places = np.clip(places, 0, length - 1)
        low = np.minimum(np.floor(places).astype(np.int64), max(0, length - 2))
        share = torch.from_numpy((places - low).astype(np.float32))
        high = np.minimum(low + 1, length - 1)
        return cls(torch.from_numpy(low), torch.from_numpy(high), share)

    def __len__(self) -> int:
        return len(self.low)

    @property
    def rows(self) -> Iterator[tuple[int, int, float]]:
        """Nodes and share of each place."""
        return zip(self.low.tolist(), self.high.tolist(), self.share.tolist(), strict=True)

    def on(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        """Values of the nodes (rows, columns, parts) along an axis, at the places."""
        if not self.share.any() and len(self) == values.shape[axis]:
            return values
        share = self.share.view([-1 if axis == other else 1 for other in range(3)])
        low, high = (values.index_select(axis, nodes) for nodes in (self.low, self.high))
        return torch.lerp(low, high, share)


def linear_weights(places: NDArray[np.float64], length: int) -> torch.Tensor:
    """Matrix (places, length) of linear interpolation; the ends repeat."""
    between = _Between.of(places, length)
    weights = torch.zeros((len(between), length))
    rows = torch.arange(len(between))
    weights[rows, between.low] = 1 - between.share
    weights[rows, between.high] += between.share
    return weights


def tokens_at(banks: tuple[TokenBank, ...], voxels: NDArray[np.int64]) -> torch.Tensor:
    """Tokens (n, channels of all banks) at voxels (n, 3)."""
    return torch.cat([bank.at(voxels) for bank in banks], dim=1)


def linear_readout(
    banks: tuple[TokenBank, ...],
    steps: NDArray[np.int64],
    weights: torch.Tensor,
    offset: float,
) -> torch.Tensor:
    """A linear readout of the tokens of all banks, scored first, then interpolated.

    Parameters
    ----------
    banks
        Tokens along one axis or several.
    steps
        Voxels to a block, along (z, y, x).
    weights, offset
        As many weights as all banks have channels.
    """
    parts = torch.split(weights, [bank.channels for bank in banks])
    planes = [
        bank.on_every(steps, partial(project, bank, part))
        for bank, part in zip(banks, parts, strict=True)
    ]
    return torch.stack(planes).sum(0) + offset


def project(bank: TokenBank, weights: torch.Tensor, index: int) -> torch.Tensor:
    """Score of each token of a slice along some weights."""
    return bank.slice_tokens(index) @ weights


def to_voxels(scores: torch.Tensor, slice_shape: tuple[int, int]) -> torch.Tensor:
    """Scores (slices, rows, columns) of tokens, bilinear on the voxels of the slices."""
    return functional.interpolate(
        scores[:, None].float(), slice_shape, mode="bilinear", align_corners=False
    )[:, 0]

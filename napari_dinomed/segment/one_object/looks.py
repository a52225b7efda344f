"""What tokens look like, in few numbers that compare alike for every encoder.

In: the tokens of a volume along one axis. Out: their looks, cosines and projections on a
grid of cells. Principal parts are brought to one variance first ("whitening"): a few
directions that all tokens of a volume share would otherwise decide every cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.features.device import CPU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.one_object.cells import Cells

# Principal parts that are kept. Average precision of one click on the odd patients with a
# ViT-Tiny: 32 parts .38, 64 parts .44, 128 parts .46 at twice the cost.
PARTS = 64
# Tokens that mean and principal parts are measured on: a hundred for each part.
_SAMPLE = 6_400
# So many times the spread of unrelated looks is as alike as can be told.
_ALIKE = 4.0


@dataclass(frozen=True, eq=False)
class Basis:
    """Principal parts of tokens, brought to one variance.

    Parameters
    ----------
    mean
        Mean token (channels,).
    whiten
        From tokens to parts, (channels, parts).
    """

    mean: torch.Tensor
    whiten: torch.Tensor

    @classmethod
    def of(cls, bank: TokenBank, channels: int) -> Basis:
        """The basis of a bank that is complete, by the first so many channels."""
        sample = bank.in_cells(bank.sample(_SAMPLE, seed=1))[:, :channels]
        spread, directions = torch.linalg.eigh(torch.cov(sample.T, correction=0))
        parts = min(PARTS, channels)
        spread, directions = spread[-parts:], directions[:, -parts:]
        # What never varies must not be blown up: a part counts from a millionth of all.
        scale = (spread.clamp_min(1e-6 * float(spread.sum()) + 1e-12)) ** -0.5
        return cls(sample.mean(0), directions * scale)


class Looks:
    """Whitened tokens of unit length, on the lattice of their bank.

    Parameters
    ----------
    unit
        Looks (slices, rows, columns, parts), half precision, where they are compared.
    volume_shape
        Voxels along (z, y, x).
    axis, step
        Axis that the slices are taken along, and every how many of them.
    origin
        Where the first voxel lies in a larger volume, whose voxels are asked for.
    """

    def __init__(
        self,
        unit: torch.Tensor,
        volume_shape: tuple[int, ...],
        axis: int,
        step: int,
        origin: tuple[int, ...] = (0, 0, 0),
    ) -> None:
        self.unit = unit
        self.parts = unit.shape[-1]
        self.axis = axis
        self.step = step
        self._volume_shape = volume_shape
        self._origin = origin
        self._axes = (axis, *(other for other in range(3) if other != axis))

    @classmethod
    def of(
        cls,
        bank: TokenBank,
        basis: Basis,
        origin: tuple[int, ...] = (0, 0, 0),
        device: torch.device = CPU,
    ) -> Looks:
        """Looks of a bank that is complete, and whose first voxel lies at ``origin``."""
        channels, parts = basis.whiten.shape
        offset = (basis.mean @ basis.whiten).to(device)
        whiten = basis.whiten.to(device)
        shape = (bank.depth, *bank.grid, parts)
        unit = torch.empty(shape, dtype=torch.float16, device=device)
        for index in range(bank.depth):
            look = bank.slice_tokens(index)[:, :channels].to(device) @ whiten - offset
            unit[index] = functional.normalize(look).view(*bank.grid, parts)
        return cls(unit, bank.volume_shape, bank.axis, bank.step, origin)

    def at(self, voxels: NDArray[np.floating | np.integer]) -> torch.Tensor:
        """Looks (n, parts) at voxels (n, 3): linear in between, of unit length."""
        lengths = self.unit.shape[:3]
        places = [
            self._place(axis, voxels[:, axis].astype(np.float64)) for axis in self._axes
        ]
        low = [np.floor(place).astype(np.int64) for place in places]
        device = self.unit.device
        total = torch.zeros((len(voxels), self.parts), device=device)
        for corner in product((0, 1), repeat=3):
            weight = np.ones(len(voxels))
            index = []
            for place, below, side, length in zip(
                places, low, corner, lengths, strict=True
            ):
                weight *= (place - below) if side else 1 - (place - below)
                node = torch.from_numpy(np.clip(below + side, 0, length - 1))
                index.append(node.to(device))
            if weight.any():
                share = torch.from_numpy(weight.astype(np.float32)).to(device)
                total += share[:, None] * self.unit[tuple(index)].float()
        return functional.normalize(total)

    def within(self, cells: Cells) -> PartOfLooks:
        """The looks that a grid of cells needs, no denser than its cells."""
        chosen, weights = [], []
        for axis, length in zip(self._axes, self.unit.shape[:3], strict=True):
            places = self._place(axis, cells.middles(axis))
            index, weight = _nodes(places, length)
            chosen.append(torch.from_numpy(index).to(self.unit.device))
            weights.append(weight.to(self.unit.device))
        slices, rows, columns = chosen
        part = self.unit[slices[:, None, None], rows[:, None], columns]
        return PartOfLooks(part.float(), weights, self.axis)

    def _place(self, axis: int, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where voxels lie on the lattice, along one axis of the volume."""
        voxels = voxels - self._origin[axis]
        if axis == self.axis:
            length, place = self.unit.shape[0], (voxels - self.step // 2) / self.step
        else:
            length = self.unit.shape[self._axes.index(axis)]
            place = (voxels + 0.5) * (length / self._volume_shape[axis]) - 0.5
        return np.asarray(np.clip(place, 0, length - 1))


class PartOfLooks:
    """Looks near a grid of cells, and how they lie over its cells.

    Parameters
    ----------
    looks
        (slices, rows, columns, parts) of a part of the lattice.
    weights
        A matrix (cells, nodes) of linear interpolation along each axis of the lattice.
    axis
        Axis of the volume that the slices are taken along.
    """

    def __init__(self, looks: torch.Tensor, weights: list[torch.Tensor], axis: int) -> None:
        self.looks = looks
        self._weights = weights
        self._axis = axis

    def likeness(self, marks: torch.Tensor) -> torch.Tensor:
        """Likeness (z, y, x) to the most alike of some looks (n, parts), at most 1.

        Cosines of looks that have nothing in common spread by one over the root of the
        number of parts; so they are counted in that, whatever the encoder.
        """
        gain = marks.shape[1] ** 0.5 / _ALIKE
        return self.on_cells((self.looks @ marks.T).amax(-1)).mul(gain).clamp(max=1)

    def projected(self, weights: torch.Tensor) -> torch.Tensor:
        """Projections (z, y, x) on weights (parts,)."""
        return self.on_cells(self.looks @ weights)

    def gathered(self, values: torch.Tensor) -> torch.Tensor:
        """What values (z, y, x) of the cells give to each look: projection turned round."""
        values = values.movedim(self._axis, 0)
        for number, weights in enumerate(self._weights):
            values = torch.tensordot(values, weights, dims=([number], [0]))
            values = values.movedim(-1, number)
        return values

    def on_cells(self, values: torch.Tensor) -> torch.Tensor:
        """Values (slices, rows, columns) of the looks on the cells (z, y, x), linear."""
        for number, weights in enumerate(self._weights):
            values = torch.tensordot(values, weights, dims=([number], [1]))
            values = values.movedim(-1, number)
        return values.movedim(0, self._axis)


def _nodes(
    places: NDArray[np.float64], length: int
) -> tuple[NDArray[np.int64], torch.Tensor]:
    """Nodes of a lattice to read for places on it, and weights (places, nodes).

    Where places are further apart than nodes, the two next to each are read alone.
    """
    low = np.minimum(np.floor(places).astype(np.int64), max(0, length - 2))
    share = (places - low).astype(np.float32)
    nodes = np.unique(np.concatenate([low, np.minimum(low + 1, length - 1)]))
    weights = np.zeros((len(places), len(nodes)), dtype=np.float32)
    rows = np.arange(len(places))
    weights[rows, np.searchsorted(nodes, low)] += 1 - share
    weights[rows, np.searchsorted(nodes, np.minimum(low + 1, length - 1))] += share
    return nodes, torch.from_numpy(weights)

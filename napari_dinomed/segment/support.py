"""How strongly a click speaks for every place in the volume.

Support falls with the difference of tokens, with the difference of grey values, and with
distance; it is 0 at the click and negative elsewhere. It lives on a working grid, coarse
enough that a click is answered at once, and is kept, so that each click is paid for once.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.segment.prompts import Meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.segment.prompts import Mark, Voxel
    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.volume import Volume, Window

    Floats = NDArray[np.float32]
    Cell = tuple[int, int, int]

_MOST_CELLS = {Meaning.OBJECT: 400_000, Meaning.ALL_LIKE_THIS: 1_500_000}
_KEPT_MAPS = 128
_SMOOTHING = 0.8
_GREY_SMOOTHING = 0.7
_TOKEN_SAMPLE = 4000
_TOKEN_WEIGHT = {"cosine": 1.0, "euclidean": 0.3}
_GREY_WEIGHT = 2.0
_DISTANCE_WEIGHT = {Meaning.OBJECT: 0.6, Meaning.ALL_LIKE_THIS: 0.0}


class SupportField:
    """Support maps of clicks in one volume.

    Parameters
    ----------
    volume, window
        Voxels, and how their grey values compare.
    banks
        Tokens of every slice, along one axis or several.
    metric
        How tokens compare: ``"cosine"`` for learnt ones, ``"euclidean"`` (standardised)
        for filter responses.
    meaning
        One object, whose support fades with distance, or all that look alike.
    """

    def __init__(
        self,
        volume: Volume,
        window: Window,
        banks: tuple[TokenBank, ...],
        metric: str,
        meaning: Meaning,
    ) -> None:
        self.meaning = meaning
        self.banks = banks
        self.metric = metric
        spacing = np.array(volume.geometry.spacing)
        self.volume_shape = volume.array.shape
        self.step = _working_step(self.volume_shape, spacing, _MOST_CELLS[meaning])
        self.spacing: NDArray[np.float64] = spacing * self.step
        smoothing = np.maximum(
            _GREY_SMOOTHING * np.minimum(1, spacing[1] / spacing), 0.4 * (self.step - 1)
        )
        self._smooth = ndimage.gaussian_filter(window.apply(volume.array), list(smoothing))
        self.grey: Floats = self._smooth[tuple(slice(None, None, s) for s in self.step)]
        self._extent = float(np.prod(spacing * self.volume_shape) ** (1 / 3))
        self._maps: OrderedDict[Voxel, Floats] = OrderedDict()
        self.levels: dict[tuple[Mark, ...], float] = {}
        self.evidence: OrderedDict[tuple[tuple[Mark, ...], ...], Floats] = OrderedDict()
        self._rulers = [_Ruler(bank, metric) for bank in banks]

    def of(self, voxel: Voxel) -> Floats:
        """Support of a click for every cell of the working grid."""
        if voxel not in self._maps:
            self._maps[voxel] = self._compute(voxel)
            if len(self._maps) > _KEPT_MAPS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(voxel)
        return self._maps[voxel]

    def cell(self, voxel: Voxel) -> Cell:
        """Cell of the working grid that holds a voxel."""
        z, y, x = (int(v // s) for v, s in zip(voxel, self.step, strict=True))
        return (z, y, x)

    def to_voxels(self, values: Floats) -> torch.Tensor:
        """Values of the working grid on the voxels, linear in between."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if (self.step == 1).all():
            return tensor
        return torch.nn.functional.interpolate(
            tensor[None, None], self.volume_shape, mode="trilinear", align_corners=False
        )[0, 0]

    def tokens_at(self, voxels: NDArray[np.int64]) -> torch.Tensor:
        """Tokens (n, channels of all banks) at voxels (n, 3)."""
        return torch.cat([bank.at(voxels) for bank in self.banks], dim=1)

    def linear(self, weights: torch.Tensor, offset: float) -> Floats:
        """A linear readout of the tokens at every cell: scored first, then interpolated."""
        total = torch.full(self.grey.shape, offset)
        parts = torch.split(weights, [bank.channels for bank in self.banks])
        for bank, part in zip(self.banks, parts, strict=True):
            total += bank.on_every(self.step, partial(_project, bank, part))
        return total.numpy()

    def _compute(self, voxel: Voxel) -> Floats:
        support = torch.zeros(self.grey.shape)
        for ruler in self._rulers:
            support += ruler.bank.on_every(self.step, ruler.from_voxel(voxel))
        result = _TOKEN_WEIGHT[self.metric] / len(self.banks) * support.numpy()
        result += _GREY_WEIGHT * np.abs(self.grey - self._smooth[voxel])
        result += _DISTANCE_WEIGHT[self.meaning] / self._extent * self.distance(voxel)
        return -np.asarray(ndimage.gaussian_filter(result, _SMOOTHING), dtype=np.float32)

    def distance(self, voxel: Voxel) -> Floats:
        """How far every cell is from a voxel, in the unit of the spacing."""
        squares = [
            ((np.arange(n) * length - v * length / s) ** 2).astype(np.float32)
            for n, length, v, s in zip(
                self.grey.shape, self.spacing, voxel, self.step, strict=True
            )
        ]
        z, y, x = np.ix_(*squares)
        return np.asarray(np.sqrt(z + y + x))


class _Ruler:
    """Differences of the tokens of a bank: mean, spread and lengths are measured once."""

    def __init__(self, bank: TokenBank, metric: str) -> None:
        self.bank = bank
        self._metric = metric
        sample = bank.in_cells(bank.sample(_TOKEN_SAMPLE, seed=1))
        self._mean = sample.mean(0)
        self._scale = torch.ones_like(self._mean)
        if metric == "euclidean":
            self._scale = 1 / (sample.std(0) + 1e-6) / sample.shape[1] ** 0.5
        self._lengths = [
            ((bank.slice_tokens(index) - self._mean) * self._scale).norm(dim=1)
            for index in range(bank.depth)
        ]

    def from_voxel(self, voxel: Voxel) -> Callable[[int], torch.Tensor]:
        """From a slice to the difference of its tokens from the one at a voxel."""
        clicked = (self.bank.at(np.array([voxel]))[0] - self._mean) * self._scale
        towards = clicked * self._scale
        offset = self._mean @ towards
        length = clicked.norm()

        def read(index: int) -> torch.Tensor:
            products = _project(self.bank, towards, index) - offset
            lengths = self._lengths[index]
            if self._metric == "cosine":
                cosine = products / (lengths * length).clamp_min(1e-6)
                return torch.sub(1, cosine)
            squared = lengths**2 - 2 * products + length**2
            return torch.sqrt(squared.clamp_min(0))

        return read


def _project(bank: TokenBank, weights: torch.Tensor, index: int) -> torch.Tensor:
    return bank.slice_tokens(index) @ weights


def _working_step(
    shape: tuple[int, ...], spacing: NDArray[np.float64], most: int
) -> NDArray[np.int64]:
    """Every how many voxels the working grid has a cell; the finest axes thin out first."""
    step = np.ones(3, dtype=np.int64)
    while np.prod(np.ceil(np.array(shape) / step)) > most:
        length = spacing * step
        finest = np.where(length <= length.min() * 1.01, length, np.inf)
        step[np.argmin(finest)] *= 2
    return step

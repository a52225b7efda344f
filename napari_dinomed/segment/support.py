"""How strongly a click speaks for every place in the volume.

Support falls with the difference of tokens, with the difference of grey values, and with
distance; it is 0 at the click and negative elsewhere. It lives on a working grid, coarse
enough that a click is answered at once, and is kept, so that each click is paid for once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.segment.grid import WorkingGrid
from napari_dinomed.segment.kept import Kept
from napari_dinomed.segment.tokens import linear_readout, project
from napari_dinomed.segment.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.segment.level import Level
    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.volume import Volume, Window

    Floats = NDArray[np.float32]

_MOST_CELLS = 2_200_000
_KEPT_MAPS = 128
_KEPT_LEVELS = 256
_KEPT_ANSWERS = 32
_EMPTY = 0.1
_SMOOTHING = 0.8
_GREY_SMOOTHING = 0.7
_TOKEN_SAMPLE = 4000
_TOKEN_WEIGHT = {"cosine": 1.0, "euclidean": 0.3}
_GREY_WEIGHT = 2.0
_BALL = 1.2
_BALL_REACH = 3
_DISTANCE_WEIGHT = 0.6


class SupportField(WorkingGrid):
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
    """

    def __init__(
        self,
        volume: Volume,
        window: Window,
        banks: tuple[TokenBank, ...],
        metric: str,
    ) -> None:
        super().__init__(volume, _MOST_CELLS)
        self.banks = banks
        self.metric = metric
        spacing = np.array(volume.geometry.spacing)
        smoothing = _GREY_SMOOTHING * np.minimum(1, spacing[1] / spacing)
        self._smooth = ndimage.gaussian_filter(window.apply(volume.array), list(smoothing))
        self.grey = self.mean_of(self._smooth)
        shown = self.grey > _EMPTY
        self._shown = shown if shown.any() else np.ones_like(shown)
        self._extent = float(np.prod(spacing * self.volume_shape) ** (1 / 3))
        self._maps: Kept[Floats] = Kept(_KEPT_MAPS)
        self.levels: Kept[Level] = Kept(_KEPT_LEVELS)
        self.turns: Turns[Floats] = Turns(_KEPT_ANSWERS)
        self._rulers = [_Ruler(bank, metric) for bank in banks]

    def of(self, voxel: Voxel) -> Floats:
        """Support of a click for every cell of the working grid."""
        known = self._maps.get(voxel)
        return self._maps.keep(voxel, self._compute(voxel)) if known is None else known

    def depth_unit(self, support: Floats) -> float:
        """How far support usually falls: the unit of a level's depth.

        Halfway, in the logarithm, between the medians over all cells and over those that
        are not empty: air around the patient sets a click apart from most of the volume,
        but not from what lies around its object.
        """
        everywhere, shown = np.median(support), np.median(support[self._shown])
        return float(np.sqrt(everywhere * shown))

    def linear(self, weights: torch.Tensor, offset: float) -> Floats:
        """A linear readout of the tokens at every cell: scored first, then interpolated."""
        return linear_readout(self.banks, self.step, weights, offset).numpy()

    def _compute(self, voxel: Voxel) -> Floats:
        support = torch.zeros(self.grey.shape)
        for ruler in self._rulers:
            support += ruler.bank.on_every(self.step, ruler.from_voxel(voxel))
        result = _TOKEN_WEIGHT[self.metric] / len(self.banks) * support.numpy()
        result += _GREY_WEIGHT * np.abs(self.grey - self._grey_around(voxel))
        result += _DISTANCE_WEIGHT / self._extent * self.distance(voxel)
        return -np.asarray(ndimage.gaussian_filter(result, _SMOOTHING), dtype=np.float32)

    def _grey_around(self, voxel: Voxel) -> float:
        """Grey value at a click: the mean over a small ball, since one voxel is noise."""
        box = tuple(
            slice(max(0, place - _BALL_REACH), place + _BALL_REACH + 1) for place in voxel
        )
        near = self._smooth[box]
        fineness = self.spacing / self.step / (self.spacing / self.step).min()
        squares = [
            (np.arange(part.start, part.start + length) - place) * fine
            for part, length, place, fine in zip(
                box, near.shape, voxel, fineness, strict=True
            )
        ]
        z, y, x = np.ix_(*squares)
        weights = np.exp(-(z**2 + y**2 + x**2) / (2 * _BALL**2))
        return float((weights * near).sum() / weights.sum())


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
            products = project(self.bank, towards, index) - offset
            lengths = self._lengths[index]
            if self._metric == "cosine":
                cosine = products / (lengths * length).clamp_min(1e-6)
                return torch.sub(1, cosine)
            squared = lengths**2 - 2 * products + length**2
            return torch.sqrt(squared.clamp_min(0))

        return read

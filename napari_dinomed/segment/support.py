"""How strongly a click speaks for every place in the volume.

Support falls with the difference of tokens, with the difference of grey values, and with
distance; it is 0 at the click and negative elsewhere. It lives on a working grid, coarse
enough that a click is answered at once, and is kept, so that each click is paid for once.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.segment.prompts import Meaning
from napari_dinomed.segment.tokens import to_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.segment.prompts import Voxel
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
    bank
        Tokens of every slice.
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
        bank: TokenBank,
        metric: str,
        meaning: Meaning,
    ) -> None:
        self.meaning = meaning
        self._bank = bank
        self.metric = metric
        spacing = np.array(volume.geometry.spacing)
        self.volume_shape = volume.array.shape
        self.step = _working_step(self.volume_shape, spacing, _MOST_CELLS[meaning])
        self.spacing = spacing * self.step
        smoothing = np.maximum(
            _GREY_SMOOTHING * np.minimum(1, spacing[1] / spacing), 0.4 * (self.step - 1)
        )
        self._smooth = ndimage.gaussian_filter(window.apply(volume.array), list(smoothing))
        self.grey: Floats = self._smooth[tuple(slice(None, None, s) for s in self.step)]
        self._extent = float(np.prod(spacing * self.volume_shape) ** (1 / 3))
        self._maps: OrderedDict[Voxel, Floats] = OrderedDict()
        self.levels: dict[tuple[tuple[Voxel, bool], ...], float] = {}
        self._measure_tokens()

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

    def _measure_tokens(self) -> None:
        """Mean, spread and length of the tokens, by which differences are measured."""
        sample = self._bank.in_cells(self._bank.sample(_TOKEN_SAMPLE, seed=1))
        self._mean = sample.mean(0)
        if self.metric == "cosine":
            self._scale = torch.ones_like(self._mean)
        else:
            self._scale = 1 / (sample.std(0) + 1e-6) / sample.shape[1] ** 0.5
        tokens = self._bank.tokens[:: int(self.step[0])]
        self._lengths = torch.stack(
            [((part.float() - self._mean) * self._scale).norm(dim=1) for part in tokens]
        )

    def _compute(self, voxel: Voxel) -> Floats:
        difference = self._token_difference(voxel)
        planes = to_voxels(difference, self._bank.slice_shape)
        support = planes[:, :: int(self.step[1]), :: int(self.step[2])].numpy().copy()
        support += _GREY_WEIGHT * np.abs(self.grey - self._smooth[voxel])
        support += _DISTANCE_WEIGHT[self.meaning] / self._extent * self._distance(voxel)
        return -np.asarray(ndimage.gaussian_filter(support, _SMOOTHING), dtype=np.float32)

    def _token_difference(self, voxel: Voxel) -> torch.Tensor:
        """Difference (slices, rows, columns) of all tokens from the one at a voxel."""
        clicked = (self._bank.at(np.array([voxel]))[0] - self._mean) * self._scale
        towards = clicked * self._scale
        products = (
            torch.stack(
                [part.float() @ towards for part in self._bank.tokens[:: int(self.step[0])]]
            )
            - self._mean @ towards
        )
        length = clicked.norm()
        if self.metric == "cosine":
            difference = 1 - products / (self._lengths * length).clamp_min(1e-6)
        else:
            squared = self._lengths**2 - 2 * products + length**2
            difference = squared.clamp_min(0).sqrt()
        weighted = _TOKEN_WEIGHT[self.metric] * difference
        return torch.unflatten(weighted, 1, self._bank.grid)

    def _distance(self, voxel: Voxel) -> Floats:
        squares = [
            ((np.arange(n) * length - v * length / s) ** 2).astype(np.float32)
            for n, length, v, s in zip(
                self.grey.shape, self.spacing, voxel, self.step, strict=True
            )
        ]
        z, y, x = np.ix_(*squares)
        return np.asarray(np.sqrt(z + y + x))


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

"""What every cell of a volume looks like, and reading it.

In: filter responses and, from a learnt encoder, tokens. Out: looks of every cell, and what
a discriminant or a perceptron says of them. On serial sections, whose stain and thickness
vary, every cell is seen together with those above and below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.segment.all_alike.lines import lines_of
from napari_dinomed.segment.all_alike.options import FOCI, Options
from napari_dinomed.segment.all_alike.perceptron import teach
from napari_dinomed.segment.all_alike.share import usual_share
from napari_dinomed.segment.all_alike.sheets import sheets_of
from napari_dinomed.segment.all_alike.thin import width_of_cell
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.segment.grid import WorkingGrid
from napari_dinomed.segment.marks import typical
from napari_dinomed.segment.threads import read_in_parts
from napari_dinomed.segment.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.all_alike.answer import Answer
    from napari_dinomed.segment.all_alike.options import Trust
    from napari_dinomed.segment.all_alike.perceptron import Reading
    from napari_dinomed.segment.all_alike.thin import Thin
    from napari_dinomed.volume import Volume

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]
    Looks = NDArray[np.float64]

# Cells of the grid at most: looks take a hundred bytes each.
_MOST_CELLS = 3_000_000
# Cells that means, covariances and cuts are measured on: to half a percent.
_SAMPLE = 40_000
# Tokens that principal components are measured on: a hundred and more for each.
_TOKEN_SAMPLE = 5_000
# Half the side in cells of the square that a mark is seen by.
_BALL = 2
# Answers kept: the clicks that a user takes back.
_KEPT = 16
# Responses that spread less do not vary, and say nothing; what is divided by is no less.
_LEAST_RESPONSE, _LEAST_SPREAD = 1e-4, 1e-6


@dataclass(frozen=True, eq=False)
class Responses:
    """Filter responses to a volume.

    Parameters
    ----------
    bank
        The responses.
    channels
        How many of them, from the first, say nothing of the place.
    grey
        Which is the smoothed grey value.
    """

    bank: TokenBank
    channels: int
    grey: int


class AlikeField(WorkingGrid):
    """What every cell of the working grid looks like, and answers so far.

    Parameters
    ----------
    volume
        The voxels.
    filters
        Filter responses.
    banks
        Tokens of a learnt encoder, or none.

    Attributes
    ----------
    options
        The numbers that answers go by.
    has_membranes, has_sections
        Whether there are membranes everywhere, and whether slices are serial sections.
    sample
        Looks (n, parts) of cells drawn at random, less their mean.
    covariance
        Of the sample, shrunk.
    turns
        Answers so far.
    """

    options = Options()

    def __init__(
        self, volume: Volume, filters: Responses, banks: tuple[TokenBank, ...]
    ) -> None:
        super().__init__(volume, _MOST_CELLS)
        parts = [self._standardised(filters), *map(self._principal, banks)]
        shares = [1.0] + [1 / len(banks) ** 0.5 for _ in banks]
        self._looks = torch.cat(
            [part * share for part, share in zip(parts, shares, strict=True)], dim=-1
        )
        self._volume = volume
        if volume.modality == "PET":
            self.options = FOCI
        self.has_membranes = defaults_for(volume.modality).has_membranes
        self.has_sections = self.has_membranes and not volume.geometry.is_nearly_cubic
        self._responses = self._looks[..., : filters.channels]
        if self.has_sections:
            self._responses = self._responses.clone()
            _see_with_neighbours(self._looks)
        flat = self._looks.view(-1, self._looks.shape[-1])
        random = np.random.default_rng(0)
        self._drawn = random.choice(len(flat), min(_SAMPLE, len(flat)), replace=False)
        sample = flat[torch.from_numpy(self._drawn)].double().numpy()
        self._mean: Looks = sample.mean(0)
        self.sample: Looks = sample - self._mean
        self.covariance = self._shrunk(np.cov(self.sample.T))
        self.turns: Turns[Answer] = Turns(_KEPT)
        self._grey = filters.grey

    @cached_property
    def grey(self) -> Floats:
        """Smoothed grey values (z, y, x), on a scale of their own."""
        return np.ascontiguousarray(self._responses[..., self._grey].float().numpy())

    @cached_property
    def seen_grey(self) -> Floats:
        """The same; on serial sections, together with those above and below."""
        return np.ascontiguousarray(self._looks[..., self._grey].float().numpy())

    @cached_property
    def thin(self) -> Thin:
        """Where thin things are: lines in sections, sheets in blocks."""
        geometry = self._volume.geometry
        if self.has_sections:
            cell = width_of_cell(geometry, int(self.step[1:].max()))
            return lines_of(self.grey, cell)
        lengths = np.array(geometry.spacing)
        spacing = lengths / lengths[1:].max() * width_of_cell(geometry, 1)
        return sheets_of(self._volume.array, self.grey, spacing, self.mean_of)

    def make_ready(self) -> Iterator[None]:
        """Make what the first click needs: grey values and, if there are any, membranes."""
        _ = self.grey, self.seen_grey
        if self.has_membranes:
            yield None
            _ = self.thin

    def direction(self, looks: Looks, belongs: Bools, trust: Trust) -> Looks:
        """Direction (parts,) in which marks (n, parts) that belong differ from the rest.

        A linear discriminant (Fisher 1936), with the covariance of the whole volume, which
        is known well before any click. What it finds, about the usual share of the volume,
        teaches it in turn, less and less as marks come in.
        """
        options = self.options
        marked = typical(looks[belongs]) - rest(looks[~belongs], options)
        direction = np.linalg.solve(self.covariance, marked)
        own = len(looks) / (len(looks) + options.lesson_counts)
        for _ in range(options.lessons):
            scores = self.sample @ direction
            cut = np.quantile(scores, 1 - usual_share(scores, trust))
            found = self.sample[scores > cut]
            if not len(found):
                break
            mixed = own * marked + (1 - own) * found.mean(0)
            direction = np.linalg.solve(self.covariance, mixed)
        return np.asarray(direction)

    def projected(self, direction: Looks, slices: slice) -> Floats:
        """How far cells (z, y, x) of some slices lie in a direction (parts,)."""
        towards = torch.from_numpy(direction).float()
        offset = float(self._mean @ direction)
        return self._read(lambda looks: looks @ towards - offset, slices)

    def taught(self, belongs: Bools) -> Floats:
        """What a perceptron says of every cell (z, y, x), taught by those in the sample."""
        read = teach(torch.from_numpy(self.sample).float(), torch.from_numpy(belongs))
        mean = torch.from_numpy(self._mean).float()
        return self._read(lambda looks: read(looks - mean), slice(None))

    def around(self, voxel: Voxel) -> Looks:
        """Mean look of a small ball within the slice of a voxel."""
        near = self._looks[self._ball(voxel)].double().flatten(0, 1)
        return np.asarray(near.mean(0).numpy() - self._mean)

    def mean_around(self, scores: Floats, voxel: Voxel) -> float:
        """Mean of scores (z, y, x) over the same ball."""
        return float(scores[self._ball(voxel)].mean())

    def drawn(self, scores: NDArray[np.generic]) -> NDArray[np.float64]:
        """Scores (z, y, x) of the cells in the sample."""
        return scores.reshape(-1)[self._drawn].astype(np.float64)

    @cached_property
    def drawn_voxels(self) -> NDArray[np.int64]:
        """Voxels (n, 3) in the middle of the cells in the sample."""
        cells = np.column_stack(np.unravel_index(self._drawn, self.shape))
        return self.centres(cells)

    def part_of_slice(self, index: int, part: tuple[slice, slice]) -> torch.Tensor:
        """What a part of a slice looks like to a network, (parts, rows, columns).

        Of serial sections it is the filter responses alone, with the same mean and spread
        in every slice: the contrast of sections varies with their thickness and stain.
        """
        if self.has_sections:
            offsets, gains = self._unevenness
            looks = (self._responses[index][part].float() - offsets[index]) * gains[index]
        else:
            looks = self._looks[index][part].float() - torch.from_numpy(self._mean).float()
        return looks.movedim(-1, 0)

    @cached_property
    def _unevenness(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of every slice and filter, the mean, and the usual spread by the slice's own."""
        planes = [plane.float() for plane in self._responses]
        offsets = torch.stack([plane.mean((0, 1)) for plane in planes])
        spreads = torch.stack([plane.std((0, 1)) for plane in planes])
        return offsets, spreads.mean(0) / spreads.clamp_min(_LEAST_SPREAD)

    def _shrunk(self, covariance: Looks) -> Looks:
        options = self.options
        share = options.sections_shrinkage if self.has_sections else options.shrinkage
        # Where all is as bright as can be shown, nothing varies.
        ridge = max(share * np.trace(covariance) / len(covariance), _LEAST_SPREAD**2)
        return np.asarray(covariance + ridge * np.eye(len(covariance)))

    def _read(self, read: Reading, slices: slice) -> Floats:
        """What is read in the looks (n, parts) of every cell of some slices, (z, y, x)."""
        looks = self._looks[slices]
        answers = read_in_parts(read, looks.reshape(-1, looks.shape[-1]))
        return np.asarray(answers.view(looks.shape[:3]).numpy())

    def _ball(self, voxel: Voxel) -> tuple[int, slice, slice]:
        z, *within = self.cell(voxel)
        rows, columns = (
            slice(max(0, place - _BALL), place + _BALL + 1) for place in within
        )
        return z, rows, columns

    def _standardised(self, filters: Responses) -> torch.Tensor:
        bank, channels = filters.bank, filters.channels
        sample = bank.in_cells(bank.sample(_SAMPLE, seed=0))[:, :channels]
        spread = sample.std(0)
        # What does not vary, as where the window shows all as white, says nothing.
        axes = torch.eye(bank.channels)[:, :channels] * (spread > _LEAST_RESPONSE)
        return bank.projected_on(self.step, axes / (spread + _LEAST_SPREAD) / channels**0.5)

    def _principal(self, bank: TokenBank) -> torch.Tensor:
        """The principal components of the tokens, with a mean square length of one."""
        sample = bank.in_cells(bank.sample(_TOKEN_SAMPLE, seed=0))
        centred = sample - sample.mean(0)
        count = min(self.options.token_parts, *centred.shape)
        axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -count:]
        length = ((centred @ axes) ** 2).sum(1).mean().sqrt()
        return bank.projected_on(self.step, axes / length)


def _see_with_neighbours(looks: torch.Tensor) -> None:
    """Mix every slice (z, y, x, parts) in place with those beside it, half as much."""
    before = looks[0].float()
    for index, plane in enumerate(looks):
        here, after = plane.float(), looks[min(index + 1, len(looks) - 1)].float()
        plane[:] = here / 2 + (before + after) / 4
        before = here


def rest(excluded: Looks, options: Options) -> Looks:
    """What the rest of the volume looks like: its mean, which is 0, and excluded marks."""
    count = len(excluded)
    weight = max(count + options.rest_counts, count / options.most_excluded)
    return np.asarray(excluded.sum(0) / weight)

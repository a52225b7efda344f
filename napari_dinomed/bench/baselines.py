"""What others do with the same clicks, in a few honest lines each.

For one object all keep only what is connected to an included click, as the product does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.forest import ForestHead
from napari_dinomed.bench.random_walker import WalkerOptions, random_walker
from napari_dinomed.segment.examples import gather_examples
from napari_dinomed.segment.heads import KnnHead
from napari_dinomed.segment.regions import connected

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Prompts
    from napari_dinomed.bench.interactive import Method
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.heads import Head
    from napari_dinomed.volume import Volume, Window

    Bools = NDArray[np.bool_]

_SIMILAR = 0.5
_NO_PRIOR = WalkerOptions(contrast=1.0, prior=1e-6, iterations=100)
_VOXELS = np.ones(3, dtype=np.int64)


def similarity(bank: TokenBank, meaning: Meaning) -> Method:
    """Cosine similarity of centred tokens to the mean prompt, over a fixed threshold."""
    centre = bank.in_cells(bank.sample(4000, seed=0)).mean(0)

    def segment(prompts: Prompts) -> Bools:
        voxels, classes = prompts.marks()
        marked = bank.at(voxels) - centre
        signs = torch.from_numpy(np.where(classes > 0, 1.0, -1.0)).float()
        mean = functional.normalize(
            (functional.normalize(marked) * signs[:, None]).sum(0), dim=0
        )

        def read(index: int) -> torch.Tensor:
            return functional.normalize(bank.slice_tokens(index) - centre) @ mean

        mask = bank.on_every(_VOXELS, read).numpy() > _SIMILAR
        return _kept(mask, prompts, meaning)

    return segment


def nearest_neighbours(bank: TokenBank, meaning: Meaning) -> Method:
    """k-NN on the tokens alone, with presumed background."""
    return _readout(bank, meaning, KnnHead)


def forest(filters: TokenBank, meaning: Meaning) -> Method:
    """Random trees on filter responses, the recipe of pixel classification."""
    return _readout(filters, meaning, ForestHead)


def grey_walker(volume: Volume, window: Window) -> Method:
    """The random walker on grey values alone.

    The rim of the volume is background as long as nothing is excluded: with seeds of one
    kind only, the walker would label everything.
    """
    grey = torch.from_numpy(window.apply(volume.array))

    def segment(prompts: Prompts) -> Bools:
        voxels, classes = prompts.marks()
        seeds = torch.full(grey.shape, -1.0)
        if (classes > 0).all():
            inner = (slice(None), slice(1, -1), slice(1, -1))
            rim = torch.ones(grey.shape, dtype=torch.bool)
            rim[inner] = False
            seeds[rim] = 0.0
        seeds[tuple(voxels.T)] = torch.from_numpy((classes > 0).astype(np.float32))
        prior = torch.zeros_like(grey)
        walked = random_walker(prior, grey, seeds, volume.geometry.spacing, _NO_PRIOR)
        return _kept(walked.numpy() > 0.5, prompts, Meaning.OBJECT)

    return segment


def _readout(bank: TokenBank, meaning: Meaning, kind: type[Head]) -> Method:
    def segment(prompts: Prompts) -> Bools:
        head = kind().fit(gather_examples(bank, *prompts.marks()))
        column = int(torch.searchsorted(head.classes_, 1))

        def read(index: int) -> torch.Tensor:
            return head.predict_proba(bank.slice_tokens(index))[:, column]

        mask = bank.on_every(_VOXELS, read).numpy() > 0.5
        return _kept(mask, prompts, meaning)

    return segment


def _kept(mask: Bools, prompts: Prompts, meaning: Meaning) -> Bools:
    """What the user marked, and for one object only what is connected to it."""
    voxels, classes = prompts.marks()
    included = voxels[classes > 0]
    if meaning is Meaning.OBJECT:
        mask = connected(mask, included)
    mask[tuple(voxels.T)] = classes > 0
    return mask

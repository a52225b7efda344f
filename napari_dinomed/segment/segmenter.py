"""From prompts to labels: readout, refinement, and what a click means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.errors import PromptError
from napari_dinomed.segment.examples import gather_examples
from napari_dinomed.segment.heads import Blend, ForestHead, Head, KnnHead, LinearProbe
from napari_dinomed.segment.prompts import Label, Meaning, Prompts
from napari_dinomed.segment.refine import random_walker
from napari_dinomed.segment.tokens import to_voxels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.volume import Volume, Window

    LabelArray = NDArray[np.uint8] | NDArray[np.uint16]

_TOUCHING = np.ones((3, 3, 3), dtype=bool)
_DOUBT = 0.25
_MARGIN = np.array([2, 1, 1])
_MOST_VOXELS = 1_500_000
_HEADS: dict[str, type[Head]] = {
    "knn": KnnHead,
    "probe": LinearProbe,
    "blend": Blend,
    "forest": ForestHead,
}


@dataclass(frozen=True, eq=False)
class Scene:
    """What prompts are read against.

    Parameters
    ----------
    volume, window
        The voxels, and how their grey values compare.
    bank
        Tokens of the volume.
    default_head
        Readout that suits the encoder.
    """

    volume: Volume
    window: Window
    bank: TokenBank
    default_head: str


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A readout fitted to prompts, ready to label slices or the volume.

    Use `fit_segmenter` to make one.
    """

    scene: Scene
    head: Head
    labels: tuple[Label, ...]
    voxels: NDArray[np.int64]
    classes: NDArray[np.int64]
    threshold: float

    def label_slice(self, index: int) -> LabelArray:
        """Labels (rows, columns) of a slice by the readout alone: quick, not refined."""
        scores = self._score(index)[:, None]
        planes = [to_voxels(score, self.scene.bank.slice_shape) for score in scores]
        return self._decide(torch.stack(planes))[0]

    def label_volume(self) -> Iterator[LabelArray | None]:
        """Labels (z, y, x) as the last value; None between steps, to be interruptible."""
        shape = self.scene.volume.array.shape
        scores = []
        for index in range(shape[0]):
            scores.append(self._score(index))
            yield None
        by_label = torch.stack(scores, dim=1)
        result = np.zeros(shape, dtype=self._dtype)
        best = np.full(shape, self.threshold, dtype=np.float32)
        for label, score in zip(self.labels, by_label, strict=True):
            box, probability = self._place(label, score)
            yield None
            wins = probability > best[box]
            if label.meaning is Meaning.OBJECT:
                wins = self._connected(wins, label, box)
            result[box][wins] = label.id
            best[box][wins] = probability[wins]
            yield None
        yield self._keep_marks(result)

    @property
    def _dtype(self) -> type[np.uint8 | np.uint16]:
        return np.uint8 if max(label.id for label in self.labels) < 256 else np.uint16

    def _score(self, index: int) -> torch.Tensor:
        """Probabilities (labels, rows, columns) of a slice's tokens."""
        rows, columns = self.scene.bank.grid
        proba = self.head.predict_proba(self.scene.bank.slice_tokens(index))
        ids = torch.tensor([label.id for label in self.labels])
        wanted = torch.searchsorted(self.head.classes_, ids)
        return proba[:, wanted].T.reshape(len(self.labels), rows, columns)

    def _decide(self, probabilities: torch.Tensor) -> LabelArray:
        """The most probable label (of axis 0) where it passes the threshold, else 0."""
        highest, which = probabilities.max(0)
        ids = torch.tensor([label.id for label in self.labels])
        decided = torch.where(highest > self.threshold, ids[which], 0)
        return decided.numpy().astype(self._dtype)

    def _place(
        self, label: Label, score: torch.Tensor
    ) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
        """Where a label may lie, and its probability there on the voxels."""
        if label.meaning is Meaning.ALL_LIKE_THIS:
            everywhere = tuple(slice(0, n) for n in self.scene.volume.array.shape)
            return everywhere, to_voxels(score, self.scene.bank.slice_shape).numpy()
        box = self._box_in_doubt(label, score)
        prior = to_voxels(score[box[0]], self.scene.bank.slice_shape)
        return box, self._walk(label, prior[:, box[1], box[2]], box).numpy()

    def _box_in_doubt(self, label: Label, score: torch.Tensor) -> tuple[slice, ...]:
        """Voxels around the tokens that may belong to the clicked object."""
        bank = self.scene.bank
        cells = bank.cells(self.voxels[self.classes == label.id])
        possible = (score > _DOUBT).numpy()
        possible[tuple(cells.T)] = True
        components, _ = ndimage.label(possible, _TOUCHING)
        object_ = np.isin(components, np.unique(components[tuple(cells.T)]))
        found = np.argwhere(object_)
        low = np.maximum(found.min(0) - _MARGIN, 0)
        high = np.minimum(found.max(0) + 1 + _MARGIN, object_.shape)
        scale = np.array([1.0, *np.divide(bank.slice_shape, bank.grid)])
        return tuple(
            slice(int(np.floor(a)), int(np.ceil(b)))
            for a, b in zip(low * scale, high * scale, strict=True)
        )

    def _walk(
        self, label: Label, prior: torch.Tensor, box: tuple[slice, ...]
    ) -> torch.Tensor:
        """The random walker's probability in a box, on a coarser grid where it is large."""
        grey = torch.from_numpy(self.scene.window.apply(self.scene.volume.array[box]))
        step = 1 if grey.numel() <= _MOST_VOXELS else 2
        seeds = self._seeds(label, box, step, tuple(grey[:, ::step, ::step].shape))
        spacing = self.scene.volume.geometry.spacing
        walked = random_walker(
            prior[:, ::step, ::step].contiguous(),
            grey[:, ::step, ::step].contiguous(),
            seeds,
            (spacing[0], spacing[1] * step, spacing[2] * step),
        )
        return walked if step == 1 else to_voxels(walked, (grey.shape[1], grey.shape[2]))

    def _seeds(
        self,
        label: Label,
        box: tuple[slice, ...],
        step: int,
        shape: tuple[int, ...],
    ) -> torch.Tensor:
        start = np.array([part.start for part in box])
        inside = (self.voxels - start) // (1, step, step)
        seeds = torch.full(shape, -1.0)
        within = ((inside >= 0) & (inside < shape)).all(1)
        values = torch.from_numpy((self.classes == label.id).astype(np.float32))
        seeds[tuple(torch.from_numpy(inside[within].T))] = values[within]
        return seeds

    def _connected(
        self, mask: NDArray[np.bool_], label: Label, box: tuple[slice, ...]
    ) -> NDArray[np.bool_]:
        """The parts of a mask that hold an included mark."""
        start = np.array([part.start for part in box])
        marks = tuple((self.voxels[self.classes == label.id] - start).T)
        mask[marks] = True
        components, _ = ndimage.label(mask)
        return np.isin(components, np.unique(components[marks]))

    def _keep_marks(self, result: LabelArray) -> LabelArray:
        """What the user marked is what the user gets."""
        result[tuple(self.voxels.T)] = self.classes
        return result


def fit_segmenter(
    scene: Scene,
    prompts: Prompts,
    labels: tuple[Label, ...],
    head: str,
    threshold: float,
) -> Segmenter:
    """Fit a readout to prompts.

    Parameters
    ----------
    scene
        Volume and tokens.
    prompts, labels
        What the user said; labels without an included prompt are left out.
    head
        ``auto``, ``knn``, ``probe``, ``blend`` or ``forest``.
    threshold
        Probability from which a voxel belongs to a label.

    Raises
    ------
    PromptError
        Where a prompt lies outside the volume, names an unknown label, or none includes
        anything.
    """
    prompts.require_inside(scene.volume.array.shape)
    prompts.require_labels(label.id for label in labels)
    included = set(prompts.included_labels())
    if not included:
        raise PromptError(
            "Expected at least one prompt that includes something; got only exclusions."
        )
    voxels, classes = prompts.marks()
    examples = gather_examples(scene.bank, voxels, classes)
    name = scene.default_head if head == "auto" else head
    return Segmenter(
        scene,
        _HEADS[name]().fit(examples),
        tuple(sorted((l for l in labels if l.id in included), key=_by_id)),
        voxels,
        classes,
        threshold,
    )


def _by_id(label: Label) -> Any:
    return label.id

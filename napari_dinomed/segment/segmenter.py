"""From prompts to labels: what a click means decides how they are found.

Unless the user picked a readout, one connected object is grown from its clicks (`grow`),
and all that looks alike is found throughout the volume (`alike`). A picked readout is
read off every token instead; for an object it is then refined by the random walker and
kept where it touches a click.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.errors import PromptError
from napari_dinomed.segment.alike import AlikeFinder
from napari_dinomed.segment.examples import gather_examples
from napari_dinomed.segment.grow import Grower
from napari_dinomed.segment.heads import Blend, ForestHead, Head, KnnHead, LinearProbe
from napari_dinomed.segment.prompts import Label, Meaning, Prompts
from napari_dinomed.segment.tokens import to_voxels

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from numpy.typing import NDArray

    from napari_dinomed.segment.alike import AlikeField
    from napari_dinomed.segment.support import SupportField
    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.segment.turns import Lessons
    from napari_dinomed.volume import Volume, Window

    LabelArray = NDArray[np.unsignedinteger[Any]]
    Floats = NDArray[np.float32]
    Finder = Grower | AlikeFinder
    Placed = tuple[tuple[slice, ...], Floats]

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
    banks
        Tokens of the volume, of some slices of the first at least; the others see it
        along other axes.
    default_head
        Readout that suits the encoder.
    """

    volume: Volume
    window: Window
    banks: tuple[TokenBank, ...]
    default_head: str


@dataclass(frozen=True, eq=False)
class Fields:
    """Gives what answers are computed on; it is made when first asked for, and kept.

    Parameters
    ----------
    support
        Support of clicks, for single objects and for readouts.
    alike
        What every place looks like, for all that looks alike.
    """

    support: Callable[[], SupportField]
    alike: Callable[[], AlikeField]


@dataclass(frozen=True, eq=False)
class Segmenter:
    """Labels of one set of prompts.

    Parameters
    ----------
    scene
        Volume and tokens.
    prompts
        What the user marked.
    labels
        Labels that something is included in, by ascending id.
    head
        Name of the readout; ``"auto"`` grows objects.
    threshold
        Probability from which a voxel belongs to a label.
    """

    scene: Scene
    prompts: Prompts
    labels: tuple[Label, ...]
    head: str
    threshold: float

    def label_slice(self, index: int) -> LabelArray:
        """Labels (rows, columns) of a slice by a readout, before all tokens are there."""
        bank = self.scene.banks[0]
        proba = self._read(self._fit(bank), bank.slice_tokens(index))
        scores = torch.unflatten(proba.T, 1, bank.grid)
        return self._decide(to_voxels(scores, bank.slice_shape))

    def label_volume(
        self, fields: Fields, view: tuple[int, int] | None
    ) -> Iterator[LabelArray | tuple[int, int, LabelArray] | Lessons | None]:
        """Label the whole volume, the plane in view first.

        Parameters
        ----------
        fields
            What answers are computed on.
        view
            Axis and index of the plane in view, or None.

        Yields
        ------
        array, tuple, Lessons or None
            How far learning has come; axis, index and labels of the plane in view as soon
            as they are known; None where this may be interrupted; the labels (z, y, x)
            last.
        """
        readings: list[torch.Tensor] = []
        if self.head != "auto":
            readings = yield from self._read_volume()
        evidence: dict[int, Floats] = {}
        for label in self.labels:
            if readings:
                score = self._score(readings, label, fields.support().step)
                evidence[label.id] = torch.logit(score, eps=1e-3).numpy()
            else:
                finder = self._finder(label, fields)
                evidence[label.id] = yield from finder.evidence()
            yield None
        if view is not None:
            yield (*view, self._preview(fields, evidence, view))
        canvas = _Canvas(self.scene.volume.array.shape, self._dtype, self.threshold)
        for label in self.labels:
            if readings and label.meaning is Meaning.ALL_LIKE_THIS:
                placed = self._everywhere(readings, label)
            else:
                placed = self._finder(label, fields).refined(evidence[label.id])
            yield None
            canvas.paint(label, placed, self._included(label))
            yield None
        yield canvas.finish(self.prompts)

    @property
    def _dtype(self) -> type[np.unsignedinteger[Any]]:
        return np.uint8 if max(label.id for label in self.labels) < 256 else np.uint16

    def _included(self, label: Label) -> NDArray[np.int64]:
        voxels, classes = self.prompts.marks()
        return np.asarray(voxels[classes == label.id])

    @property
    def asks_for_all_alike(self) -> bool:
        """Whether what every place looks like is needed."""
        return any(self._is_found_alike(label) for label in self.labels)

    def _is_found_alike(self, label: Label) -> bool:
        return self.head == "auto" and label.meaning is Meaning.ALL_LIKE_THIS

    def _finder(self, label: Label, fields: Fields) -> Finder:
        clicked, painted = self.prompts.marks_for(label.id)
        if self._is_found_alike(label):
            return AlikeFinder(fields.alike(), clicked, painted)
        scene = self.scene
        return Grower(scene.volume, scene.window, fields.support(), clicked, painted)

    def _preview(
        self, fields: Fields, evidence: dict[int, Floats], view: tuple[int, int]
    ) -> LabelArray:
        """Labels of the plane in view by the evidence alone, not refined."""
        axis, index = view
        rows, columns = (
            n for a, n in enumerate(self.scene.volume.array.shape) if a != axis
        )
        planes = []
        for label in self.labels:
            step = int(self._finder(label, fields).field.step[axis])
            plane = torch.from_numpy(evidence[label.id].take(index // step, axis))
            planes.append(to_voxels(plane[None], (rows, columns))[0])
        return self._decide(torch.sigmoid(torch.stack(planes)))

    def _decide(self, probabilities: torch.Tensor) -> LabelArray:
        """The most probable label (of axis 0) where it passes the threshold, else 0."""
        highest, which = probabilities.max(0)
        ids = torch.tensor([label.id for label in self.labels])
        decided = torch.where(highest > self.threshold, ids[which], 0)
        return decided.numpy().astype(self._dtype)

    def _fit(self, bank: TokenBank) -> Head:
        voxels, classes = self.prompts.marks()
        if bank is self.scene.banks[0]:
            ready = bank.ready[voxels[:, 0]]
            voxels, classes = voxels[ready], classes[ready]
        examples = gather_examples(bank, voxels, classes)
        name = self.scene.default_head if self.head == "auto" else self.head
        return _HEADS[name]().fit(examples)

    def _read(self, head: Head, tokens: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, labels) of tokens (n, channels)."""
        ids = torch.tensor([label.id for label in self.labels])
        return head.predict_proba(tokens)[:, torch.searchsorted(head.classes_, ids)]

    def _read_volume(self) -> Generator[None, None, list[torch.Tensor]]:
        """Probabilities (slices, tokens, labels) of each bank's tokens."""
        readings = []
        for bank in self.scene.banks:
            head = self._fit(bank)
            parts = []
            for index in range(bank.depth):
                parts.append(self._read(head, bank.slice_tokens(index)))
                yield None
            readings.append(torch.stack(parts))
        return readings

    def _score(
        self, readings: list[torch.Tensor], label: Label, steps: NDArray[np.int64]
    ) -> torch.Tensor:
        """A label's probability on every so many voxels, the mean over the planes."""
        number = self.labels.index(label)
        planes = [
            bank.on_every(steps, reading[..., number].__getitem__)
            for bank, reading in zip(self.scene.banks, readings, strict=True)
        ]
        return torch.stack(planes).mean(0)

    def _everywhere(self, readings: list[torch.Tensor], label: Label) -> Placed:
        """A readout's probability on all voxels."""
        box = tuple(slice(0, length) for length in self.scene.volume.array.shape)
        return box, self._score(readings, label, np.ones(3, dtype=np.int64)).numpy()


class _Canvas:
    """Labels being put together: where two claim a voxel, the more probable has it."""

    def __init__(
        self, shape: tuple[int, ...], dtype: type[np.unsignedinteger[Any]], threshold: float
    ) -> None:
        self._labels: LabelArray = np.zeros(shape, dtype=dtype)
        self._best = np.full(shape, threshold, dtype=np.float32)

    def paint(self, label: Label, placed: Placed, included: NDArray[np.int64]) -> None:
        """Give a label the voxels where it is most probable, connected if an object."""
        box, probability = placed
        best = self._best[box]
        wins = probability > best
        if label.meaning is Meaning.OBJECT:
            wins = _touching(wins, included - [part.start for part in box])
        self._labels[box][wins] = label.id
        best[wins] = probability[wins]

    def finish(self, prompts: Prompts) -> LabelArray:
        """The labels; what the user marked is what the user gets."""
        for label in {prompt.label for prompt in prompts.all}:
            clicked, painted = prompts.marks_for(label)
            for voxel, belongs in (*painted, *clicked):
                if belongs:
                    self._labels[voxel] = label
                elif self._labels[voxel] == label:
                    self._labels[voxel] = 0
        return self._labels


def _touching(mask: NDArray[np.bool_], marks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The parts of a mask that hold one of the marks (n, 3)."""
    where = tuple(marks.T)
    mask[where] = True
    components, _ = ndimage.label(mask)
    return np.isin(components, np.unique(components[where]))


def make_segmenter(
    scene: Scene,
    prompts: Prompts,
    labels: tuple[Label, ...],
    head: str,
    threshold: float,
) -> Segmenter:
    """Check prompts against a volume and get ready to label it.

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
    chosen = sorted(
        (label for label in labels if label.id in included), key=lambda label: label.id
    )
    return Segmenter(scene, prompts, tuple(chosen), head, threshold)

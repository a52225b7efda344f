"""From prompts to labels: what a click means decides how they are found.

Unless the user picked a readout, one connected object is grown from its clicks (`grow`),
and all that looks alike is found throughout the volume (`alike`). A picked readout is
read off every token instead; for an object it is then refined by the random walker and
kept where it touches a click.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.errors import PromptError
from napari_dinomed.segment.alike import AlikeFinder
from napari_dinomed.segment.examples import gather_examples
from napari_dinomed.segment.grow import Grower
from napari_dinomed.segment.heads import Blend, ForestHead, Head, KnnHead, LinearProbe
from napari_dinomed.segment.level import connected
from napari_dinomed.segment.marks import all_marks
from napari_dinomed.segment.tokens import to_voxels

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.annotation.prompts import Painted, Prompts
    from napari_dinomed.segment.alike import AlikeField
    from napari_dinomed.segment.support import SupportField
    from napari_dinomed.segment.tokens import TokenBank
    from napari_dinomed.segment.turns import Lessons
    from napari_dinomed.volume import Volume, Window

    LabelArray = NDArray[np.unsignedinteger[Any]]
    Floats = NDArray[np.float32]
    Box = tuple[slice, ...]
    Finder = Grower | AlikeFinder
    Placed = tuple[Box, Floats]

AUTO = "auto"
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
class PlaneLabels:
    """Labels (rows, columns) of the plane across an axis at an index."""

    axis: int
    index: int
    labels: LabelArray


@dataclass(frozen=True, eq=False)
class BoxLabels:
    """Labels (z, y, x) of a box whose first voxel lies at ``start``; all else is 0."""

    start: tuple[int, int, int]
    labels: LabelArray


@dataclass(frozen=True, eq=False)
class _Found:
    """A label, who looked for it, and the logit (z, y, x) on the working grid."""

    label: Label
    finder: Finder
    evidence: Floats


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
        Labels to be found, each including something, by ascending id.
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
    ) -> Iterator[BoxLabels | PlaneLabels | Lessons | None]:
        """Label the volume, the plane in view first.

        Parameters
        ----------
        fields
            What answers are computed on.
        view
            Axis and index of the plane in view, or None.

        Yields
        ------
        BoxLabels, PlaneLabels, Lessons or None
            How far learning has come; the plane in view as soon as it is known; None
            where this may be interrupted; the box that holds all labels last.
        """
        readings: list[torch.Tensor] = []
        if self.head != AUTO:
            readings = yield from self._read_volume()
        found: list[_Found] = []
        for label in self.labels:
            finder = self._finder(label, fields)
            if readings:
                score = self._score(readings, label, finder.field.step)
                evidence: Floats = torch.logit(score, eps=1e-3).numpy()
            else:
                evidence = yield from finder.evidence()
            found.append(_Found(label, finder, evidence))
            yield None
        if view is not None:
            yield self._preview(found, *view)
        canvas = _Canvas(self._dtype, self.threshold)
        for one in found:
            if readings and one.label.meaning is Meaning.ALL_LIKE_THIS:
                placed = self._everywhere(readings, one.label)
            else:
                placed = one.finder.refined(one.evidence)
            yield None
            is_object = one.label.meaning is Meaning.OBJECT
            seeds = self._included(one.label) if is_object else None
            canvas.paint(one.label, placed, seeds)
            yield None
        for one in found:
            canvas.settle(one.label, all_marks(one.finder.painted, one.finder.clicks))
        yield canvas.finish()

    @property
    def _dtype(self) -> type[np.unsignedinteger[Any]]:
        return np.uint8 if max(label.id for label in self.labels) < 256 else np.uint16

    def _included(self, label: Label) -> NDArray[np.int64]:
        voxels, classes = self._marks
        return np.asarray(voxels[classes == label.id])

    @cached_property
    def _marks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Marked voxels (n, 3) and their classes (n,), of all labels."""
        return self.prompts.marks()

    @property
    def asks_for_all_alike(self) -> bool:
        """Whether what every place looks like is needed."""
        return any(self._is_found_alike(label) for label in self.labels)

    def _is_found_alike(self, label: Label) -> bool:
        return self.head == AUTO and label.meaning is Meaning.ALL_LIKE_THIS

    def _finder(self, label: Label, fields: Fields) -> Finder:
        clicked, painted = self.prompts.marks_for(label.id)
        if self._is_found_alike(label):
            return AlikeFinder(fields.alike(), clicked, painted)
        scene = self.scene
        return Grower(scene.volume, scene.window, fields.support(), clicked, painted)

    def _preview(self, found: list[_Found], axis: int, index: int) -> PlaneLabels:
        """Labels of a plane by the evidence alone, not refined."""
        rows, columns = (
            n for a, n in enumerate(self.scene.volume.array.shape) if a != axis
        )
        planes = []
        for one in found:
            step = int(one.finder.field.step[axis])
            plane = torch.from_numpy(one.evidence.take(index // step, axis))
            planes.append(to_voxels(plane[None], (rows, columns))[0])
        labels = self._decide(torch.sigmoid(torch.stack(planes)))
        return PlaneLabels(axis, index, labels)

    def _decide(self, probabilities: torch.Tensor) -> LabelArray:
        """The most probable label (of axis 0) where it passes the threshold, else 0."""
        highest, which = probabilities.max(0)
        ids = torch.tensor([label.id for label in self.labels])
        decided = torch.where(highest > self.threshold, ids[which], 0)
        return decided.numpy().astype(self._dtype)

    def _fit(self, bank: TokenBank) -> Head:
        voxels, classes = self._marks
        if bank is self.scene.banks[0]:
            ready = bank.ready[voxels[:, 0]]
            voxels, classes = voxels[ready], classes[ready]
        for label in self.labels:
            if label.id not in classes:
                raise PromptError(
                    f"All that was included in {label.name} is taken back by later prompts."
                )
        examples = gather_examples(bank, voxels, classes)
        name = self.scene.default_head if self.head == AUTO else self.head
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
    """Labels being put together: where two claim a voxel, the more probable has it.

    It covers what has been painted so far, not the volume.
    """

    def __init__(self, dtype: type[np.unsignedinteger[Any]], threshold: float) -> None:
        self._threshold = threshold
        self._box: Box = (slice(0, 0),) * 3
        self._labels: LabelArray = np.zeros((0, 0, 0), dtype=dtype)
        self._best: Floats = np.zeros((0, 0, 0), dtype=np.float32)

    def paint(self, label: Label, placed: Placed, seeds: NDArray[np.int64] | None) -> None:
        """Give a label the voxels where it is most probable.

        Parameters
        ----------
        label, placed
            The label, and how probable it is where.
        seeds
            Voxels (n, 3) that it must be connected to, or None.
        """
        box, probability = placed
        self._reach(box)
        inside = _moved(box, self._start)
        best = self._best[inside]
        wins = probability > best
        if seeds is not None:
            wins = connected(wins, seeds - _start_of(box))
        self._labels[inside][wins] = label.id
        best[wins] = probability[wins]

    def settle(self, label: Label, marks: Painted) -> None:
        """What the user marked last is what the user gets."""
        places = marks.voxels - self._start
        held = ((places >= 0) & (places < self._labels.shape)).all(1)
        where, belongs = tuple(places[held].T), marks.belongs[held]
        now = self._labels[where]
        rest = np.where(now == label.id, 0, now)
        # Of a voxel that was marked twice, numpy keeps what is assigned last.
        self._labels[where] = np.where(belongs, label.id, rest)

    def finish(self) -> BoxLabels:
        """The box that just holds all that has a label."""
        box: Box = ()
        for others in ((1, 2), (0, 2), (0, 1)):
            held = np.flatnonzero(self._labels[box].any(others))
            if not len(held):
                return BoxLabels((0, 0, 0), self._labels[:0, :0, :0])
            box = (*box, slice(int(held[0]), int(held[-1]) + 1))
        z, y, x = (int(n) for n in self._start + _start_of(box))
        return BoxLabels((z, y, x), np.ascontiguousarray(self._labels[box]))

    @property
    def _start(self) -> NDArray[np.int64]:
        return _start_of(self._box)

    def _reach(self, box: Box) -> None:
        """Cover another box as well."""
        before = self._box if self._labels.size else box
        self._box = _hull(before, box)
        shape = [part.stop - part.start for part in self._box]
        if self._labels.shape == tuple(shape):
            return
        labels = np.zeros(shape, dtype=self._labels.dtype)
        best = np.full(shape, self._threshold, dtype=np.float32)
        if self._labels.size:
            inside = _moved(before, self._start)
            labels[inside], best[inside] = self._labels, self._best
        self._labels, self._best = labels, best


def _start_of(box: Box) -> NDArray[np.int64]:
    return np.array([part.start for part in box], dtype=np.int64)


def _moved(box: Box, start: NDArray[np.int64]) -> Box:
    """A box as counted from a start."""
    return tuple(
        slice(part.start - int(n), part.stop - int(n))
        for part, n in zip(box, start, strict=True)
    )


def _hull(a: Box, b: Box) -> Box:
    """The smallest box around two."""
    return tuple(
        slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True)
    )


def make_segmenter(
    scene: Scene,
    prompts: Prompts,
    labels: tuple[Label, ...],
    head: str,
    threshold: float,
    wanted: tuple[int, ...] = (),
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
    wanted
        Labels to be found; all if empty. What others include they do not.

    Raises
    ------
    PromptError
        Where a prompt lies outside the volume, an unknown label or readout is named, or
        nothing is included.
    """
    if head not in (AUTO, *_HEADS):
        raise PromptError(
            f"Expected the readout {AUTO} or {', '.join(_HEADS)}, got {head!r}."
        )
    prompts.require_inside(scene.volume.array.shape)
    known = {label.id for label in labels}
    prompts.require_labels(known)
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise PromptError(f"Expected labels of {sorted(known)}, got {unknown}.")
    asked = set(prompts.included_labels()) & (set(wanted) or known)
    if not asked:
        raise PromptError(
            "Expected at least one prompt that includes something; got only exclusions."
        )
    chosen = sorted((one for one in labels if one.id in asked), key=lambda one: one.id)
    return Segmenter(scene, prompts, tuple(chosen), head, threshold)

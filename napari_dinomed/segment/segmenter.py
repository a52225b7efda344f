"""From prompts to labels: what a click means decides which method finds them.

One connected object is found by `one_object`, whatever readout the user picked; all that
looks alike by `alike`, or, where a readout was picked, by reading it off every token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.mask import EMPTY
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.errors import PromptError
from napari_dinomed.features.tokens import to_voxels
from napari_dinomed.segment.all_alike.method import AlikeFinder
from napari_dinomed.segment.canvas import BoxLabels, Canvas
from napari_dinomed.segment.examples import gather_examples
from napari_dinomed.segment.heads import HEADS, KnnHead
from napari_dinomed.segment.limits import allowed
from napari_dinomed.segment.marks import all_marks
from napari_dinomed.segment.one_object.method import ObjectFinder
from napari_dinomed.segment.probability import BoxProbability
from napari_dinomed.segment.readout import ReadoutFinder
from napari_dinomed.segment.suggest import places_in_doubt
from napari_dinomed.segment.turns import Early

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.annotation.prompts import Mark, Painted, Prompts, Voxel
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.all_alike.appearance import AlikeField
    from napari_dinomed.segment.heads import Head
    from napari_dinomed.segment.one_object.method import ObjectField
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.segment.suggest import Doubt, Place
    from napari_dinomed.segment.turns import Lessons, Stepwise
    from napari_dinomed.volume import Volume

    LabelArray = NDArray[np.unsignedinteger[Any]]
    Floats = NDArray[np.float32]

Answer = TypeVar("Answer")


class Finder(Protocol[Answer]):
    """A method with the marks of one label.

    Its answer may be seen plane by plane before it is put on voxels.
    """

    @property
    def clicks(self) -> tuple[Mark, ...]:
        """Clicked voxels in order, and whether they belong."""

    @property
    def painted(self) -> Painted:
        """Voxels under strokes, and whether they belong."""

    def answer(self) -> Stepwise[Answer]:
        """The answer, step by step."""

    @property
    def seeds(self) -> NDArray[np.integer[Any]] | None:
        """Voxels (n, 3) that what is found is connected to; None where it need not be."""

    def doubt(self) -> Stepwise[Doubt]:
        """What is to be known of where the answer may be wrong, step by step."""

    def worth(self, places: Sequence[Place]) -> Stepwise[list[float]]:
        """How much a click at each of some places would tell, step by step."""

    def plane(self, answer: Answer, axis: int, index: int) -> Floats:
        """Probability (rows, columns) of a plane, not refined."""

    def placed(self, answer: Answer) -> tuple[Box, Floats]:
        """A box, and the probability of each of its voxels."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What prompts are read against.

    Parameters
    ----------
    volume
        The voxels.
    banks
        Tokens of the volume, of some slices of the first at least; the others see it
        along other axes.
    """

    volume: Volume
    banks: tuple[TokenBank, ...]


@dataclass(frozen=True, eq=False)
class Fields:
    """Gives what answers are computed on; it is made when first asked for, and kept.

    Parameters
    ----------
    objects
        What single objects are found on.
    alike
        What every place looks like, for all that looks alike.
    """

    objects: Callable[[], ObjectField]
    alike: Callable[[], AlikeField]


@dataclass(frozen=True, eq=False)
class PlaneLabels:
    """Labels (rows, columns) of the plane across an axis at an index."""

    axis: int
    index: int
    labels: LabelArray


@dataclass(frozen=True, eq=False)
class _Found:
    """A label, who looked for it, and the answer."""

    label: Label
    finder: Finder[Any]
    answer: Any


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
        Labels to be found, of each of which enough is said, by ascending id.
    head
        A `Readout`.
    threshold
        Probability from which a voxel belongs to a label.
    starts
        What labels were proposed to be.
    """

    scene: Scene
    prompts: Prompts
    labels: tuple[Label, ...]
    head: str
    threshold: float
    starts: Mapping[int, Mask]

    def label_slice(self, index: int) -> LabelArray:
        """Labels (rows, columns) of a slice by a readout, before all tokens are there."""
        bank = self.scene.banks[0]
        head = self._fit(bank)
        ids = torch.tensor([label.id for label in self.labels])
        columns = torch.searchsorted(head.classes_, ids)
        proba = head.predict_proba(bank.slice_tokens(index))[:, columns]
        scores = to_voxels(torch.unflatten(proba.T, 1, bank.grid), bank.slice_shape)
        for label, score in zip(self.labels, scores, strict=True):
            may = self._allowed_in_plane(label, 0, index)
            if may is not None:
                score *= torch.from_numpy(may)
        return self._decide(scores)

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
        found: list[_Found] = []
        for label in self.labels:
            finder = self._finder(label, fields, view)
            answer = yield from self._shown_early(label, finder, view)
            found.append(_Found(label, finder, answer))
            yield None
        if view is not None:
            planes = [self._plane(one, *view) for one in found]
            yield PlaneLabels(*view, self._decide(torch.from_numpy(np.stack(planes))))
        canvas = Canvas(self._dtype, self.threshold)
        for one in found:
            placed = self._placed(one)
            yield None
            canvas.paint(one.label, placed, one.finder.seeds)
            yield None
        for one in found:
            canvas.settle(one.label, all_marks(one.finder.painted, one.finder.clicks))
        yield canvas.finish()

    def suggest(self, fields: Fields) -> Stepwise[Voxel | None]:
        """The voxel (z, y, x) where a click on the only label would tell most."""
        (label,) = self.labels
        finder = self._finder(label, fields, None)
        doubt = yield from finder.doubt()
        clicked = np.array([voxel for voxel, _ in finder.clicks], dtype=np.int64)
        limits = self.prompts.limits(label.id)
        clicked = clicked.reshape(-1, 3)
        places = places_in_doubt(doubt, self.threshold, clicked, limits)
        worth = yield from finder.worth(places)
        return places[int(np.argmax(worth))].voxel if places else None

    def probability(self, fields: Fields) -> Stepwise[BoxProbability]:
        """How probable the only label is, as its answer was cut from it."""
        (label,) = self.labels
        finder = self._finder(label, fields, None)
        answer = yield from finder.answer()
        yield None
        placed = self._placed(_Found(label, finder, answer))
        yield None
        marks = all_marks(finder.painted, finder.clicks)
        return BoxProbability.of(placed, self.threshold, finder.seeds, marks)

    def _shown_early(
        self, label: Label, finder: Finder[Answer], view: tuple[int, int] | None
    ) -> Generator[PlaneLabels | Lessons | None, None, Answer]:
        """A finder's answer; meanwhile the plane in view, where there is but one label."""
        steps = finder.answer()
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                answer: Answer = stop.value
                return answer
            if not isinstance(step, Early):
                yield step
            elif view is None or len(self.labels) > 1:
                yield None
            else:
                plane = self._plane(_Found(label, finder, step.answer()), *view)
                yield PlaneLabels(*view, self._decide(torch.from_numpy(plane[None])))

    def _plane(self, one: _Found, axis: int, index: int) -> Floats:
        """Probability (rows, columns) of a plane, 0 where a region says so."""
        plane = one.finder.plane(one.answer, axis, index)
        may = self._allowed_in_plane(one.label, axis, index)
        return plane if may is None else plane * may

    def _placed(self, one: _Found) -> tuple[Box, Floats]:
        """A box and the probability of its voxels, 0 where a region says so."""
        box, probability = one.finder.placed(one.answer)
        limits = self.prompts.limits(one.label.id)
        return box, probability * allowed(limits, box) if limits else probability

    def _allowed_in_plane(self, label: Label, axis: int, index: int) -> Floats | None:
        """1 where a label may be in a plane (rows, columns), else 0; None if anywhere."""
        limits = self.prompts.limits(label.id)
        if not limits:
            return None
        box = [slice(0, length) for length in self.scene.volume.array.shape]
        box[axis] = slice(index, index + 1)
        return allowed(limits, tuple(box)).squeeze(axis)

    @property
    def _dtype(self) -> type[np.unsignedinteger[Any]]:
        return np.uint8 if max(label.id for label in self.labels) < 256 else np.uint16

    @property
    def asks_for_all_alike(self) -> bool:
        """Whether what every place looks like is needed."""
        return self.head == Readout.AUTO and any(
            label.meaning is Meaning.ALL_LIKE_THIS for label in self.labels
        )

    def _finder(
        self, label: Label, fields: Fields, view: tuple[int, int] | None
    ) -> Finder[Any]:
        clicked, painted = self.prompts.marks_for(label.id)
        start = self.prompts.allowed(self.starts.get(label.id, EMPTY), label.id)
        limits = self.prompts.limits(label.id)
        if label.meaning is Meaning.OBJECT:
            field = fields.objects()
            return ObjectFinder(field, clicked, painted, self.head, start, limits)
        if self.head == Readout.AUTO:
            return AlikeFinder(fields.alike(), clicked, painted, start, view, limits)
        if label.id not in self.prompts.included_labels():
            raise PromptError(
                f"Include something of {label.name} first, or read it automatically: "
                "exclusions alone tell this readout nothing."
            )
        spacing = np.array(self.scene.volume.geometry.spacing)
        kind = HEADS[self.head]
        return ReadoutFinder(self.scene.banks, kind, clicked, painted, spacing)

    @property
    def is_seen_early(self) -> bool:
        """Whether a slice can be labelled by marks alone: all labels include something."""
        return {label.id for label in self.labels} <= set(self.prompts.included_labels())

    def _decide(self, probabilities: torch.Tensor) -> LabelArray:
        """The most probable label (of axis 0) where it passes the threshold, else 0."""
        highest, which = probabilities.max(0)
        ids = torch.tensor([label.id for label in self.labels])
        decided = torch.where(highest > self.threshold, ids[which], 0)
        return decided.numpy().astype(self._dtype)

    def _fit(self, bank: TokenBank) -> Head:
        voxels, classes = self.prompts.marks()
        ready = bank.ready[voxels[:, 0]]
        voxels, classes = voxels[ready], classes[ready]
        for label in self.labels:
            if label.id not in classes:
                raise PromptError(
                    f"All that was included in {label.name} is taken back by later prompts."
                )
        kind = HEADS.get(self.head, KnnHead)
        return kind().fit(gather_examples(bank, voxels, classes))


def make_segmenter(
    scene: Scene,
    prompts: Prompts,
    labels: tuple[Label, ...],
    head: str,
    threshold: float,
    wanted: tuple[int, ...] = (),
    starts: Mapping[int, Mask] | None = None,
) -> Segmenter:
    """Check prompts against a volume and get ready to label it.

    Parameters
    ----------
    scene
        Volume and tokens.
    prompts, labels
        What the user said; labels without an included prompt are left out.
    head
        A `Readout`.
    threshold
        Probability from which a voxel belongs to a label.
    wanted
        Labels to be found; all if empty. What others include they do not.
    starts
        What labels were proposed to be; their prompts may exclude alone.

    Raises
    ------
    PromptError
        Where a prompt lies outside the volume, an unknown label or readout is named, or
        nothing is included.
    """
    if head not in set(Readout):
        raise PromptError(f"Expected a readout of {', '.join(Readout)}, got {head!r}.")
    prompts.require_inside(scene.volume.array.shape)
    known = {label.id for label in labels}
    prompts.require_labels(known)
    prompts.require_agreement()
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise PromptError(f"Expected labels of {sorted(known)}, got {unknown}.")
    starts = starts or {}
    told = {prompt.label for prompt in prompts.all} & set(starts)
    asked = (told | prompts.begun(labels)) & (set(wanted) or known)
    if not asked:
        raise PromptError(
            "Expected at least one prompt that includes something, or a region that one "
            "object is inside of; got neither."
        )
    chosen = sorted((one for one in labels if one.id in asked), key=lambda one: one.id)
    return Segmenter(scene, prompts, tuple(chosen), head, threshold, starts)

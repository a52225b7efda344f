"""What the user says of a volume: points, strokes and regions of a label.

In: clicks, painted voxels (z, y, x) and outlines, in the order in which they were made.
Out: marks, and voxels that cannot belong, as those who answer read them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.labels import LabelId, Meaning
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.packing import PackedMask
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.annotation.region import Box

Voxel = tuple[int, int, int]
Mark = tuple[Voxel, bool]


@dataclass(frozen=True)
class Point:
    """A click on a voxel (z, y, x): it belongs to the label, or it does not."""

    voxel: Voxel
    label: LabelId
    include: bool = True


@dataclass(frozen=True)
class Stroke:
    """Painted voxels that belong to the label, or do not."""

    mask: PackedMask
    label: LabelId
    include: bool = True


Prompt = Point | Stroke | Region


@dataclass(frozen=True, eq=False)
class Painted:
    """Voxels under strokes, and whether they belong.

    Parameters
    ----------
    voxels
        (n, 3).
    belongs
        (n,).
    lengths
        How many of them each stroke has, in order.
    """

    voxels: NDArray[np.int32]
    belongs: NDArray[np.bool_]
    lengths: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.voxels)

    @cached_property
    def key(self) -> bytes:
        """The same for the same strokes in the same order."""
        digest = hashlib.blake2b(self.voxels.tobytes(), digest_size=16)
        digest.update(self.belongs.tobytes())
        digest.update(np.array(self.lengths, np.int64).tobytes())
        return digest.digest()

    def each_thinned(self, most: int) -> Painted:
        """At most so many voxels of each stroke, evenly chosen."""
        ends = np.cumsum(self.lengths)
        parts = [
            np.arange(end - length, end)[:: max(1, -(-length // most))]
            for end, length in zip(ends, self.lengths, strict=True)
        ]
        kept = np.concatenate(parts) if parts else np.arange(len(self))
        lengths = tuple(len(part) for part in parts)
        return Painted(self.voxels[kept], self.belongs[kept], lengths)

    def thinned(self, most: int) -> tuple[Mark, ...]:
        """At most so many marks on either side, evenly chosen."""
        kept: list[Mark] = []
        for belongs in (True, False):
            side = self.voxels[self.belongs == belongs]
            chosen = side[:: max(1, -(-len(side) // most))]
            kept.extend(((int(z), int(y), int(x)), belongs) for z, y, x in chosen)
        return tuple(kept)


NOT_PAINTED = Painted(np.zeros((0, 3), np.int32), np.zeros(0, np.bool_))


@dataclass(frozen=True)
class Prompts:
    """All that the user has said so far, in order; adding and removing give a new value."""

    all: tuple[Prompt, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The clicks, in order."""
        return tuple(prompt for prompt in self.all if isinstance(prompt, Point))

    @cached_property
    def strokes(self) -> tuple[Stroke, ...]:
        """The strokes, in order."""
        return tuple(prompt for prompt in self.all if isinstance(prompt, Stroke))

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The boxes and lassos, in order."""
        return tuple(prompt for prompt in self.all if isinstance(prompt, Region))

    def plus(self, prompt: Prompt) -> Prompts:
        """These prompts and one more.

        What a label is said to be inside of takes the place of what was said of the same
        slices along the same axis: a box is drawn anew where it was wrong.
        """
        kept = self.all
        if isinstance(prompt, Region) and prompt.role is Role.INSIDE:
            kept = tuple(p for p in kept if not _is_replaced(p, prompt))
        return Prompts((*kept, prompt))

    def of(self, label: int) -> tuple[Prompt, ...]:
        """What was said of one label."""
        return tuple(prompt for prompt in self.all if prompt.label == label)

    def without_label(self, label: int) -> Prompts:
        """These prompts less everything said of a label."""
        return Prompts(tuple(prompt for prompt in self.all if prompt.label != label))

    def without(self, gone: Callable[[Prompt], bool]) -> Prompts:
        """These prompts less some."""
        return Prompts(tuple(p for p in self.all if not gone(p)))

    def without_points(self, gone: Callable[[Point], bool]) -> Prompts:
        """These prompts less some clicks."""
        return Prompts(tuple(p for p in self.all if not (isinstance(p, Point) and gone(p))))

    def unpainted(self, mask: Mask, kept_labels: Collection[int] = ()) -> Prompts:
        """These prompts with voxels taken out of strokes; empty ones go.

        Strokes of some labels may be kept as they are.
        """
        kept: list[Prompt] = []
        for prompt in self.all:
            if isinstance(prompt, Stroke) and prompt.label not in kept_labels:
                left = prompt.mask - mask
                if left:
                    same = left is prompt.mask
                    kept.append(prompt if same else replace(prompt, mask=left))
            else:
                kept.append(prompt)
        return Prompts(tuple(kept))

    def until_last_of(self, label: int) -> Prompts:
        """What had been said when the last was said of a label: what its answer heeds."""
        last = max(
            (n for n, prompt in enumerate(self.all) if prompt.label == label), default=-1
        )
        return Prompts(self.all[: last + 1])

    def included_labels(self) -> tuple[int, ...]:
        """Labels that at least one prompt includes, ascending."""
        return tuple(sorted({prompt.label for prompt in self.all if prompt.include}))

    def begun(self, labels: Iterable[Label]) -> set[int]:
        """Labels of which enough is said: something included, or what an object is in."""
        inside = {one.label for one in self.regions if one.role is Role.INSIDE}
        objects = {label.id for label in labels if label.meaning is Meaning.OBJECT}
        return set(self.included_labels()) | (inside & objects)

    def limits(self, label: int) -> tuple[Region, ...]:
        """What says where a label cannot be."""
        return tuple(one for one in self.regions if one.label == label and one.limits)

    def forbidden(self, label: int, box: Box) -> NDArray[np.bool_]:
        """Voxels of a box (z, y, x) that cannot belong to a label."""
        found = np.zeros([part.stop - part.start for part in box], dtype=np.bool_)
        for limit in self.limits(label):
            found |= limit.forbidden(box)
        return found

    def allowed(self, mask: Mask, label: int) -> Mask:
        """The voxels of a mask that can belong to a label."""
        for limit in self.limits(label):
            mask = limit.cut(mask)
        return mask

    def marks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Marked voxels (n, 3) and their classes (n,): a label, or 0 for an exclusion.

        Points win over strokes, and later over earlier, where two mark the same voxel.
        """
        latest = _latest(self.points)
        covered = Mask.of_voxels(np.array(list(latest), np.int64).reshape(-1, 3))
        said = [(np.array([voxel]), target) for voxel, target in reversed(latest.items())]
        for prompt in reversed(tuple(self._painted)):
            mask = self._mask_of(prompt)
            said.append(((mask - covered).voxels(), _target(prompt)))
            covered = covered | mask
        said.reverse()
        voxels = [np.zeros((0, 3), np.int64), *(part for part, _ in said)]
        counts = [len(part) for part, _ in said]
        targets = np.array([target for _, target in said], np.int64)
        return np.concatenate(voxels), np.repeat(targets, counts)

    def marks_for(self, label: int) -> tuple[tuple[Mark, ...], Painted]:
        """Clicked and painted voxels that belong to one label, or do not.

        What another label includes does not belong to this one; what another label
        excludes says nothing of it. Both are in the order in which they were made.
        """
        clicked = tuple(
            (point.voxel, point.include and point.label == label)
            for point in self.points
            if point.include or point.label == label
        )
        voxels, belongs = [NOT_PAINTED.voxels], [NOT_PAINTED.belongs]
        for prompt in self._painted:
            if prompt.include or prompt.label == label:
                part = self._mask_of(prompt).voxels()
                voxels.append(part)
                belongs.append(np.full(len(part), prompt.include and prompt.label == label))
        lengths = tuple(len(part) for part in voxels[1:])
        return clicked, Painted(np.concatenate(voxels), np.concatenate(belongs), lengths)

    @property
    def _painted(self) -> Iterator[Stroke | Region]:
        """What marks many voxels at once, in order: strokes, and regions that include."""
        for prompt in self.all:
            if isinstance(prompt, Stroke) or (
                isinstance(prompt, Region) and prompt.include
            ):
                yield prompt

    def _mask_of(self, prompt: Stroke | Region) -> Mask:
        """The voxels that a prompt marks, less those that cannot belong."""
        mask = prompt.mask
        return self.allowed(mask, prompt.label) if prompt.include else mask

    def require_agreement(self) -> None:
        """Raise `PromptError` where regions leave nothing of what a prompt includes."""
        for prompt in self.all:
            is_limited = prompt.include and self.limits(prompt.label)
            if is_limited and not self.allowed(mask_of(prompt), prompt.label):
                raise PromptError(_GAINSAID[isinstance(prompt, Point)])

    def require_inside(self, shape: tuple[int, ...]) -> None:
        """Raise `PromptError` where a prompt lies outside a volume of this shape."""
        for region in self.regions:
            region.require_inside(shape)
        for voxel in self._corners():
            if any(not 0 <= v < n for v, n in zip(voxel, shape, strict=True)):
                raise PromptError(
                    f"The prompt at voxel {voxel} (z, y, x) lies outside the volume of "
                    f"{shape} voxels."
                )

    def require_labels(self, labels: Iterable[int]) -> None:
        """Raise `PromptError` where a prompt names a label that does not exist."""
        known = set(labels)
        for prompt in self.all:
            if prompt.label not in known:
                raise PromptError(
                    f"A prompt names label {prompt.label}, but the labels are "
                    f"{sorted(known)}."
                )

    def _corners(self) -> Iterator[Voxel]:
        yield from (point.voxel for point in self.points)
        for stroke in self.strokes:
            z, y, x = (part.stop - 1 for part in stroke.mask.box)
            yield (z, y, x)


def _target(prompt: Prompt) -> int:
    return prompt.label if prompt.include else 0


# Whether it is a click.
_GAINSAID = {
    True: "A click includes what a region says is not of the label. Delete the click, or "
    "the region.",
    False: "All of a stroke or region lies where another region says that the label is "
    "not. Delete one of the two.",
}


def mask_of(prompt: Prompt) -> Mask:
    """The voxels that a prompt marks."""
    if isinstance(prompt, Point):
        return Mask.of_voxels(np.array([prompt.voxel]))
    return prompt.mask


def _is_replaced(old: Prompt, new: Region) -> bool:
    if not isinstance(old, Region):
        return False
    said = (old.role, old.label, old.axis, old.span)
    return said == (Role.INSIDE, new.label, new.axis, new.span)


def _latest(points: Iterable[Point]) -> dict[Voxel, int]:
    """What was said last of each voxel that was clicked on, in that order."""
    said: dict[Voxel, int] = {}
    for point in points:
        said.pop(point.voxel, None)
        said[point.voxel] = _target(point)
    return said

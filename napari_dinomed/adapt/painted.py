"""Labelled slices as an encoder is shown them.

In: volumes and their labels. Out: of each slice that holds a label its image and its
classes; a slice that holds one is taken to be painted all over, with 0 for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.errors import ModelError
from napari_dinomed.features.encoding import plans_for
from napari_dinomed.features.stack import SliceStack
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.features.backbone import BackboneEncoder
    from napari_dinomed.features.stack import SlicePlan
    from napari_dinomed.volume import Volume

# Slices at most, of all volumes together: trials show each of them to every encoder, and
# in some hundred lessons more would hardly be seen once.
MOST = 64
# A class is a byte, and 0 is none of them.
_MOST_LABELS = 255
# Parts that what is labelled is divided into for trials: each teaches an encoder. Of a few
# slices every one is a part: holding two of four out would leave two to teach.
_FOLDS, _FEW = 3, 4


@dataclass(frozen=True, eq=False)
class Lesson:
    """A labelled volume.

    Parameters
    ----------
    volume, labels
        The volume, and the number of each voxel's label (z, y, x), 0 for none.
    legend
        What the numbers stand for; labels of one name are the same in all volumes.
    """

    volume: Volume
    labels: NDArray[np.integer]
    legend: tuple[Label, ...]


@dataclass(frozen=True, eq=False)
class PaintedSlice:
    """A slice that was painted.

    Parameters
    ----------
    stack, plan, index
        Where an encoder reads it.
    classes
        Of its voxels (rows, columns): 0 for none of the labels, else 1 and on.
    part
        The fold that holds it out.
    """

    stack: SliceStack
    plan: SlicePlan
    index: int
    classes: NDArray[np.uint8]
    part: int


@dataclass(frozen=True, eq=False)
class Painted:
    """All that teaches.

    Parameters
    ----------
    slices
        The slices.
    names
        Of the labels; the first is class 1.
    are_volumes
        Whether folds hold out whole volumes, not blocks of slices.
    """

    slices: tuple[PaintedSlice, ...]
    names: tuple[str, ...]
    are_volumes: bool

    @property
    def parts(self) -> tuple[int, ...]:
        """The folds."""
        return tuple(sorted({one.part for one in self.slices}))

    @property
    def first(self) -> PaintedSlice:
        """The one that tells what kind of volume taught."""
        return self.slices[0]


def painted(
    lessons: Sequence[Lesson], encoder: BackboneEncoder, window: str | None
) -> Painted:
    """What labelled volumes teach an encoder.

    Several volumes are held out whole; a single one in blocks of neighbouring slices.

    Parameters
    ----------
    lessons
        At least one.
    encoder
        Who is to be taught.
    window
        Name of a window, or None for each volume's own.

    Raises
    ------
    ModelError
        Where there are too few labelled slices to teach and to try.
    """
    names = tuple(dict.fromkeys(label.name for one in lessons for label in one.legend))
    if len(names) > _MOST_LABELS:
        raise ModelError(
            f"Expected at most {_MOST_LABELS} labels, got {len(names)}: numbered things "
            "are not classes. Join them with --label 1+2."
        )
    share = max(1, MOST // len(lessons))
    found = [slices_of(one, names, encoder, window, share) for one in lessons]
    are_volumes = len(lessons) > 1
    groups = [one for one in found if one] if are_volumes else [(s,) for s in found[0]]
    if len(groups) < 2:
        what = "volumes with labels" if are_volumes else "labelled slices"
        raise ModelError(
            f"Expected at least two {what}, one to teach and one to try, got "
            f"{len(groups)}: label another one."
        )
    folds = len(groups) if len(groups) <= _FEW else _FOLDS
    slices = [
        replace(one, part=number * folds // len(groups))
        for number, group in enumerate(groups)
        for one in group
    ]
    if all((one.classes > 0).all() for one in slices) and len(names) < 2:
        raise ModelError(
            "Expected two classes to tell apart, but every voxel of the labelled slices is "
            f"{names[0]}."
        )
    return Painted(tuple(slices), names, are_volumes)


def slices_of(
    lesson: Lesson,
    names: tuple[str, ...],
    encoder: BackboneEncoder,
    window: str | None,
    most: int = MOST,
) -> tuple[PaintedSlice, ...]:
    """The slices of a volume that hold a label, evenly spaced where there are too many."""
    volume = lesson.volume
    stack = SliceStack(volume, choose_window(volume, window, encoder.window))
    (plan,) = plans_for(volume, encoder, "one")
    classes = _classes(lesson, names)
    chosen = _thinned(np.flatnonzero(classes.any((1, 2))), most)
    return tuple(
        PaintedSlice(stack, plan, int(index), classes[index], 0) for index in chosen
    )


def image_of(one: PaintedSlice, size: tuple[int, int]) -> torch.Tensor:
    """What an encoder is shown of a slice, (colours, rows, columns), half precision."""
    images = one.stack.colours(one.index, one.index + 1)
    return _resized(torch.from_numpy(images), size)[0].half()


def _resized(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        images, size, mode="bilinear", antialias=True, align_corners=False
    )


def _classes(lesson: Lesson, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Classes (z, y, x) of a volume's voxels, by the labels' names."""
    numbers = np.zeros(1 + max((n.id for n in lesson.legend), default=0), dtype=np.uint8)
    for label in lesson.legend:
        numbers[label.id] = 1 + names.index(label.name)
    return np.asarray(numbers[lesson.labels])


def _thinned(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of some slices, evenly spaced."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.int64)]

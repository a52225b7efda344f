"""From prompts to labels, where to click next, and how probable a label is where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from napari_dinomed.annotation.labels import Label, LabelId
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.packing import PackedMask
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.engine.messages.arrays import Array, pasted


@dataclass(frozen=True)
class SegmentVolume:
    """Turn prompts into labels: the slice in view at once, then all of them.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    prompts, labels
        What the user said.
    head
        Readout of the tokens.
    threshold
        Probability from which a voxel belongs to a label.
    view_axis, view_index
        Plane in view.
    generation
        Number of the prompts; comes back with the labels, so that stale ones are known.
    preview
        Whether labels of single slices are wanted before all others.
    wanted
        Labels to be answered; all that include something if empty. What other labels
        include, these do not.
    encoding
        Number of the encoding that is to be read; `Cancelled` where it is not the
        volume's any more.
    starts
        What labels were proposed to be: their prompts correct that.
    """

    volume: str
    prompts: Prompts
    labels: tuple[Label, ...]
    head: str = "auto"
    threshold: float = 0.5
    view_axis: int = 0
    view_index: int = 0
    generation: int = 0
    preview: bool = True
    wanted: tuple[int, ...] = ()
    encoding: int = 0
    starts: Mapping[LabelId, PackedMask] = field(default_factory=dict)

    @property
    def anywhere(self) -> SegmentVolume:
        """The same, whatever plane is in view."""
        return replace(self, view_axis=0, view_index=0)


@dataclass(frozen=True, eq=False)
class SliceLabels:
    """Labels of one plane, ahead of all others.

    Parameters
    ----------
    axis, index
        Which plane.
    labels
        (rows, columns) of label ids; only those that are wanted.
    generation
        Of the prompts that they come from.
    """

    axis: int
    index: int
    labels: Array
    generation: int


@dataclass(frozen=True, eq=False)
class Segmented:
    """Result of `SegmentVolume`: labels of the box that just holds them.

    Parameters
    ----------
    start
        First voxel (z, y, x) of the box.
    labels
        (z, y, x) of label ids; only those that are wanted. Outside there are none.
    generation
        Of the prompts that they come from.
    seconds
        From request to result.
    signature
        What identifies the encoder that they were read with.
    """

    start: tuple[int, int, int]
    labels: Array
    generation: int
    seconds: float
    signature: str = ""

    def mask(self, label: int) -> Mask:
        """The voxels of a label."""
        return Mask.of(self.labels == label, self.start)

    def paste(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        """The labels of a whole volume (z, y, x)."""
        return pasted(self.start, self.labels, shape)


@dataclass(frozen=True)
class SuggestClick:
    """Ask where the next click on a label would tell most.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    answer
        What its answer was asked by; one label is wanted.
    """

    volume: str
    answer: SegmentVolume

    @property
    def encoding(self) -> int:
        """As for `SegmentVolume`."""
        return self.answer.encoding


@dataclass(frozen=True)
class Suggested:
    """Result of `SuggestClick`.

    Parameters
    ----------
    voxel
        Where (z, y, x); None where nothing is in doubt.
    """

    voxel: tuple[int, int, int] | None


@dataclass(frozen=True)
class ReadProbability:
    """Ask how probable a label is in the plane in view.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    answer
        What its answer was asked by, and the plane; one label is wanted.
    """

    volume: str
    answer: SegmentVolume

    @property
    def encoding(self) -> int:
        """As for `SegmentVolume`."""
        return self.answer.encoding


@dataclass(frozen=True, eq=False)
class PlaneProbability:
    """Result of `ReadProbability`.

    Parameters
    ----------
    axis, index
        Which plane.
    parts
        (rows, columns) of how probable the label is, in 255ths: what is over the threshold
        is what the answer found.
    """

    axis: int
    index: int
    parts: Array

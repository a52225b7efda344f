"""Models that are taught and propose labels, or tell of whole volumes; adapted encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from napari_dinomed.annotation.labels import Effort, Label, LabelId
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.packing import PackedMask
from napari_dinomed.engine.messages.arrays import Array, pasted
from napari_dinomed.features.adapter import AdapterHeader
from napari_dinomed.taught.header import Header, Signs


@dataclass(frozen=True)
class ProposeLabels:
    """Find, without a click, what a taught model knows.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    model
        Path of the model.
    encoding
        As for `SegmentVolume`.
    """

    volume: str
    model: str
    encoding: int = 0


@dataclass(frozen=True, eq=False)
class Proposed:
    """Result of `ProposeLabels`: labels of the box that just holds them.

    Parameters
    ----------
    start, labels
        As of `Segmented`; numbers are the model's.
    legend
        What they stand for.
    signs
        For each label that was found, how good it may be.
    warnings
        In what this volume is unlike those that taught.
    seconds
        From request to result.
    """

    start: tuple[int, int, int]
    labels: Array
    legend: tuple[Label, ...]
    signs: Mapping[LabelId, Signs]
    warnings: tuple[str, ...]
    seconds: float

    def paste(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        """The labels of a whole volume (z, y, x)."""
        return pasted(self.start, self.labels, shape)

    def masks(self) -> dict[int, Mask]:
        """The voxels of each label that was found."""
        return {
            label.id: mask
            for label in self.legend
            if (mask := Mask.of(self.labels == label.id, self.start))
        }


@dataclass(frozen=True)
class TeachModel:
    """Add what was labelled in a volume to a model; a new one where there is none.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    model
        Path of the model.
    labels, masks
        What was labelled, and its voxels.
    encoding
        As for `SegmentVolume`.
    efforts
        What the user did for each label.
    """

    volume: str
    model: str
    labels: tuple[Label, ...]
    masks: Mapping[LabelId, PackedMask]
    encoding: int = 0
    efforts: Mapping[LabelId, Effort] = field(default_factory=dict)


@dataclass(frozen=True)
class Taught:
    """Result of `TeachModel`: what the model is by now."""

    header: Header


@dataclass(frozen=True)
class TellVolume:
    """Say what a whole volume is.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    model
        Path of a model of whole volumes.
    encoding
        As for `SegmentVolume`.
    """

    volume: str
    model: str
    encoding: int = 0


@dataclass(frozen=True)
class Similar:
    """A volume that taught.

    Parameters
    ----------
    row
        Its row in the table that taught, the first is 1.
    likeness
        Cosine of what the two look like.
    belongs
        Whether the label was true of it.
    """

    row: int
    likeness: float
    belongs: bool


@dataclass(frozen=True)
class ToldLabel:
    """What is said of a volume.

    Parameters
    ----------
    label
        Its name.
    probability
        How probable it is.
    auroc
        How well it was told of volumes that did not teach.
    similar
        Those that taught and look most like it, the most similar first.
    """

    label: str
    probability: float
    auroc: float
    similar: tuple[Similar, ...]


@dataclass(frozen=True)
class VolumeTold:
    """Result of `TellVolume`.

    Parameters
    ----------
    labels
        What is said.
    warnings
        In what this volume is unlike those that taught.
    """

    labels: tuple[ToldLabel, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AdaptEncoder:
    """Adapt an encoder to labelled slices, and try it where it was not taught.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    encoder
        Name of a transformer.
    out
        Path of the adapter.
    labels
        (z, y, x), the number of each voxel's label. A slice without any is taken for not
        painted, another one for painted all over.
    legend
        What the numbers stand for.
    window
        Name of the window that the encoder sees; the volume's own if empty.
    device
        Where to compute.
    lessons
        How many, for each trial and for what is kept.
    """

    volume: str
    encoder: str
    out: str
    labels: Array
    legend: tuple[Label, ...]
    window: str = ""
    device: str = "auto"
    lessons: int = 80


@dataclass(frozen=True)
class Adapted:
    """Result of `AdaptEncoder`: what was written, and how it did."""

    header: AdapterHeader

"""Features of a volume: to have them, what they will cost, and how well they tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_dinomed.annotation.labels import LabelId
from napari_dinomed.annotation.packing import PackedMask
from napari_dinomed.volume import Planes, Window


@dataclass(frozen=True)
class EncodeVolume:
    """Compute the tokens of a volume, or find them on disk.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    encoder
        Name of an encoder.
    window
        Grey values that the encoder sees, unless it was trained for one window only.
    first
        Slice in view: the nearest come first.
    device
        Where to compute.
    planes
        Slices along one axis or all three; by the spacing if ``"auto"``.
    urgent
        Go before requests for labels; used when a lost engine is brought back.
    generation
        Number of the encoding, by which requests for labels name it.
    """

    volume: str
    encoder: str
    window: Window
    first: int = 0
    device: str = "auto"
    planes: Planes = "auto"
    urgent: bool = False
    generation: int = 0


@dataclass(frozen=True)
class Begun:
    """Features have begun to come: labels may be asked for.

    Parameters
    ----------
    generation
        Of the encoding.
    """

    generation: int


@dataclass(frozen=True)
class Encoded:
    """Result of `EncodeVolume`.

    Parameters
    ----------
    encoder, signature
        Name of the encoder, and what identifies it: architecture, SHA-256 of the weights,
        layers.
    device
        Where it computes, in words.
    grid
        Rows and columns of tokens per slice.
    channels
        Numbers per token.
    computed
        Slices that were not on disk already.
    generation
        Of the encoding.
    side
        Pixels that the shorter side of a slice is resized to; 0 where the encoder sees
        every voxel.
    axes
        Along how many it sees slices.
    """

    encoder: str
    signature: str
    device: str
    grid: tuple[int, int]
    channels: int
    computed: int
    generation: int = 0
    side: int = 0
    axes: int = 1


@dataclass(frozen=True)
class EstimateEncoding:
    """Ask what `EncodeVolume` will take here; a few slices are encoded to find out."""

    volume: str
    encoder: str
    window: Window
    device: str = "auto"
    planes: Planes = "auto"


@dataclass(frozen=True)
class Estimated:
    """Result of `EstimateEncoding`.

    Parameters
    ----------
    encoder, device
        Who encodes, and where, in words.
    slices
        That are to be computed; others are on disk.
    seconds
        For all of them, as two took.
    memory, disk
        Bytes, of all features with what labels need; and of those that are to be kept.
    free_memory, free_disk
        Bytes that the engine's machine has left for them.
    """

    encoder: str
    device: str
    slices: int
    seconds: float
    memory: int
    disk: int
    free_memory: int
    free_disk: int


@dataclass(frozen=True)
class JudgeEncoding:
    """Ask how well the features tell labels apart where they were not taught them.

    Parameters
    ----------
    volume
        Name given to `OpenVolume`.
    masks
        Voxels of the labels.
    encoding
        As for `SegmentVolume`.
    """

    volume: str
    masks: Mapping[LabelId, PackedMask]
    encoding: int = 0


@dataclass(frozen=True)
class Judged:
    """Result of `JudgeEncoding`: Dice by label and readout; small labels are left out."""

    dice: Mapping[LabelId, Mapping[str, float]]

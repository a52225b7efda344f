"""What is asked of an engine, and what it answers.

A request is handled by a generator of events that ends with one result. The same values
are used in process and over the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainValidator, TypeAdapter

from napari_dinomed.annotation.labels import Label, LabelId
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.packing import Blobs, PackedMask
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.engine.pieces import Layout
from napari_dinomed.features.adapter import AdapterHeader
from napari_dinomed.features.stack import Planes
from napari_dinomed.io import Origin, Pick, Source
from napari_dinomed.taught.header import Header
from napari_dinomed.volume import Geometry, Modality, Volume, Window

Array = Annotated[NDArray[Any], PlainValidator(np.asarray)]


@dataclass(frozen=True)
class Describe:
    """Ask what encoders there are and where they would compute."""

    device: str = "auto"


@dataclass(frozen=True, eq=False)
class OpenVolume:
    """Hand over a volume under a name of the asker's choice; it replaces an older one.

    Parameters
    ----------
    volume
        The name.
    voxels, geometry, modality
        The volume.
    others
        (n, z, y, x), further images of the same voxels; see `Volume`.
    colours
        (z, y, x, 3) of a picture in colour; empty where it is grey.
    """

    volume: str
    voxels: Array
    geometry: Geometry
    modality: Modality
    others: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint16))
    colours: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 3), np.uint8))


@dataclass(frozen=True)
class OpenSource:
    """Open a volume where it lies; for volumes that are too large to hand over."""

    volume: str
    source: Source
    pick: Pick


@dataclass(frozen=True, eq=False)
class OpenSent:
    """As `OpenVolume`, where the voxels are sent piece by piece, and only those missing.

    Parameters
    ----------
    volume
        The name.
    layout, pieces
        How the images are cut, and the name of each piece by its content.
    geometry, modality
        The volume.
    """

    volume: str
    layout: Layout
    pieces: tuple[str, ...]
    geometry: Geometry
    modality: Modality


@dataclass(frozen=True, eq=False)
class SendPiece:
    """One of the pieces that were lacking.

    Parameters
    ----------
    volume
        Name given to `OpenSent`.
    index, data
        Which piece, and its bytes (n,), packed.
    """

    volume: str
    index: int
    data: Array


@dataclass(frozen=True)
class CloseVolume:
    """Forget a volume and its tokens in memory."""

    volume: str


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
    """

    volume: str
    model: str
    labels: tuple[Label, ...]
    masks: Mapping[LabelId, PackedMask]
    encoding: int = 0


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
class EstimateEncoding:
    """Ask what `EncodeVolume` will take here; a few slices are encoded to find out."""

    volume: str
    encoder: str
    window: Window
    device: str = "auto"
    planes: Planes = "auto"


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
class FetchWeights:
    """Download an encoder's weights.

    Parameters
    ----------
    encoder
        Name of an encoder.
    accepted
        The licence that the user has accepted for that, if any.
    """

    encoder: str
    accepted: str = ""


@dataclass(frozen=True)
class Prepare:
    """Read the libraries that volumes will need, when there is time for it.

    Parameters
    ----------
    encoder
        Who will encode them.
    """

    encoder: str


Request = (
    Describe
    | OpenVolume
    | OpenSource
    | CloseVolume
    | EncodeVolume
    | SegmentVolume
    | SuggestClick
    | ProposeLabels
    | TeachModel
    | EstimateEncoding
    | JudgeEncoding
    | AdaptEncoder
    | FetchWeights
    | Prepare
)

Sending = OpenSent | SendPiece
"""What an engine elsewhere is asked on behalf of an `OpenVolume` or `OpenSource`."""


def open_request(name: str, volume: Volume) -> OpenVolume | OpenSource:
    """How an engine is given a volume: its voxels, or, if lazy, where they are."""
    if volume.is_lazy and isinstance(volume.origin, Origin):
        return OpenSource(name, volume.origin.source, volume.origin.pick)
    request = OpenVolume(name, np.asarray(volume.array), volume.geometry, volume.modality)
    if volume.colours is not None:
        return replace(request, colours=np.ascontiguousarray(volume.colours))
    if not volume.others:
        return request
    return replace(request, others=np.stack(volume.others))


class Stage(StrEnum):
    """What is being done."""

    LOADING = "loading"
    """An encoder."""
    SENDING = "pieces sent"
    """A volume goes to an engine elsewhere."""
    SLICES = "slices"
    """Their features are computed, or read from disk."""
    LESSONS = "lessons"
    """What was painted is learnt from."""
    ADAPTING = "lessons of the encoder"
    """An encoder is adapted; the subject says how long that takes yet."""
    FETCHING = "bytes"
    """Weights."""
    MEASURING = "measuring"
    """A benchmark's case."""
    SILENCE = "no sign of life from the engine"
    """Nothing, as far as is known."""
    RELIEF = "at work again"
    """What was done before the silence."""


@dataclass(frozen=True)
class Progress:
    """So much of a job is done.

    Parameters
    ----------
    done, total
        Of what the stage counts; a total of 0 where that is not known.
    stage
        What is being done.
    subject
        Name of the encoder or case that it is done with, where there is one.
    """

    done: int
    total: int
    stage: Stage
    subject: str = ""

    @property
    def text(self) -> str:
        """What is counted or done, in words."""
        if self.stage is Stage.LOADING:
            return f"Loading {self.subject}"
        return self.subject if self.stage is Stage.MEASURING else self.stage.value


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
class Notice:
    """Something the user should know; the job goes on."""

    text: str


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


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder as it stands on the engine's machine."""

    name: str
    title: str
    channels: int
    parameters: float
    licence: str
    present: bool
    licence_to_accept: str | None


@dataclass(frozen=True)
class Described:
    """Result of `Describe`."""

    device: str
    encoders: tuple[EncoderInfo, ...]


@dataclass(frozen=True)
class Opened:
    """Result of opening: the hash by which the volume is found again."""

    fingerprint: str


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
    """

    encoder: str
    signature: str
    device: str
    grid: tuple[int, int]
    channels: int
    computed: int
    generation: int = 0


@dataclass(frozen=True)
class Lacking:
    """Result of `OpenSent` where voxels are missing yet: the indices of their pieces."""

    pieces: tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """Result of `SendPiece`."""


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
    """

    start: tuple[int, int, int]
    labels: Array
    generation: int
    seconds: float

    def mask(self, label: int) -> Mask:
        """The voxels of a label."""
        return Mask.of(self.labels == label, self.start)

    def paste(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        """The labels of a whole volume (z, y, x)."""
        return _pasted(self.start, self.labels, shape)


@dataclass(frozen=True)
class Suggested:
    """Result of `SuggestClick`.

    Parameters
    ----------
    voxel
        Where (z, y, x); None where nothing is in doubt.
    """

    voxel: tuple[int, int, int] | None


@dataclass(frozen=True, eq=False)
class Proposed:
    """Result of `ProposeLabels`: labels of the box that just holds them.

    Parameters
    ----------
    start, labels
        As of `Segmented`; numbers are the model's.
    legend
        What they stand for.
    doubts
        For each label that was found, the share on which two readings of the model differ.
    warnings
        In what this volume is unlike those that taught.
    seconds
        From request to result.
    """

    start: tuple[int, int, int]
    labels: Array
    legend: tuple[Label, ...]
    doubts: Mapping[LabelId, float]
    warnings: tuple[str, ...]
    seconds: float

    def paste(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        """The labels of a whole volume (z, y, x)."""
        return _pasted(self.start, self.labels, shape)

    def masks(self) -> dict[int, Mask]:
        """The voxels of each label that was found."""
        return {
            label.id: mask
            for label in self.legend
            if (mask := Mask.of(self.labels == label.id, self.start))
        }


@dataclass(frozen=True)
class Taught:
    """Result of `TeachModel`: what the model is by now."""

    header: Header


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
class Judged:
    """Result of `JudgeEncoding`: Dice by label and readout; small labels are left out."""

    dice: Mapping[LabelId, Mapping[str, float]]


@dataclass(frozen=True)
class Adapted:
    """Result of `AdaptEncoder`: what was written, and how it did."""

    header: AdapterHeader


@dataclass(frozen=True)
class Closed:
    """Result of `CloseVolume`."""


@dataclass(frozen=True)
class Fetched:
    """Result of `FetchWeights`."""

    sha256: str
    revision: str


@dataclass(frozen=True)
class Prepared:
    """Result of `Prepare`."""


@dataclass(frozen=True)
class Failed:
    """The request could not be carried out.

    Parameters
    ----------
    error
        Name of an error of `napari_dinomed.errors`, or of an unexpected one.
    text
        What the user should read.
    """

    error: str
    text: str


@dataclass(frozen=True)
class Withdrawn:
    """The request was cancelled, or a newer one took its place."""


@dataclass(frozen=True)
class Cancel:
    """Withdraw a request; the envelope's number names it."""


@dataclass(frozen=True)
class Ping:
    """Ask for a sign of life; it is given whatever is computed meanwhile."""


@dataclass(frozen=True)
class Pong:
    """A sign of life.

    Parameters
    ----------
    seconds_at_step
        Since the step began that is being computed; 0 where none is.
    """

    seconds_at_step: float = 0.0


@dataclass(frozen=True)
class Hello:
    """First message of an engine: who it is."""

    version: str
    python: str = ""


Event = Progress | Begun | Notice | SliceLabels
Result = (
    Described
    | Opened
    | Lacking
    | Kept
    | Encoded
    | Segmented
    | Suggested
    | Proposed
    | Taught
    | Estimated
    | Judged
    | Adapted
    | Closed
    | Fetched
    | Prepared
)
Reply = Event | Result | Failed | Withdrawn | Hello | Pong
Message = Request | Sending | Reply | Cancel | Ping

_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *(
            Describe,
            OpenVolume,
            OpenSource,
            OpenSent,
            SendPiece,
            CloseVolume,
            EncodeVolume,
            SegmentVolume,
            SuggestClick,
            ProposeLabels,
            TeachModel,
            EstimateEncoding,
            JudgeEncoding,
            AdaptEncoder,
            FetchWeights,
            Prepare,
        ),
        *(Progress, Begun, Notice, SliceLabels),
        *(Described, Opened, Lacking, Kept, Encoded, Segmented, Suggested, Proposed),
        *(Taught, Closed, Estimated, Judged, Adapted, Fetched, Prepared),
        *(Failed, Withdrawn, Cancel, Hello, Ping, Pong),
    )
}


@dataclass(frozen=True, eq=False)
class Envelope:
    """A message and the number of the request that it belongs to."""

    request: int
    message: Message


# Packed masks, wherever they are nested, are sent as one array of this name.
_MASKS = "packed masks"


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[kind])


def _pasted(
    start: tuple[int, int, int], labels: NDArray[Any], shape: tuple[int, int, int]
) -> NDArray[Any]:
    whole = np.zeros(shape, dtype=labels.dtype)
    box = tuple(
        slice(first, first + length)
        for first, length in zip(start, labels.shape, strict=True)
    )
    whole[box] = labels
    return whole


def to_plain(message: Message) -> tuple[str, Any, dict[str, NDArray[Any]]]:
    """A message's kind, its JSON-ready values, and its arrays, packed masks among them."""
    arrays = {
        f.name: value
        for f in fields(message)
        if isinstance(value := getattr(message, f.name), np.ndarray)
    }
    kind, blobs = type(message).__name__, Blobs()
    body = _adapter(kind).dump_python(
        message, mode="json", exclude=set(arrays), context=blobs
    )
    if blobs.data:
        arrays[_MASKS] = np.frombuffer(blobs.data, dtype=np.uint8)
    return kind, body, arrays


def from_plain(kind: str, body: dict[str, Any], arrays: dict[str, Any]) -> Message:
    """The inverse of `to_plain`; raises ValueError where the values do not fit."""
    if kind not in _TYPES:
        raise ValueError(f"unknown message {kind!r}")
    values = {**body, **arrays}
    packed = values.pop(_MASKS, np.zeros(0, dtype=np.uint8))
    blobs = Blobs(bytearray(packed.tobytes()))
    message: Message = _adapter(kind).validate_python(values, context=blobs)
    return message

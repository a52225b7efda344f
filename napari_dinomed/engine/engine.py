"""The engine: owns volumes, tokens and readouts, and carries out requests.

Each request is a generator of events that ends with its result; a bare None is a place
where it may be interrupted. `Engine.run` drives one to its end in process.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_dinomed.engine.messages import (
    Closed,
    CloseVolume,
    Describe,
    Described,
    Encoded,
    EncoderInfo,
    EncodeVolume,
    Event,
    Fetched,
    FetchWeights,
    Notice,
    Opened,
    OpenSource,
    OpenVolume,
    Progress,
    Request,
    Result,
    Segmented,
    SegmentVolume,
    SliceLabels,
)
from napari_dinomed.errors import Cancelled, EngineError, VolumeError
from napari_dinomed.features.catalog import CATALOG, FILTERS
from napari_dinomed.features.device import choose_device, describe_device
from napari_dinomed.features.encoder import Encoder, make_encoder
from napari_dinomed.features.extraction import block_order, extract_block
from napari_dinomed.features.filters import GREY_CHANNEL
from napari_dinomed.features.stack import (
    Planes,
    SlicePlan,
    SliceStack,
    dense_plan,
    slice_plans,
)
from napari_dinomed.features.store import FeatureStore, feature_signature
from napari_dinomed.features.weights import fetch_weights, is_present, missing_licence
from napari_dinomed.io import read_volume
from napari_dinomed.segment.alike import AlikeField, Responses
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.segment.segmenter import Fields, Scene, Segmenter, make_segmenter
from napari_dinomed.segment.support import SupportField
from napari_dinomed.segment.tokens import TokenBank
from napari_dinomed.segment.turns import Lessons
from napari_dinomed.volume import Volume
from napari_dinomed.volume.volume import BYTES_PER_VOXEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.volume import Window

    Steps = Iterator[Event | Result | None]

_POLL = 0.1


@dataclass(frozen=True, eq=False)
class PlaneTokens:
    """Tokens of a volume's slices along one axis, complete or on their way."""

    encoder: Encoder
    stack: SliceStack
    plan: SlicePlan
    store: FeatureStore
    bank: TokenBank

    def require(self, start: int, stop: int) -> int:
        """Have the tokens of slices ``start`` to ``stop``; how many were computed."""
        if self.bank.ready[start:stop].all():
            return 0
        block, computed = extract_block(
            self.stack, self.plan, self.encoder, self.store, start, stop
        )
        self.bank.put(start, block)
        return (stop - start) * computed

    def require_slices(self, indices: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Have the tokens of single slices, block by block."""
        size = self.encoder.block
        for block in np.unique(indices // size):
            start = int(block) * size
            self.require(start, min(start + size, self.stack.depth))

    def missing(self, near: int) -> list[tuple[int, int]]:
        """Blocks (start, stop) that are not there yet, nearest to a slice first."""
        order = block_order(self.stack.depth, self.encoder.block, near)
        return [
            (start, stop) for start, stop in order if not self.bank.ready[start:stop].all()
        ]


@dataclass(frozen=True, eq=False)
class Encoding:
    """A volume's tokens: along z, and along the other axes where three planes are used."""

    encoder: Encoder
    planes: tuple[PlaneTokens, ...]

    @property
    def banks(self) -> tuple[TokenBank, ...]:
        """Tokens in memory, those along z first."""
        return tuple(plane.bank for plane in self.planes)

    @property
    def window(self) -> Window:
        """How grey values were brought to [0, 1]."""
        return self.planes[0].stack.window


class Engine:
    """Volumes and their features, in memory and on disk."""

    def __init__(self) -> None:
        self._volumes: dict[str, Volume] = {}
        self._encodings: dict[str, Encoding] = {}
        self._supports: dict[str, SupportField] = {}
        self._alikes: dict[str, AlikeField] = {}
        self._filters: dict[str, PlaneTokens] = {}
        self._encoders: dict[tuple[str, str], Encoder] = {}
        self._notices: list[str] = []

    def handle(self, request: Request) -> Steps:
        """Carry out a request.

        Yields
        ------
        Event or Result or None
            Events as they come, None where it may be interrupted, the result last.

        Raises
        ------
        DinomedError
            As the request has it; raised from the first step on.
        """
        if isinstance(request, Describe):
            return self._describe(request)
        if isinstance(request, OpenVolume | OpenSource):
            return self._open(request)
        if isinstance(request, CloseVolume):
            return self._close(request)
        if isinstance(request, EncodeVolume):
            return self._encode(request)
        if isinstance(request, SegmentVolume):
            return self._segment(request)
        return self._fetch(request)

    def run(self, request: Request, on_event: Callable[[Event], None] | None = None) -> Any:
        """Carry out a request to its end and return its result."""
        result: Result | None = None
        for event in self.handle(request):
            if isinstance(event, Progress | Notice | SliceLabels):
                if on_event is not None:
                    on_event(event)
            elif event is not None:
                result = event
        return result

    def banks(self, volume: str) -> tuple[TokenBank, ...]:
        """Tokens of an encoded volume, those along z first."""
        return self._encoding(volume).banks

    def _describe(self, request: Describe) -> Steps:
        encoders = tuple(
            EncoderInfo(
                spec.name,
                spec.title,
                spec.channels,
                spec.parameters,
                spec.licence,
                is_present(spec.name),
                missing_licence(spec.name),
            )
            for spec in CATALOG.values()
        )
        yield Described(describe_device(choose_device(request.device)), encoders)

    def _open(self, request: OpenVolume | OpenSource) -> Steps:
        if isinstance(request, OpenSource):
            volume = read_volume(request.source, request.pick)
        else:
            volume = Volume(
                request.voxels,
                request.geometry,
                request.modality,
                others=tuple(request.others),
            )
        volume.require_content()
        self._forget(request.volume)
        self._volumes[request.volume] = volume
        yield Opened(volume.fingerprint)

    def _close(self, request: CloseVolume) -> Steps:
        self._volumes.pop(request.volume, None)
        self._forget(request.volume)
        yield Closed()

    def _forget(self, name: str) -> None:
        self._encodings.pop(name, None)
        self._supports.pop(name, None)
        self._alikes.pop(name, None)
        self._filters.pop(name, None)

    def _encode(self, request: EncodeVolume) -> Steps:
        yield Progress(0, 0, f"Loading {request.encoder}")
        encoder = self._encoder(request.encoder, request.device)
        encoding = self._begin(request, encoder)
        self._forget(request.volume)
        self._encodings[request.volume] = encoding
        computed = 0
        while (block := _next_missing(encoding.planes, request.first)) is not None:
            plane, start, stop = block
            computed += plane.require(start, stop)
            yield from self._take_notices()
            yield _progress(encoding.planes)
        yield Encoded(
            request.encoder,
            encoder.signature,
            encoder.device,
            encoding.banks[0].grid,
            encoding.banks[0].channels,
            computed,
        )

    def _begin(self, request: EncodeVolume, encoder: Encoder) -> Encoding:
        volume = self._volume(request.volume)
        window = encoder.window or request.window
        plans = _plans(volume, encoder, request.planes)
        return Encoding(
            encoder,
            tuple(
                _begin_plane(volume, window, plan, encoder, request.encoder)
                for plan in plans
            ),
        )

    def _segment(self, request: SegmentVolume) -> Steps:
        begun = time.perf_counter()
        encoding = self._encoding(request.volume)
        volume = self._in_memory(request.volume)
        scene = Scene(
            volume,
            encoding.window,
            encoding.banks,
            "forest" if encoding.encoder.metric == "euclidean" else "blend",
        )
        segmenter = make_segmenter(
            scene, request.prompts, request.labels, request.head, request.threshold
        )
        yield None
        if not encoding.banks[0].ready.all():
            yield from self._preview_slice(encoding, segmenter, request)
        planes = encoding.planes
        if segmenter.asks_for_all_alike:
            planes = (*planes, self._filter_plane(request.volume))
        while (block := _next_missing(planes, request.view_index)) is not None:
            plane, start, stop = block
            plane.require(start, stop)
            yield from self._take_notices()
            yield _progress(planes)
        view = (request.view_axis, request.view_index) if request.preview else None
        fields = Fields(
            partial(self._support, request.volume, scene),
            partial(self._alike, request.volume),
        )
        for labels in segmenter.label_volume(fields, view):
            if labels is None:
                yield None
            elif isinstance(labels, Lessons):
                yield Progress(labels.done, labels.total, "lessons")
            elif isinstance(labels, tuple):
                yield SliceLabels(*labels, request.generation)
            else:
                seconds = time.perf_counter() - begun
                yield Segmented(labels, request.generation, seconds)

    def _preview_slice(
        self, encoding: Encoding, segmenter: Segmenter, request: SegmentVolume
    ) -> Steps:
        """Labels of the slice in view, from no more tokens than that takes."""
        voxels, _ = request.prompts.marks()
        first = encoding.planes[0]
        first.require_slices(voxels[:, 0])
        if request.preview and request.view_axis == 0:
            first.require_slices(np.array([request.view_index]))
            plane = segmenter.label_slice(request.view_index)
            yield SliceLabels(0, request.view_index, plane, request.generation)

    def _support(self, name: str, scene: Scene) -> SupportField:
        if name not in self._supports:
            metric = self._encoding(name).encoder.metric
            self._supports[name] = SupportField(
                scene.volume, scene.window, scene.banks, metric
            )
        return self._supports[name]

    def _alike(self, name: str) -> AlikeField:
        if name not in self._alikes:
            encoding, filters = self._encoding(name), self._filter_plane(name)
            channels = filters.bank.channels - filters.encoder.position_channels
            learnt = encoding.banks if encoding.encoder.is_planar else ()
            responses = Responses(filters.bank, channels, GREY_CHANNEL)
            self._alikes[name] = AlikeField(self._volume(name), responses, learnt)
        return self._alikes[name]

    def _filter_plane(self, name: str) -> PlaneTokens:
        """Filter responses beside a learnt encoder's tokens; begun when first needed."""
        encoding = self._encoding(name)
        if not encoding.encoder.is_planar:
            return encoding.planes[0]
        if name not in self._filters:
            volume = self._volume(name)
            encoder = make_encoder(FILTERS.name, "cpu", self._notices.append)
            plan = _plans(volume, encoder, "one")[0]
            self._filters[name] = _begin_plane(
                volume, encoding.window, plan, encoder, FILTERS.name
            )
        return self._filters[name]

    def _fetch(self, request: FetchWeights) -> Steps:
        news: queue.SimpleQueue[Progress | Fetched | Exception] = queue.SimpleQueue()
        withdrawn = threading.Event()
        threading.Thread(
            target=_download, args=(request.encoder, news, withdrawn), daemon=True
        ).start()
        try:
            while True:
                try:
                    event = news.get(timeout=_POLL)
                except queue.Empty:
                    yield None
                    continue
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Fetched):
                    return
        finally:
            withdrawn.set()

    def _encoder(self, name: str, device: str) -> Encoder:
        if (name, device) not in self._encoders:
            self._encoders.clear()
            self._encoders[name, device] = make_encoder(name, device, self._notices.append)
        return self._encoders[name, device]

    def _take_notices(self) -> Steps:
        while self._notices:
            yield Notice(self._notices.pop(0))

    def _volume(self, name: str) -> Volume:
        if name not in self._volumes:
            raise EngineError("Open the volume first; the engine does not have it.")
        return self._volumes[name]

    def _in_memory(self, name: str) -> Volume:
        """The volume, all of its voxels read: labels need them at every click."""
        volume = self._volume(name)
        if volume.is_lazy:
            require_room(volume)
            volume = replace(volume, array=np.asarray(volume.array))
            self._volumes[name] = volume
        return volume

    def _encoding(self, name: str) -> Encoding:
        if name not in self._encodings:
            raise EngineError("Compute the volume's features first, then click.")
        return self._encodings[name]


def require_room(volume: Volume) -> None:
    """Raise `VolumeError` where labels of a volume would not fit into memory."""
    needed = float(np.prod(volume.array.shape, dtype=np.float64)) * BYTES_PER_VOXEL
    free = psutil.virtual_memory().available
    if needed > free:
        raise VolumeError(
            f"Labelling {volume.geometry} takes about {needed / 1e9:.3g} GB of memory, of "
            f"which {free / 1e9:.3g} GB are free. Open a coarser level of it, or a part."
        )


def _progress(planes: tuple[PlaneTokens, ...]) -> Progress:
    """How many slices are there."""
    done = sum(int(plane.bank.ready.sum()) for plane in planes)
    return Progress(done, sum(plane.bank.depth for plane in planes), "slices")


def _next_missing(
    planes: tuple[PlaneTokens, ...], near: int
) -> tuple[PlaneTokens, int, int] | None:
    """The missing block nearest to the view, or of another plane; None if complete."""
    for plane in planes:
        for start, stop in plane.missing(near if plane.stack.axis == 0 else 0):
            return plane, start, stop
    return None


def _plans(volume: Volume, encoder: Encoder, planes: Planes) -> list[SlicePlan]:
    """How a volume is cut for an encoder."""
    if not encoder.is_planar:
        channels = encoder.channels(1 + len(volume.others))
        return [dense_plan(volume, channels, encoder.spec.stride)]
    side = defaults_for(volume.modality).side
    return slice_plans(volume, side, encoder.spec.stride, planes)


def _begin_plane(
    volume: Volume, window: Window, plan: SlicePlan, encoder: Encoder, name: str
) -> PlaneTokens:
    stack = SliceStack(volume, window, plan.axis, plan.step, plan.shrink)
    grid = encoder.grid(stack.slice_shape, plan)
    shape = (stack.depth, encoder.channels(stack.images), *grid)
    signature = feature_signature(volume, window, plan, encoder)
    store = FeatureStore.for_signature(signature, shape, name)
    bank = TokenBank(shape, volume.array.shape, plan.axis, plan.step)
    return PlaneTokens(encoder, stack, plan, store, bank)


def _download(
    name: str,
    news: queue.SimpleQueue[Progress | Fetched | Exception],
    withdrawn: threading.Event,
) -> None:
    """Fetch weights on a thread of its own; what was fetched so far stays for later."""

    def report(done: int, total: int) -> None:
        if withdrawn.is_set():
            raise Cancelled("withdrawn")
        news.put(Progress(done, total, "bytes"))

    try:
        pin = fetch_weights(name, report)
        news.put(Fetched(pin.sha256, pin.revision))
    except Exception as error:  # noqa: BLE001 - raised again by the request's generator
        news.put(error)

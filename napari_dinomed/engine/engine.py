"""The engine: owns volumes, tokens and readouts, and carries out requests.

Each request is a generator of events that ends with its result; a bare None is a place
where it may be interrupted. `Engine.run` drives one to its end in process.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.engine.adapting import adapting
from napari_dinomed.engine.answers import preview_slice, segmenter_for, slice_labels
from napari_dinomed.engine.encoders import described, fetching, prepared
from napari_dinomed.engine.estimating import estimated
from napari_dinomed.engine.looking import looked
from napari_dinomed.engine.memory import within_memory
from napari_dinomed.engine.messages import (
    AdaptEncoder,
    Begun,
    Closed,
    CloseVolume,
    Describe,
    Encoded,
    EncodeVolume,
    EstimateEncoding,
    Event,
    FetchWeights,
    Judged,
    JudgeEncoding,
    Notice,
    Opened,
    OpenSource,
    OpenVolume,
    Prepare,
    Progress,
    Proposed,
    ProposeLabels,
    ReadProbability,
    Request,
    Result,
    Segmented,
    SegmentVolume,
    Stage,
    SuggestClick,
    Taught,
    TeachModel,
    TellVolume,
)
from napari_dinomed.engine.opened import EncodedVolume, OpenedVolume
from napari_dinomed.engine.telling import volume_told
from napari_dinomed.errors import Cancelled, ForgottenError
from napari_dinomed.features.encoder import Encoder, make_encoder
from napari_dinomed.features.encoding import (
    Encoding,
    PlaneTokens,
    next_missing,
    plans_for,
    slices_done,
)
from napari_dinomed.io.atomic import stamp_of
from napari_dinomed.segment.canvas import BoxLabels
from napari_dinomed.segment.segmenter import PlaneLabels
from napari_dinomed.segment.turns import Lessons
from napari_dinomed.taught.judge import judged
from napari_dinomed.taught.model import read_model
from napari_dinomed.taught.propose import proposed
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun as begin
from napari_dinomed.taught.teach import taught
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.one_object.method import ObjectField
    from napari_dinomed.taught.teach import Seen

    Steps = Iterator[Event | Result | None]
    OfAnswer = SuggestClick | ReadProbability
    OfModel = ProposeLabels | TeachModel | TellVolume
    OfEncoded = SegmentVolume | OfAnswer | OfModel | JudgeEncoding


class Engine:
    """Volumes and their features, in memory and on disk."""

    def __init__(self) -> None:
        self._opened: dict[str, OpenedVolume] = {}
        self._encoders: dict[tuple[str, str], Encoder] = {}
        self._notices: list[str] = []
        self._said: set[str] = set()

    def handle(self, request: Request) -> Steps:
        """Carry out a request.

        Yields
        ------
        Event or Result or None
            Events as they come, None where it may be interrupted, the result last.

        Raises
        ------
        DinomedError
            As the request has it; raised from the first step on. Running out of memory
            is one of them.
        """
        return within_memory(self._steps(request))

    def _steps(self, request: Request) -> Steps:
        if isinstance(request, Describe):
            return described(request)
        if isinstance(request, OpenVolume | OpenSource):
            return self._open(request)
        if isinstance(request, CloseVolume):
            return self._close(request)
        if isinstance(request, EncodeVolume):
            return self._encode(request)
        if isinstance(request, EstimateEncoding):
            return self._estimate(request)
        if isinstance(request, FetchWeights):
            return fetching(request)
        if isinstance(request, Prepare):
            return prepared(request)
        if isinstance(request, AdaptEncoder):
            return adapting(self._volume(request.volume).volume, request)
        return self._of_encoded(request)

    def run(self, request: Request, on_event: Callable[[Event], None] | None = None) -> Any:
        """Carry out a request to its end and return its result."""
        result: Result | None = None
        for event in self.handle(request):
            if isinstance(event, Event):
                if on_event is not None:
                    on_event(event)
            elif event is not None:
                result = event
        return result

    def banks(self, volume: str) -> tuple[TokenBank, ...]:
        """Tokens of an encoded volume, those along z first."""
        return self._volume(volume).encoded.encoding.banks

    def seen(self, volume: str) -> Seen:
        """How a taught model sees an encoded volume."""
        return self._volume(volume).encoded.seen

    def objects(self, volume: str) -> ObjectField:
        """What single objects are found on in an encoded volume."""
        return self._volume(volume).encoded.objects

    def _open(self, request: OpenVolume | OpenSource) -> Steps:
        if isinstance(request, OpenSource):
            # Only now: libraries of the formats come with it.
            from napari_dinomed.io import read_volume

            volume = read_volume(request.source, request.pick)
        else:
            volume = Volume(
                request.voxels,
                request.geometry,
                request.modality,
                others=tuple(request.others),
                colours=request.colours if request.colours.size else None,
            )
        volume.require_content()
        self._opened[request.volume] = OpenedVolume(volume)
        yield Opened(volume.fingerprint)

    def _close(self, request: CloseVolume) -> Steps:
        self._opened.pop(request.volume, None)
        yield Closed()

    def _encode(self, request: EncodeVolume) -> Steps:
        opened = self._volume(request.volume)
        yield Progress(0, 0, Stage.LOADING, request.encoder)
        encoder = self._encoder(request.encoder, request.device)
        encoding = _begin(opened.volume, request, encoder, self._say_once)
        plan = encoding.planes[0].plan
        self._notices.extend(encoder.remarks(opened.volume, plan))
        encoded = opened.encode(encoding, self._say_once)
        yield Begun(request.generation)
        computed = 0
        planes = encoded.planes
        while (block := next_missing(planes, request.first)) is not None:
            plane, start, stop = block
            computed += plane.require(start, stop)
            yield from self._take_notices()
            yield Progress(*slices_done(planes), Stage.SLICES)
            self._require_present(request.volume, encoded)
        yield from encoded.make_ready()
        yield Encoded(
            request.encoder,
            encoder.signature,
            encoder.device,
            encoding.banks[0].grid,
            encoding.banks[0].channels,
            computed,
            request.generation,
            side=min(plan.height, plan.width) if encoder.is_planar else 0,
            axes=len(encoding.planes),
        )

    def _estimate(self, request: EstimateEncoding) -> Steps:
        volume = self._volume(request.volume).volume
        yield None
        encoder = self._encoder(request.encoder, request.device)
        yield from self._take_notices()
        yield from estimated(volume, encoder, request)

    def _of_encoded(self, request: OfEncoded) -> Steps:
        encoded = self._volume(request.volume).encoded
        self._require_present(request.volume, encoded, request.encoding)
        if isinstance(request, SegmentVolume):
            steps = self._answer(request, encoded)
        elif isinstance(request, SuggestClick | ReadProbability):
            steps = self._look(request, encoded)
        elif isinstance(request, ProposeLabels):
            steps = self._propose(request, encoded)
        elif isinstance(request, JudgeEncoding):
            steps = self._judge(request, encoded)
        elif isinstance(request, TellVolume):
            steps = self._tell(request, encoded)
        else:
            steps = self._teach(request, encoded)
        for step in steps:
            yield step
            # Meanwhile another encoder, window or volume may have come.
            if step is None or isinstance(step, Event):
                self._require_present(request.volume, encoded)

    def _answer(self, request: SegmentVolume, encoded: EncodedVolume) -> Steps:
        begun = time.perf_counter()
        encoded.hold()
        encoding = encoded.encoding
        segmenter = segmenter_for(request, encoded)
        yield None
        if not encoding.banks[0].ready.all():
            yield from preview_slice(encoding, segmenter, request)
        is_asked = segmenter.asks_for_all_alike
        planes = encoded.with_filters if is_asked else encoding.planes
        yield from self._completed(planes, request.view_index)
        view = (request.view_axis, request.view_index) if request.preview else None
        for found in segmenter.label_volume(encoded.fields, view):
            if isinstance(found, Lessons):
                yield Progress(found.done, found.total, Stage.LESSONS)
            elif isinstance(found, PlaneLabels):
                yield slice_labels(found, request)
            elif isinstance(found, BoxLabels):
                seconds = time.perf_counter() - begun
                signature = encoding.encoder.signature
                yield Segmented(
                    found.start, found.labels, request.generation, seconds, signature
                )
            else:
                yield None

    def _look(self, request: OfAnswer, encoded: EncodedVolume) -> Steps:
        encoded.hold()
        segmenter = segmenter_for(request.answer, encoded)
        planes = encoded.encoding.planes
        if segmenter.asks_for_all_alike:
            planes = encoded.with_filters
        yield from self._completed(planes, request.answer.view_index)
        yield from looked(request, segmenter, encoded)

    def _propose(self, request: ProposeLabels, encoded: EncodedVolume) -> Steps:
        begun = time.perf_counter()
        encoded.hold()
        yield from self._completed(encoded.encoding.planes, 0)
        model, seen = read_model(Path(request.model)), encoded.seen
        warnings = model.header.require_sight(seen.sight)
        yield None
        described = seen.described(model)
        yield None
        for found in proposed(model, described):
            if found is None:
                yield None
                continue
            seconds = time.perf_counter() - begun
            box, legend = found.box, model.header.labels
            yield Proposed(box.start, box.labels, legend, found.signs, warnings, seconds)

    def _teach(self, request: TeachModel, encoded: EncodedVolume) -> Steps:
        encoded.hold()
        yield from self._completed(encoded.encoding.planes, 0)
        path, seen = Path(request.model), encoded.seen
        since = stamp_of(path)
        model = begin(seen) if since is None else read_model(path)
        yield None
        shape = encoded.volume.array.shape
        labels = np.zeros(shape, dtype=np.int32)
        for number, mask in request.masks.items():
            mask.number(labels, number)
        model = taught(model, seen, labels, request.labels, request.efforts)
        for settling in settled(model):
            yield None
            model = settling
        model.write(path, since)
        yield Taught(model.header)

    def _judge(self, request: JudgeEncoding, encoded: EncodedVolume) -> Steps:
        encoding = encoded.encoding
        yield from self._completed(encoding.planes, 0)
        channels = encoding.banks[0].channels - encoding.encoder.position_channels
        for found in judged(encoding.banks, channels, request.masks):
            yield None if found is None else Judged(found)

    def _tell(self, request: TellVolume, encoded: EncodedVolume) -> Steps:
        yield from self._completed(encoded.encoding.planes, 0)
        yield volume_told(request, encoded)

    def _completed(self, planes: tuple[PlaneTokens, ...], near: int) -> Steps:
        """Have all tokens, the slices near to one first."""
        while (block := next_missing(planes, near)) is not None:
            plane, start, stop = block
            plane.require(start, stop)
            yield from self._take_notices()
            yield Progress(*slices_done(planes), Stage.SLICES)

    def _encoder(self, name: str, device: str) -> Encoder:
        if (name, device) not in self._encoders:
            self._encoders.clear()
            self._encoders[name, device] = make_encoder(name, device, self._notices.append)
        return self._encoders[name, device]

    def _say_once(self, text: str) -> None:
        """Have something said that is true for every volume."""
        if text not in self._said:
            self._said.add(text)
            self._notices.append(text)

    def _take_notices(self) -> Steps:
        while self._notices:
            yield Notice(self._notices.pop(0))

    def _volume(self, name: str) -> OpenedVolume:
        if name not in self._opened:
            raise ForgottenError(
                "The engine has forgotten this volume: ask again, and it is sent anew."
            )
        return self._opened[name]

    def _require_present(
        self, name: str, encoded: EncodedVolume, generation: int | None = None
    ) -> None:
        """Raise `Cancelled` where a volume's encoding is another one by now.

        Parameters
        ----------
        name, encoded
            The volume, and its encoding as it was.
        generation
            Of the encoding that is asked for, if any is.
        """
        opened = self._opened.get(name)
        is_asked = generation in (None, encoded.encoding.generation)
        if opened is None or not opened.has(encoded) or not is_asked:
            raise Cancelled("The volume's features are other ones than were asked for.")


def _begin(
    volume: Volume,
    request: EncodeVolume,
    encoder: Encoder,
    notice: Callable[[str], None],
) -> Encoding:
    window = encoder.window or request.window
    planes = (
        PlaneTokens.begun(volume, window, plan, encoder, request.encoder, notice)
        for plan in plans_for(volume, encoder, request.planes)
    )
    return Encoding(encoder, tuple(planes), request.generation)

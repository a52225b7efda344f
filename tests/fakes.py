"""An engine that answers at once, or when told to, without any process or model."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.asked import Call
from napari_dinomed.engine.messages import (
    Begun,
    Closed,
    CloseVolume,
    Describe,
    Described,
    Encoded,
    EncoderInfo,
    EncodeVolume,
    Estimated,
    EstimateEncoding,
    Judged,
    JudgeEncoding,
    Opened,
    OpenSource,
    OpenVolume,
    PlaneProbability,
    Progress,
    ReadProbability,
    Segmented,
    SegmentVolume,
    SliceLabels,
    Stage,
    SuggestClick,
    Suggested,
    to_plain,
)
from napari_dinomed.engine.place import HERE, Place
from napari_dinomed.errors import Cancelled, DinomedError, EngineError
from napari_dinomed.features.naming import EncoderName


@dataclass
class Asked:
    """A request that the fake was asked, and how to answer it."""

    request: Any
    future: Future
    on_event: Any
    engine: Any

    def cancel(self):
        if not self.future.done():
            self.future.set_exception(Cancelled("withdrawn"))

    def answer(self):
        if self.future.done():
            return
        try:
            result = self.engine.result(self.request, self.on_event or (lambda event: None))
        except DinomedError as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


@dataclass
class FakeEngine:
    """Labels a cube around every included point.

    ``holds`` names kinds of requests that wait for `Asked.answer`. ``opened`` has the
    volumes that are open, and ``encodings`` the generation of each one's encoding.
    """

    holds: tuple[type, ...] = ()
    asked: list[Asked] = field(default_factory=list)
    opened: dict[str, Any] = field(default_factory=dict)
    encodings: dict[str, int] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    place: Place = HERE
    where: str = "CPU on this machine"
    suggests: tuple[int, int, int] | None = (3, 20, 40)

    def submit(self, request, on_event=None) -> Call:
        to_plain(request)  # what cannot be sent fails here as it would on the wire
        asked = Asked(request, Future(), on_event, self)
        self.asked.append(asked)
        if not isinstance(request, self.holds or ()):
            asked.answer()
        return Call(asked.future, asked.cancel)

    def recover(self) -> None:
        """It never hangs."""

    def of(self, kind) -> list[Asked]:
        return [asked for asked in self.asked if isinstance(asked.request, kind)]

    def result(self, request, on_event):
        if isinstance(request, OpenVolume | OpenSource):
            self.opened[request.volume] = request
            self.encodings.pop(request.volume, None)
            if isinstance(request, OpenVolume):
                self.shape = request.voxels.shape
            return Opened("fingerprint")
        if isinstance(request, CloseVolume):
            self.opened.pop(request.volume, None)
            self.encodings.pop(request.volume, None)
            return Closed()
        if isinstance(request, Describe):
            filters = EncoderInfo("filters", "Filters", 20, 0, "BSD", True, None)
            small = EncoderInfo(
                "dinov3-s", "DINOv3 S", 1536, 21, "DINOv3 License", False, None
            )
            return Described("CPU", (filters, small))
        if isinstance(request, EstimateEncoding):
            return Estimated(
                request.encoder, "CPU", 30, 95.0, 2 * 10**9, 3 * 10**8, 4 * 10**9, 10**11
            )
        if isinstance(request, JudgeEncoding):
            return Judged({n: {"probe": 0.8, "knn": 0.7} for n in request.masks})
        if isinstance(request, EncodeVolume):
            return self._encode(request, on_event)
        if isinstance(request, SuggestClick):
            return Suggested(self.suggests)
        if isinstance(request, ReadProbability):
            return self._read_probability(request.answer)
        assert isinstance(request, SegmentVolume)
        return self._segment(request, on_event)

    def _encode(self, request, on_event):
        if request.volume not in self.opened:
            raise EngineError("Open the volume first; the engine does not have it.")
        self.encodings[request.volume] = request.generation
        on_event(Begun(request.generation))
        on_event(Progress(self.shape[0], self.shape[0], Stage.SLICES))
        side = EncoderName.parse(request.encoder).side or 448
        side = 0 if request.encoder == "filters" else side
        axes = 3 if request.planes == "three" else 1
        return Encoded(
            *(request.encoder, "signature", "CPU", (4, 4), 20, 0),
            *(request.generation, side, axes),
        )

    def _read_probability(self, answer):
        """Four fifths in what it would label."""
        found = self._segment(answer, lambda event: None).paste(self.shape)
        parts = 204 * (found.take(answer.view_index, answer.view_axis) > 0)
        return PlaneProbability(answer.view_axis, answer.view_index, parts.astype(np.uint8))

    def _segment(self, request, on_event):
        if request.volume not in self.encodings:
            raise EngineError("Compute the volume's features first, then click.")
        if self.encodings[request.volume] != request.encoding:
            raise Cancelled("other features")
        prompts = request.prompts
        asked = set(prompts.included_labels()) & {
            *(request.wanted or prompts.included_labels())
        }
        labels = np.zeros(
            self.shape, np.uint8 if max(asked, default=0) < 256 else np.uint16
        )
        for label in sorted(asked):
            for voxel, belongs in prompts.marks_for(label)[0]:
                cube = tuple(slice(max(0, v - 2), v + 3) for v in voxel)
                if belongs:
                    labels[cube] = label
                else:
                    labels[cube][labels[cube] == label] = 0
        plane = labels.take(request.view_index, request.view_axis)
        if request.preview:
            event = SliceLabels(
                request.view_axis, request.view_index, plane, request.generation
            )
            on_event(event)
        box = Mask.of(labels > 0).box
        start = tuple(part.start for part in box)
        return Segmented(start, labels[box], request.generation, 0.01)

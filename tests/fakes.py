"""An engine that answers at once, or when told to, without any process or model."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_dinomed.engine.client import Call
from napari_dinomed.engine.messages import (
    Closed,
    CloseVolume,
    Describe,
    Described,
    Encoded,
    EncoderInfo,
    EncodeVolume,
    Opened,
    OpenVolume,
    Progress,
    Segmented,
    SegmentVolume,
    SliceLabels,
    to_plain,
)
from napari_dinomed.errors import Cancelled


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
        if not self.future.done():
            self.future.set_result(self.engine.result(self.request, self.on_event))


@dataclass
class FakeEngine:
    """Labels a cube around every included point.

    ``holds`` names kinds of requests that wait for `Asked.answer`.
    """

    holds: tuple[type, ...] = ()
    asked: list[Asked] = field(default_factory=list)
    shape: tuple[int, ...] = ()

    def submit(self, request, on_event=None) -> Call:
        to_plain(request)  # what cannot be sent fails here as it would on the wire
        asked = Asked(request, Future(), on_event, self)
        self.asked.append(asked)
        if isinstance(request, OpenVolume):
            self.shape = request.voxels.shape
        if not isinstance(request, self.holds or ()):
            asked.answer()
        return Call(asked.future, asked.cancel)

    def of(self, kind) -> list[Asked]:
        return [asked for asked in self.asked if isinstance(asked.request, kind)]

    def result(self, request, on_event):
        if isinstance(request, OpenVolume):
            return Opened("fingerprint")
        if isinstance(request, CloseVolume):
            return Closed()
        if isinstance(request, Describe):
            filters = EncoderInfo("filters", "Filters", 20, 0, "BSD", True, None)
            small = EncoderInfo(
                "dinov3-s", "DINOv3 S", 1536, 21, "DINOv3 License", False, None
            )
            return Described("CPU", (filters, small))
        if isinstance(request, EncodeVolume):
            on_event(Progress(self.shape[0], self.shape[0], "slices"))
            return Encoded(request.encoder, "signature", "CPU", (4, 4), 20, 0)
        assert isinstance(request, SegmentVolume)
        labels = np.zeros(self.shape, np.uint8)
        for point in request.prompts.points:
            cube = tuple(slice(max(0, v - 2), v + 3) for v in point.voxel)
            labels[cube] = point.label if point.include else 0
        plane = labels.take(request.view_index, request.view_axis)
        on_event(
            SliceLabels(request.view_axis, request.view_index, plane, request.generation)
        )
        return Segmented(labels, request.generation, 0.01)

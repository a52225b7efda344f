from __future__ import annotations

import io
import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.engine import wire
from napari_dinomed.engine.messages import (
    Cancel,
    EncodeVolume,
    Envelope,
    OpenSource,
    OpenVolume,
    Progress,
    Segmented,
    SegmentVolume,
)
from napari_dinomed.errors import EngineError
from napari_dinomed.io import Pick, Source
from napari_dinomed.segment.prompts import Label, Meaning, Point, Prompts, Scribble
from napari_dinomed.volume import Geometry, Window

GEOMETRY = Geometry.from_spacing((2, 3, 4), (3.0, 0.7, 0.7), "mm")
MESSAGES = [
    OpenVolume("v", np.arange(24, dtype=np.int16).reshape(2, 3, 4), GEOMETRY, "CT"),
    OpenSource("v", Source((Path("/a/b"),)), Pick("s0", 1, None)),
    OpenSource("v", Source(url="https://host/a.zarr"), Pick()),
    EncodeVolume("v", "filters", Window(0.0, 1.0), first=3),
    SegmentVolume(
        "v",
        Prompts((Point((0, 1, 2), 1),), (Scribble(((0, 0, 0),), 2, include=False),)),
        (Label(1, "µ", (0.1, 0.2, 0.3), Meaning.ALL_LIKE_THIS), Label(2, "b", (0, 0, 0))),
        generation=7,
    ),
    Progress(1, 2, "slices"),
    Segmented(np.zeros((0, 3), np.uint8), 1, 0.5),
    Cancel(),
]


def _frame(envelope):
    stream = io.BytesIO()
    wire.send(stream, envelope)
    return stream.getvalue()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_what_is_sent_is_received(message):
    received = wire.receive(io.BytesIO(_frame(Envelope(5, message))))
    assert received.request == 5
    assert type(received.message) is type(message)
    for name, value in vars(message).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(received.message, name), value)
            assert getattr(received.message, name).dtype == value.dtype
        else:
            assert getattr(received.message, name) == value


def test_the_end_of_the_stream():
    assert wire.receive(io.BytesIO(b"")) is None


@pytest.mark.parametrize("kept", [3, 10, 60, -1])
def test_a_frame_that_is_cut(kept):
    frame = _frame(Envelope(1, MESSAGES[0]))
    with pytest.raises(EngineError):
        wire.receive(io.BytesIO(frame[:kept]))


def test_a_library_that_prints():
    with pytest.raises(EngineError, match="writing to the engine's output"):
        wire.receive(io.BytesIO(b"Downloading 3%...\n" + _frame(Envelope(1, Cancel()))))


def _raw(header, body=b""):
    encoded = json.dumps(header).encode()
    return struct.pack(">4sI", wire.MAGIC, len(encoded)) + encoded + body


def _claiming(**array):
    entry = {"name": "labels", "dtype": "|u1", "shape": [1]} | array
    return _raw({"request": 1, "kind": "Segmented", "body": {}, "arrays": [entry]})


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">4sI", wire.MAGIC, wire.MAX_HEADER + 1),
        _claiming(shape=[10**9, 10**9]),
        _claiming(shape=[-1]),
        _claiming(dtype="|O"),
        _claiming(dtype="nonsense"),
        _raw({"request": 1, "kind": "Nonsense", "body": {}, "arrays": []}),
        _raw({"request": 1, "kind": "Progress", "body": {"done": "x"}, "arrays": []}),
        _raw({"kind": "Cancel"}),
        _raw([1, 2]),
        _raw({"request": 1, "kind": "Cancel", "body": {}, "arrays": [{}] * 9}),
    ],
)
def test_lengths_and_kinds_are_bounded_before_memory_is_taken(frame):
    with pytest.raises(EngineError):
        wire.receive(io.BytesIO(frame))


def test_a_mask_crosses_in_a_few_milliseconds():
    mask = Segmented(np.ones((512, 512), np.uint8), 1, 0.1)
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        wire.receive(io.BytesIO(_frame(Envelope(1, mask))))
        times.append(time.perf_counter() - begun)
    assert np.median(times) < 0.02

from __future__ import annotations

import io
import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Effort, Label, Meaning, State
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke
from napari_dinomed.engine import wire
from napari_dinomed.engine.messages import (
    Begun,
    Cancel,
    EncodeVolume,
    Envelope,
    OpenSource,
    OpenVolume,
    Progress,
    Proposed,
    ProposeLabels,
    Segmented,
    SegmentVolume,
    Stage,
    Taught,
    TeachModel,
)
from napari_dinomed.errors import EngineError
from napari_dinomed.io import Pick, Source
from napari_dinomed.taught.header import (
    Amount,
    Apart,
    Header,
    Lesson,
    Reading,
    Sight,
    Signs,
    Way,
)
from napari_dinomed.volume import Geometry, Window

LABEL = Label(1, "a", (0.1, 0.2, 0.3))
VOXEL = Mask.of_voxels(np.array([(1, 2, 3)]))
GEOMETRY = Geometry.from_spacing((2, 3, 4), (3.0, 0.7, 0.7), "mm")
SIGNS = Signs(0.3, Apart(0.1, 0.2), 40.0)
MESSAGES = [
    OpenVolume("v", np.arange(24, dtype=np.int16).reshape(2, 3, 4), GEOMETRY, "CT"),
    OpenSource("v", Source((Path("/a/b"),)), Pick("s0", 1, None)),
    OpenSource("v", Source(url="https://host/a.zarr"), Pick()),
    EncodeVolume("v", "filters", Window(0.0, 1.0), first=3),
    SegmentVolume(
        "v",
        Prompts(
            (
                Stroke(Mask.of_voxels(np.array([(0, 0, 0), (2, 5, 1)])), 2, include=False),
                Point((0, 1, 2), 1),
                Stroke(Mask.of_voxels(np.array([(1, 1, 1)])), 1),
            )
        ),
        (
            Label(1, "µ", (0.1, 0.2, 0.3), Meaning.ALL_LIKE_THIS),
            Label(2, "b", (0, 0, 0), state=State.DONE),
        ),
        generation=7,
        wanted=(1,),
        encoding=2,
        starts={1: Mask.of_voxels(np.array([(1, 2, 3)]))},
    ),
    ProposeLabels("v", "/models/a.dinomed", 3),
    TeachModel(
        "v",
        "a.dinomed",
        (LABEL,),
        {1: Mask.of_voxels(np.array([(1, 2, 3)]))},
        3,
        {1: Effort(2, 9)},
    ),
    Proposed((3, 4, 5), np.ones((2, 1, 3), np.uint16), (LABEL,), {1: SIGNS}, ("odd",), 0.5),
    Taught(
        Header(
            Sight("e", "e:1", (0, 1, 2), Window(0.0, 1.0), "MR", (1.0, 2.0, 3.0)),
            200.0,
            (
                Lesson(
                    LABEL,
                    {0: Amount(30, 60.0, 90.0, Effort(2, 9)), 1: Amount(20, 40.0)},
                    (Reading(Way("knn", "looks"), 0.5, 1.5, (0.8, 0.9)),),
                    0.1,
                    (0.7, 0.9),
                    {0: Apart(0.1, 0.2), 1: Apart(0.2, 0.1)},
                ),
            ),
            ("a", "b"),
        )
    ),
    Progress(1, 2, Stage.SLICES),
    Begun(4),
    Segmented((0, 0, 0), np.zeros((0, 0, 0), np.uint8), 1, 0.5),
    Segmented((3, 4, 5), np.ones((2, 1, 3), np.uint16), 1, 0.5),
    Cancel(),
]


def _frame(envelope, packs=False):
    stream = io.BytesIO()
    wire.send(stream, envelope, packs)
    return stream.getvalue()


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_what_is_sent_is_received(message, packs):
    received = wire.receive(io.BytesIO(_frame(Envelope(5, message), packs)))
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


def test_labels_are_packed_for_a_slow_link():
    labels = np.zeros((20, 256, 256), np.uint8)
    labels[5:15, 50:200, 60:180] = 3
    found = Envelope(1, Segmented((0, 0, 0), labels, 1, 0.5))
    assert len(_frame(found, packs=True)) * 100 < len(_frame(found))


@pytest.mark.parametrize("packed", [b"", b"nonsense", b"\x28\xb5\x2f\xfd" + bytes(20)])
def test_damaged_packed_labels_are_refused(packed):
    entry = {"name": "labels", "dtype": "|u1", "shape": [9, 9, 9], "packed": len(packed)}
    body = {"start": [0, 0, 0], "generation": 1, "seconds": 1.0}
    header = {"request": 1, "kind": "Segmented", "body": body, "arrays": [entry]}
    with pytest.raises(EngineError, match="packed"):
        wire.receive(io.BytesIO(_raw(header, packed)))


def test_a_mask_crosses_in_a_few_milliseconds():
    mask = Segmented((0, 0, 0), np.ones((1, 512, 512), np.uint8), 1, 0.1)
    times = []
    for _ in range(20):
        begun = time.process_time()
        wire.receive(io.BytesIO(_frame(Envelope(1, mask))))
        times.append(time.process_time() - begun)
    assert np.median(times) < 0.02


def _brushed(side, seed):
    """What a brush leaves on a slice of so many pixels: half of it, with a wavy edge."""
    rows, columns = np.mgrid[:side, :side]
    edge = side / 2 + side / 8 * np.sin(rows / (20 + seed))
    return columns < edge


@pytest.mark.parametrize(("side", "slices"), [(512, 16), (2048, 1)])
def test_whole_painted_slices_cross_as_raw_bytes(side, slices):
    belongs = np.stack([_brushed(side, number) for number in range(slices)])
    strokes = tuple(
        Stroke(Mask.of(belongs[number : number + 1] == side, (number, 0, 0)), 1, side)
        for number in range(slices)
        for side in (True, False)
    )
    label = Label(1, "painted", (1.0, 0.0, 0.0), Meaning.ALL_LIKE_THIS)
    sent = Envelope(1, SegmentVolume("v", Prompts(strokes), (label,)))
    frame = _frame(sent)
    to, back = [], []
    for _ in range(5):
        begun = time.process_time()
        _frame(sent)
        there = time.process_time()
        received = wire.receive(io.BytesIO(frame))
        to.append(there - begun)
        back.append(time.process_time() - there)
    header = struct.unpack(">4sI", frame[:8])[1]
    print(
        f"{slices} slices of {side}²: header {header} B, all {len(frame)} B, "
        f"{1000 * min(to):.1f} ms there, {1000 * min(back):.1f} ms back"
    )
    assert received.message.prompts == sent.message.prompts
    assert header < 100_000
    assert len(frame) < 100_000
    assert max(min(to), min(back)) < 0.2


def _with_masks(change):
    """A frame whose packed masks were changed, and their length with them."""
    (message,) = (m for m in MESSAGES if isinstance(m, SegmentVolume))
    frame = _frame(Envelope(1, message))
    length = struct.unpack(">4sI", frame[:8])[1]
    header, masks = json.loads(frame[8 : 8 + length]), change(frame[8 + length :])
    (entry,) = (e for e in header["arrays"] if e["name"] == "packed masks")
    entry["shape"] = [len(masks)]
    return _raw(header, masks)


@pytest.mark.parametrize(
    "change",
    [
        lambda masks: masks[:-3],
        lambda masks: b"",
        lambda masks: masks[:24] + bytes(len(masks) - 24),
        lambda masks: b"\xff" * len(masks),
        lambda masks: bytes(len(masks)),
    ],
    ids=["cut", "gone", "no bits", "huge", "zeros"],
)
def test_damaged_masks_are_refused(change):
    assert wire.receive(io.BytesIO(_with_masks(lambda masks: masks)))
    with pytest.raises(EngineError):
        wire.receive(io.BytesIO(_with_masks(change)))


NOWHERE = [[0], [5, 2], [-1, 4], ["a", 2], [None, 2], [0, 1e999], {}, "x", 1e999]


@pytest.mark.parametrize("place", NOWHERE)
def test_masks_that_lie_nowhere_are_refused(place):
    stroke = {"mask": place, "label": 1, "include": True}
    body = {"volume": "v", "prompts": {"all": [stroke]}, "labels": []}
    frame = _raw({"request": 1, "kind": "SegmentVolume", "body": body, "arrays": []})
    with pytest.raises(EngineError):
        wire.receive(io.BytesIO(frame))

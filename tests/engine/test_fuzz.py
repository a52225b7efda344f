"""Every message, cut, damaged and made hostile: understood, or one error; nothing else."""

from __future__ import annotations

import io
import json
import random
import struct
import threading
from typing import get_args

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.engine import wire
from napari_dinomed.engine.messages import (
    Adapted,
    AdaptEncoder,
    Closed,
    CloseVolume,
    Describe,
    Described,
    Encoded,
    EncoderInfo,
    Envelope,
    Estimated,
    EstimateEncoding,
    Failed,
    Fetched,
    FetchWeights,
    Hello,
    Judged,
    JudgeEncoding,
    Kept,
    Lacking,
    Message,
    Notice,
    Opened,
    OpenSent,
    OpenVolume,
    Ping,
    PlaneProbability,
    Pong,
    Prepare,
    Prepared,
    ReadProbability,
    Segmented,
    SegmentVolume,
    SendPiece,
    Similar,
    SliceLabels,
    SuggestClick,
    Suggested,
    TellVolume,
    ToldLabel,
    VolumeTold,
    Withdrawn,
)
from napari_dinomed.engine.pieces import Layout
from napari_dinomed.engine.server import Server
from napari_dinomed.errors import EngineError
from napari_dinomed.features.adapter import AdapterHeader, Scale, Trial
from napari_dinomed.volume import Window
from tests.conftest import LONG
from tests.engine.test_wire import GEOMETRY, MESSAGES

CASES = 20_000 if LONG else 2_000
SERVED = 2_000 if LONG else 200
WINDOW = Window(-50.0, 80.0, "w")
BALL = Mask.of_voxels(np.array([[1, 2, 3]]))
LABEL = Label(1, "µ", (1.0, 0.5, 0.0))
ADAPTER = AdapterHeader(
    *(
        "vit",
        "0" * 64,
        "EM",
        Scale((1.0, 1.0, 1.0), "nm", 2.0),
        256,
        4,
        8,
        (10, 11),
        1e-3,
        80,
    ),
    *(("µ",), 1, 4, "slices", (Trial("µ", "probe", (0.5, 0.6), (0.7, 0.8)),)),
)
EVERY = [
    *MESSAGES,
    Describe("cpu"),
    CloseVolume("v"),
    FetchWeights("dinov3-s"),
    Prepare("filters"),
    Notice("µ"),
    SliceLabels(1, 3, np.ones((3, 4), np.uint8), 2),
    Described("CPU", (EncoderInfo("e", "E", 1, 2.0, "BSD", True, None),)),
    Opened("f"),
    Encoded("e", "s", "CPU", (3, 4), 5, 6, 7),
    Closed(),
    Fetched("s", "r"),
    Prepared(),
    Failed("EngineError", "why"),
    Withdrawn(),
    Hello("1", "3"),
    Ping(),
    Pong(0.5),
    OpenSent("v", Layout("<i2", (2, 3, 4)), ("0" * 32,), GEOMETRY, "CT"),
    SendPiece("v", 0, np.arange(9, dtype=np.uint8)),
    Lacking((0, 2)),
    Kept(),
    EstimateEncoding("v", "filters", WINDOW),
    Estimated("e", "CPU", 3, 0.5, 4, 5, 6, 7),
    JudgeEncoding("v", {1: BALL}, 1),
    Judged({1: {"probe": 0.5, "knn": 0.25}}),
    AdaptEncoder(
        "v",
        "dinov3-s",
        "out",
        np.ones((2, 3, 4), np.uint8),
        (Label(1, "µ", (1.0, 0.5, 0.0)),),
    ),
    Adapted(ADAPTER),
    SuggestClick("v", SegmentVolume("v", Prompts((Point((1, 2, 3), 1),)), (LABEL,))),
    Suggested((1, 2, 3)),
    ReadProbability("v", SegmentVolume("v", Prompts((Point((1, 2, 3), 1),)), (LABEL,))),
    PlaneProbability(1, 3, np.ones((3, 4), np.uint8)),
    TellVolume("v", "m.dinowhole", 1),
    VolumeTold((ToldLabel("ill", 0.5, 0.75, (Similar(3, 0.5, True),)),), ("µ",)),
]
HOSTILE = [
    *(float("inf"), float("-inf"), float("nan"), -1, 0, 2**31, 2**63, 2**70, 1e308, 0.5),
    *(None, True, "", "v", "é" * 1000, [], [[]], {}, {"all": []}, [-1], [2**40, 2**40]),
    *("|O", ">f8", "|V8", "S99999999", "f4,f4", "(1,", "<M8[s]", "9" * 5000),
]
DEEP = "[" * 5_000 + "]" * 5_000


def _frame(message, packs=False):
    stream = io.BytesIO()
    wire.send(stream, Envelope(5, message), packs)
    return stream.getvalue()


# Arrays as they are, and packed for a slow link.
PACKED = [m for m in EVERY if isinstance(m, SliceLabels | Segmented | OpenVolume)]
FRAMES = [_frame(m) for m in EVERY] + [_frame(m, packs=True) for m in PACKED]


def _outcome(data):
    """What comes of bytes; whatever is raised but an `EngineError` fails the test."""
    try:
        return wire.receive(io.BytesIO(data))
    except EngineError as error:
        return error


def test_there_is_one_of_every_kind():
    assert {type(message) for message in EVERY} == set(get_args(Message))


@pytest.mark.parametrize("frame", FRAMES, ids=[type(m).__name__ for m in (*EVERY, *PACKED)])
def test_cut_at_every_byte(frame):
    assert _outcome(b"") is None
    for kept in range(1, len(frame)):
        assert isinstance(_outcome(frame[:kept]), EngineError), kept


def _places(value, path=()):
    """Paths to all values in a header."""
    yield path
    inner = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        yield from _places(one, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    first, *rest = path
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[first] = _replaced(changed[first], rest, new)
    return changed


def _hostile(frame, chance):
    """One value of the header is another, or nested deeply."""
    length = struct.unpack(">4sI", frame[:8])[1]
    header, arrays = json.loads(frame[8 : 8 + length]), frame[8 + length :]
    path = chance.choice(list(_places(header)))
    new = chance.choice([*HOSTILE, "deep"])
    text = json.dumps(_replaced(header, path, new)).replace('"deep"', DEEP)
    encoded = text.encode()
    return struct.pack(">4sI", wire.MAGIC, len(encoded)) + encoded + arrays


def _damaged(frame, chance):
    """Bytes are changed, go, or come."""
    data = bytearray(frame)
    for _ in range(chance.choice([1, 1, 2, 8])):
        start = chance.randrange(len(data))
        stop = start + chance.choice([0, 1, 1, 4, 40])
        data[start:stop] = chance.randbytes(chance.choice([0, 1, 1, 4, 40]))
        if not data:
            break
    return bytes(data)


def _garbage(frame, chance):
    """Bytes of no frame, with or without the beginning of one."""
    length = chance.choice([0, 5, 2**16, 2**31, 2**32 - 1])
    begun = struct.pack(">4sI", wire.MAGIC, length)
    return chance.choice([b"", begun, frame[:8]]) + chance.randbytes(chance.randrange(99))


def _case(number):
    chance = random.Random(number)
    make = chance.choice([_hostile, _hostile, _damaged, _garbage])
    return make(chance.choice(FRAMES), chance)


def test_hostile_frames():
    outcomes = [_outcome(_case(number)) for number in range(CASES)]
    refused = sum(isinstance(outcome, EngineError) for outcome in outcomes)
    print(f"{CASES} frames, {refused} refused")
    assert refused > CASES / 2
    assert all(
        outcome is None or isinstance(outcome, Envelope | EngineError)
        for outcome in outcomes
    )


class _Anything:
    """An engine that takes all requests for the same."""

    def handle(self, request):
        yield Notice(type(request).__name__)
        yield Closed()


def _served(data):
    """What a server answers; it must come to an end."""
    outbox = io.BytesIO()
    server = Server(_Anything, io.BytesIO(data), outbox)
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    running.join(60)
    assert not running.is_alive()
    return outbox.getvalue()


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_outlives_no_hostile_client():
    """Whatever it is sent, it says who it is, answers what it understands, and ends."""
    hello = len(_frame(Hello("1", "3")))
    for number in range(SERVED):
        chance = random.Random(number)
        data = b"".join(chance.choice(FRAMES) for _ in range(chance.randrange(4)))
        assert len(_served(data + _case(number))) >= hello

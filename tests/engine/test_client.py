"""The real engine process: results, cancelling, dying, and coming back."""

from __future__ import annotations

import os
import sys
import threading
import time

import numpy as np
import pytest

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine import wire
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.messages import (
    Begun,
    Describe,
    EncodeVolume,
    OpenVolume,
    Progress,
    Stage,
)
from napari_dinomed.engine.place import Place
from napari_dinomed.errors import Cancelled, EngineError, VolumeError
from napari_dinomed.volume import Geometry, Window
from tests.engine.conftest import click

WINDOW = Window(0.0, 130.0)
TIMEOUT = 120


@pytest.fixture
def client(shared_client):
    return shared_client


def _open(client, volume):
    request = OpenVolume("v", volume.array, volume.geometry, volume.modality)
    return client.submit(request).future.result(TIMEOUT)


def test_the_whole_path(client, ball_volume):
    volume, mask = ball_volume
    assert _open(client, volume).fingerprint == volume.fingerprint
    events = []
    encoding = client.submit(EncodeVolume("v", "filters", WINDOW), events.append)
    assert encoding.future.result(TIMEOUT).grid == (24, 28)
    assert Progress(16, 16, Stage.SLICES) in events
    slices = []
    segmented = client.submit(click("v"), slices.append).future.result(TIMEOUT)
    assert dice(mask, segmented.paste(mask.shape) == 1) > 0.85
    assert slices[0].index == 8


def test_errors_keep_their_kind(client, ball_volume):
    volume, _ = ball_volume
    flat = OpenVolume("v", np.zeros_like(volume.array), volume.geometry, "CT")
    with pytest.raises(VolumeError, match="constant"):
        client.submit(flat).future.result(TIMEOUT)


def test_what_cannot_be_sent_fails_alone(client, ball_volume, monkeypatch):
    volume, _ = ball_volume
    _open(client, volume)
    monkeypatch.setattr(wire, "MAX_HEADER", 10)
    with pytest.raises(EngineError, match="some of the prompts"):
        client.submit(click("v")).future.result(TIMEOUT)
    monkeypatch.undo()
    before = client.process_id
    assert client.submit(Describe()).future.result(TIMEOUT).device
    assert client.process_id == before


def test_cancelling(client):
    random = np.random.default_rng(0)
    array = random.integers(0, 255, (120, 256, 256)).astype(np.uint8)
    geometry = Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0), "mm")
    client.submit(OpenVolume("v", array, geometry, "MR")).future.result(TIMEOUT)
    begun = threading.Event()
    call = client.submit(EncodeVolume("v", "filters", WINDOW), lambda _: begun.set())
    assert begun.wait(TIMEOUT)
    call.cancel()
    with pytest.raises(Cancelled):
        call.future.result(TIMEOUT)
    assert client.submit(Describe()).future.result(TIMEOUT).encoders


def test_newer_prompts_take_the_place_of_older_ones(client, ball_volume):
    volume, _ = ball_volume
    _open(client, volume)
    client.submit(EncodeVolume("v", "filters", WINDOW)).future.result(TIMEOUT)
    calls = [client.submit(click("v")) for _ in range(8)]
    assert calls[-1].future.result(TIMEOUT).labels.any()
    ended = [call.future.exception(TIMEOUT) for call in calls[:-1]]
    assert any(isinstance(error, Cancelled) for error in ended)


def test_an_answer_to_one_label_leaves_the_question_for_another_alone(client, ball_volume):
    volume, _ = ball_volume
    _open(client, volume)
    client.submit(EncodeVolume("v", "filters", WINDOW)).future.result(TIMEOUT)
    two = Point((3, 5, 5), 2)
    calls = [client.submit(click("v", two, wanted=(n,))) for n in (1, 2)]
    for number, call in enumerate(calls, start=1):
        assert set(np.unique(call.future.result(TIMEOUT).labels)) <= {0, number}


def test_labels_may_be_asked_for_with_the_features_they_need(client, ball_volume):
    """Sent at once one after another, labels wait until those features have begun."""
    volume, _ = ball_volume
    _open(client, volume)
    client.submit(EncodeVolume("v", "filters", WINDOW)).future.result(TIMEOUT)
    events = []
    other = EncodeVolume("v", "filters", Window(0.0, 100.0), generation=5)
    client.submit(other, events.append)
    stale = client.submit(click("v"))
    asked = client.submit(click("v", encoding=5))
    assert asked.future.result(TIMEOUT).labels.any()
    assert Begun(5) in events
    with pytest.raises(Cancelled):
        stale.future.result(TIMEOUT)


def test_an_engine_that_cannot_start():
    client = EngineClient(Place(("/no/such/engine",)))
    for _ in range(2):
        with pytest.raises(EngineError, match="cannot be started"):
            client.submit(Describe()).future.result(TIMEOUT)
    assert not client._pending


def test_who_fails_at_an_event_still_gets_the_result(client, ball_volume):
    volume, _ = ball_volume
    _open(client, volume)

    def fail(event):
        raise RuntimeError(event)

    encoding = client.submit(EncodeVolume("v", "filters", WINDOW), fail)
    assert encoding.future.result(TIMEOUT).channels == 20


def test_closing_leaves_no_process_no_thread_and_nobody_waiting(ball_volume):
    volume, _ = ball_volume
    before = set(threading.enumerate())
    client = EngineClient()
    _open(client, volume)
    number = client.process_id
    calls = [
        client.submit(EncodeVolume("v", "filters", WINDOW)),
        client.submit(click("v")),
        client.submit(click("v", wanted=(2,))),
    ]
    client.close()
    assert all(
        isinstance(call.future.exception(0), Cancelled | type(None)) for call in calls
    )
    assert isinstance(calls[-1].future.exception(0), Cancelled)
    assert not set(threading.enumerate()) - before
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    with pytest.raises(Cancelled):
        client.submit(Describe()).future.result(0)
    assert client.process_id is None
    client.close()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('hello from a library')", "hello"),
        ("raise SystemExit('gone wrong')", "gone wrong"),
    ],
)
def test_a_program_that_is_no_engine(program, said):
    client = EngineClient(
        Place(
            (
                sys.executable,
                "-c",
                program,
            )
        )
    )
    with pytest.raises(EngineError, match=said):
        client.submit(Describe()).future.result(TIMEOUT)


def test_a_library_that_prints_does_not_break_the_framing(ball_volume, tmp_path):
    """Prints from Python and from C go to standard error, not into the frames."""
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        "import os\n"
        "from napari_dinomed.engine import engine, server\n"
        "opened = engine.Engine._open\n"
        "def loud(self, request):\n"
        "    print('hello from Python', flush=True)\n"
        "    os.write(1, b'hello from C')\n"
        "    yield from opened(self, request)\n"
        "engine.Engine._open = loud\n"
        "server.main()\n"
    )
    volume, _ = ball_volume
    client = EngineClient(
        Place(
            (
                sys.executable,
                str(noisy),
            )
        )
    )
    try:
        assert _open(client, volume).fingerprint == volume.fingerprint
    finally:
        client.close()


def test_a_mask_crosses_two_processes_in_milliseconds(client):
    """A round trip with 512² voxels, beside one without: what the array adds."""
    from napari_dinomed.engine.messages import CloseVolume

    random = np.random.default_rng(0)
    array = random.integers(0, 255, (1, 512, 512)).astype(np.uint8)
    geometry = Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0), "mm")
    _ = client.submit(Describe()).future.result(TIMEOUT)

    def seconds(request):
        begun = time.perf_counter()
        client.submit(request).future.result(TIMEOUT)
        return time.perf_counter() - begun

    with_array = [seconds(OpenVolume("v", array, geometry, "EM")) for _ in range(15)]
    without = [seconds(CloseVolume("v")) for _ in range(15)]
    # The least of each: whatever else the machine does only adds to them.
    assert min(with_array) - min(without) < 0.05

"""The real engine, killed at random moments: it answers all the same, and is gone after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.engine import client as client_module
from napari_dinomed.engine import process as process_module
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.messages import (
    Describe,
    Encoded,
    EncodeVolume,
    Opened,
    OpenVolume,
    Prepared,
    Segmented,
    Taught,
    TeachModel,
)
from napari_dinomed.engine.place import Place
from napari_dinomed.volume import Window
from tests.conftest import LONG
from tests.engine.conftest import click

TIMEOUT = 120
WINDOW = Window(0.0, 130.0)
# Thirty in each state.
KILLS = 180 if LONG else 6
# The longest moment, in seconds, that anything of this small volume takes.
LATEST = 0.6


@pytest.fixture
def scene(ball_volume, tmp_path, monkeypatch):
    """An engine with an encoded volume, and what it is asked while it is killed."""
    monkeypatch.setattr(client_module, "_ROOM_FOR_SPARE", 0)
    volume, mask = ball_volume
    opening = OpenVolume("v", volume.array, volume.geometry, volume.modality)
    encoding = EncodeVolume("v", "filters", WINDOW, generation=1)
    labels = (new_label(1, Meaning.OBJECT),)
    teaching = TeachModel("v", str(tmp_path / "m.dinomed"), labels, {1: Mask.of(mask)}, 1)
    asked = {
        "idle": (),
        "opening": (opening, encoding),
        "encoding": (encoding,),
        "answering": (click(encoding=1),),
        "refining": (click("v", Point((8, 24, 33), 1), encoding=1, wanted=(1,)),),
        "teaching": (teaching,),
    }
    client = EngineClient(has_spare=True)
    deliver, prepared = client._deliver, set()

    def heard(process, envelope):
        if isinstance(envelope.message, Prepared):
            prepared.add(process)
        deliver(process, envelope)

    client._deliver = heard
    for request in (opening, encoding):
        client.submit(request).future.result(TIMEOUT)
    yield client, prepared, asked
    client.close()


# 180 times two or three seconds, until the next spare engine is there.
@pytest.mark.timeout(1800)
def test_killed_at_random_moments_it_answers(scene):
    client, prepared, asked = scene
    random = np.random.default_rng(0)
    expected = client.submit(click(encoding=1)).future.result(TIMEOUT)
    seconds, engines = {}, {client.process_id}
    for number in range(KILLS):
        doing = tuple(asked)[number % len(asked)]
        # As when a user pauses: the spare engine has read its libraries.
        _wait(lambda: client._spare in prepared)
        calls = [client.submit(request) for request in asked[doing]]
        time.sleep(random.uniform(0, LATEST))
        os.kill(client.process_id, signal.SIGKILL)
        killed = time.perf_counter()
        results = [call.future.result(TIMEOUT) for call in calls]
        again = client.submit(click(encoding=1)).future.result(TIMEOUT)
        seconds.setdefault(doing, []).append(time.perf_counter() - killed)
        assert all(isinstance(r, Opened | Encoded | Segmented | Taught) for r in results)
        np.testing.assert_array_equal(again.labels, expected.labels)
        engines.add(client.process_id)
    assert len(engines) == KILLS + 1
    _say(seconds)
    client.close()
    for number in engines:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def _wait(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _say(seconds):
    everything = [one for some in seconds.values() for one in some]
    for doing, some in {**seconds, "all": everything}.items():
        told = f"{np.median(some):.1f} s in the median, {max(some):.1f} s at most"
        print(f"killed while {doing}: {len(some)} times, answered after {told}")


STUCK = """
import os, sys, threading, time
from napari_dinomed.engine import server
class Engine:
    def handle(self, request):
        open(sys.argv[1], "w").close()
        time.sleep(600)
        yield
server._make_engine = Engine
server.main()
"""


PARENT = """
import os, sys, time
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.messages import Describe
from napari_dinomed.engine.place import HERE, Place
doing, stuck, path = sys.argv[1:]
stub = Place((sys.executable, "-c", stuck, path))
client = EngineClient(stub if doing == "stuck" else HERE)
call = client.submit(Describe())
if doing == "idle":
    call.future.result(120)
    client._spare = client._start()
while doing == "stuck" and not os.path.exists(path):
    time.sleep(0.02)
print(client.process_id, getattr(client._spare, "id", ""), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("doing", ["idle", "starting", "stuck"])
def test_an_engine_does_not_outlive_its_client(doing, tmp_path):
    command = [sys.executable, "-c", PARENT, doing, STUCK, str(tmp_path / "at it")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    engines = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    killed = time.monotonic()
    _wait(lambda: not any(_runs(number) for number in engines))
    print(f"killed while {doing}: ended after {time.monotonic() - killed:.1f} s")


def _runs(number):
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_engine_at_a_step_without_end_answers_pings_and_ends_with_its_client(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(process_module, "_SECONDS_TO_EXIT", TIMEOUT)
    path = tmp_path / "at it"
    client = EngineClient(
        Place(
            (
                sys.executable,
                "-c",
                STUCK,
                str(path),
            )
        )
    )
    call = client.submit(Describe())
    _wait(lambda: path.exists() and client._process._seconds_at_step > 0)
    assert not call.future.done()
    begun = time.monotonic()
    client.close()
    assert client.process_id is None
    # It was not waited for in vain, and killed.
    assert time.monotonic() - begun < TIMEOUT

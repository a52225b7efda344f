"""What the client makes of an engine that dies, hangs or talks nonsense."""

from __future__ import annotations

import os
import queue
import signal
import struct
import threading
import time
from dataclasses import replace

import pytest

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.engine import client as client_module
from napari_dinomed.engine import process as process_module
from napari_dinomed.engine.messages import (
    Closed,
    CloseVolume,
    Describe,
    Described,
    Encoded,
    EncodeVolume,
    Notice,
    Opened,
    OpenVolume,
    Prepare,
    Progress,
    Segmented,
    SegmentVolume,
    Stage,
    TeachModel,
)
from napari_dinomed.errors import Cancelled, EngineError
from napari_dinomed.session.session import Session
from napari_dinomed.volume import Window
from tests.conftest import LONG
from tests.engine.conftest import click, opening
from tests.engine.stub import frame

TIMEOUT = 60
ENCODE = EncodeVolume("v", "filters", Window(0.0, 1.0), generation=1)
TEACH = TeachModel("v", "m.dinomed", (), {}, 1)


def _ask(client, request, on_event=None):
    return client.submit(request, on_event).future.result(TIMEOUT)


def _ready(client):
    """A client whose engine has an encoded volume."""
    _ask(client, opening())
    _ask(client, ENCODE)
    return client


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (Describe(), Described),
        (opening(), Opened),
        (ENCODE, Encoded),
        (click(), Segmented),
        (TEACH, Closed),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_one_engine_dies_of_the_next_is_asked(stub, request_, result):
    client = stub.client(f"{type(request_).__name__}=die:1")
    told = []
    assert isinstance(_ask(client, request_, told.append), result)
    assert [event for event in told if isinstance(event, Notice)]
    assert stub.came(type(request_)) == 2


@pytest.mark.parametrize("request_", [Describe(), opening(), ENCODE, click(), TEACH])
def test_what_two_engines_die_of_fails_once(stub, request_):
    kind = type(request_)
    client = stub.client(f"{kind.__name__}=die:1000")
    with pytest.raises(EngineError, match=f"2 times(?s:.)*died of {kind.__name__}"):
        _ask(client, request_)
    assert stub.came(kind) == 2
    assert not client._pending


def test_what_waited_behind_what_died_is_asked_again(stub):
    """However often: it was not what they died of."""
    client = _ready(stub.client("TeachModel=ignore:1000", "SegmentVolume=ignore:2"))
    first, second = client.submit(TEACH), client.submit(click())
    for deaths in (1, 2):
        _wait(lambda deaths=deaths: stub.came(SegmentVolume) == deaths)
        os.kill(client.process_id, signal.SIGKILL)
    assert isinstance(first.future.exception(TIMEOUT), EngineError)
    assert isinstance(second.future.result(TIMEOUT), Segmented)


def test_a_new_engine_knows_what_the_last_one_knew(stub):
    client = _ready(stub.client("SegmentVolume=die:1"))
    assert isinstance(_ask(client, click()), Segmented)
    assert (stub.came(OpenVolume), stub.came(EncodeVolume)) == (2, 2)


def test_an_engine_that_dies_idle_is_replaced_before_anything_is_asked(stub):
    client = _ready(stub.client())
    os.kill(client.process_id, signal.SIGKILL)
    _wait(lambda: stub.came(EncodeVolume) == 2)
    assert isinstance(_ask(client, click()), Segmented)


def test_clicks_around_a_death_are_answered(stub):
    """Before it, and up to 20 ms after it: nobody knows of it yet then."""
    client = _ready(stub.client())
    for delay in (None, 0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05):
        before = client.submit(click())
        dead = client.process_id
        os.kill(dead, signal.SIGKILL)
        time.sleep(delay or 0.0)
        after = client.submit(click())
        assert isinstance(before.future.result(TIMEOUT), Segmented)
        assert isinstance(after.future.result(TIMEOUT), Segmented)
        assert client.process_id != dead


def test_many_kills(stub):
    client = _ready(stub.client())
    for number in range(2000 if LONG else 30):
        calls = [client.submit(click()) for _ in range(3)]
        time.sleep(0.0003 * (number % 10))
        killed = client.process_id
        os.kill(killed, signal.SIGKILL)
        assert all(isinstance(c.future.result(TIMEOUT), Segmented) for c in calls)
        # Killed a second time, a click would be given up.
        _wait(lambda killed=killed: client.process_id not in (killed, None))
    _wait(lambda: not client._pending)


def test_what_was_cancelled_is_not_asked_again(stub):
    client = _ready(stub.client("SegmentVolume=ignore:1"))
    call = client.submit(click())
    _wait(lambda: stub.came(SegmentVolume) == 1)
    call.cancel()
    assert isinstance(call.future.exception(0), Cancelled)
    call.cancel()
    os.kill(client.process_id, signal.SIGKILL)
    _wait(lambda: stub.came(EncodeVolume) == 2)
    assert stub.came(SegmentVolume) == 1


def test_a_closed_volume_is_not_opened_again(stub):
    client = _ready(stub.client())
    _ask(client, opening("other"))
    _ask(client, CloseVolume("v"))
    os.kill(client.process_id, signal.SIGKILL)
    _wait(lambda: stub.came(OpenVolume) == 3)
    _ask(client, Describe())
    assert stub.came(OpenVolume) == 3


def test_closing_a_volume_starts_no_engine(stub):
    client = stub.client()
    assert isinstance(_ask(client, CloseVolume("v")), Closed)
    assert client.process_id is None


def test_a_volume_at_which_engines_die_does_not_take_others_with_it(stub):
    client = stub.client()
    _ask(client, opening("bad"))
    deadly = (*client.place.command, "OpenVolume=die:1000")
    client.place = replace(client.place, command=deadly)
    os.kill(client.process_id, signal.SIGKILL)
    assert isinstance(_ask(client, Describe()), Described)
    assert stub.came(OpenVolume) == 3


# Nonsense


def _claiming(shape):
    text = '{"request": 1, "kind": "Segmented", "body": {}, "arrays": '
    text += f'[{{"name": "labels", "dtype": "|u1", "shape": {shape}}}]}}'
    return struct.pack(">4sI", b"DNM1", len(text)) + text.encode()


NONSENSE = {
    "text": b"Downloading 3%\n",
    "infinity": _claiming("[Infinity]"),
    "nan": _claiming("[NaN]"),
    "overflow": _claiming("[1e30, 10]"),
    "too large": _claiming("[68719476736]"),
    "deep": _claiming("[" * 100_000 + "]" * 100_000),
    "another kind": frame(1, "Ping", {}),
    "a request": frame(1, "CloseVolume", {"volume": "v"}),
    "unknown": frame(1, "Nonsense", {}),
    "long header": struct.pack(">4sI", b"DNM1", 2**32 - 1),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_settles_every_call_and_replaces_the_engine(stub, what):
    deed = f"Describe=raw:{NONSENSE[what].hex()}"
    if len(deed) > 100_000:  # more than a command line holds
        deed = f"Describe=raw@{stub.folder / 'raw'}"
        (stub.folder / "raw").write_bytes(NONSENSE[what])
    client = stub.client(deed)
    calls = [client.submit(Describe()), client.submit(Describe()), client.submit(click())]
    for call in calls[:2]:
        with pytest.raises(EngineError):
            call.future.result(TIMEOUT)
    # It only waited: it is not what engines died of.
    assert isinstance(calls[2].future.result(TIMEOUT), Segmented)
    assert isinstance(_ask(client, click()), Segmented)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemExit, ValueError])
def test_whatever_goes_wrong_while_reading_nobody_waits_for_ever(stub, monkeypatch, error):
    client = _ready(stub.client())

    def fail(stream):
        raise error("while reading")

    monkeypatch.setattr(process_module, "receive", fail)
    calls = [client.submit(click()) for _ in range(3)]
    # It was waiting for the first answer already.
    for call in calls[1:]:
        with pytest.raises(EngineError, match="while reading"):
            call.future.result(TIMEOUT)
    monkeypatch.undo()
    assert isinstance(_ask(client, click()), Segmented)


@pytest.mark.parametrize("error", [MemoryError, SystemExit, ValueError])
def test_whatever_goes_wrong_while_writing_nobody_waits_for_ever(stub, monkeypatch, error):
    client = _ready(stub.client())

    def fail(stream, envelope):
        raise error("while writing")

    monkeypatch.setattr(process_module, "send", fail)
    with pytest.raises(EngineError):
        _ask(client, click())
    monkeypatch.undo()
    assert isinstance(_ask(client, click()), Segmented)


@pytest.mark.parametrize("error", [MemoryError, SystemExit, ValueError])
def test_a_listener_that_fails_harms_nobody(stub, error):
    def fail(event):
        raise error

    client = _ready(stub.client("SegmentVolume=die:1"))
    calls = [client.submit(click(), fail), client.submit(click())]
    assert all(isinstance(call.future.result(TIMEOUT), Segmented) for call in calls)


@pytest.mark.parametrize("name", ["__name__", "annotations", "DinomedError.args", "", "x"])
def test_an_error_of_an_unknown_name_is_an_error(stub, name):
    reply = frame(1, "Failed", {"error": name, "text": "so it is"})
    client = stub.client(f"Describe=raw:{reply.hex()}")
    with pytest.raises(EngineError, match="so it is"):
        _ask(client, Describe())


# Hanging


@pytest.fixture
def watchful(monkeypatch):
    monkeypatch.setattr(client_module, "_TICK", 0.02)
    monkeypatch.setattr(client_module, "_ROOM_FOR_SPARE", 0)


@pytest.fixture
def stop(monkeypatch, watchful):
    """Stop a client's engine, which is then soon taken to hang."""

    def stop_engine(client):
        os.kill(client.process_id, signal.SIGSTOP)
        # Not before: one that only waits for a busy processor does not hang.
        monkeypatch.setattr(process_module, "SECONDS_OF_SILENCE", 0.3)
        return client.process_id

    return stop_engine


def _is_told(told, what):
    return any(isinstance(e, Notice) and what in e.text for e in told)


def test_a_stopped_engine_is_told_of_and_replaced_when_the_user_cancels(stub, stop):
    client = _ready(stub.client())
    stopped, told = stop(client), []
    call, other = client.submit(click(), told.append), client.submit(click())
    _wait(lambda: _is_told(told, "no sign of life"))
    assert Progress(0, 0, Stage.SILENCE) in told
    assert not call.future.done()
    call.cancel()
    assert isinstance(call.future.exception(0), Cancelled)
    client.recover()
    assert isinstance(other.future.result(TIMEOUT), Segmented)
    assert client.process_id != stopped
    assert isinstance(_ask(client, click()), Segmented)


def test_an_engine_that_goes_on_after_all_answers(stub, stop, monkeypatch):
    client = _ready(stub.client())
    told = []
    stop(client)
    call = client.submit(click(), told.append)
    _wait(lambda: _is_told(told, "no sign of life"))
    monkeypatch.setattr(process_module, "SECONDS_OF_SILENCE", TIMEOUT)
    os.kill(client.process_id, signal.SIGCONT)
    assert isinstance(call.future.result(TIMEOUT), Segmented)
    assert _is_told(told, "answers again")
    assert told[-2] == Progress(0, 0, Stage.RELIEF)


def test_a_step_that_does_not_end_is_told_of_and_ended_when_the_user_cancels(
    stub, watchful
):
    client = _ready(stub.client("SegmentVolume=ignore:1", "Ping=pong:61"))
    stuck, told = client.process_id, []
    call = client.submit(click(), told.append)
    _wait(lambda: _is_told(told, "at one step for 61 s"))
    call.cancel()
    client.recover()
    _wait(lambda: client.process_id not in (stuck, None))
    assert isinstance(_ask(client, click()), Segmented)


def test_a_step_that_took_long_is_no_reason_once_it_is_done(stub, watchful):
    client = _ready(stub.client("SegmentVolume=after_pong:61"))
    busy, told = client.process_id, []
    assert isinstance(_ask(client, click(), told.append), Segmented)
    assert not client._process.trouble
    client.recover()
    assert isinstance(_ask(client, Describe()), Described)
    assert client.process_id == busy


def test_an_engine_that_is_only_busy_is_left_alone(stub, watchful):
    client = _ready(stub.client("SegmentVolume=ignore:1", "Ping=pong:5"))
    told = []
    call = client.submit(click(), told.append)
    time.sleep(0.6)
    assert not told
    busy = client.process_id
    call.cancel()
    client.recover()
    assert isinstance(_ask(client, click()), Segmented)
    assert client.process_id == busy


def test_a_session_says_that_it_hangs_and_goes_on_after_cancelling(stub, stop, ball_volume):
    client, todo, said = stub.client(), queue.SimpleQueue(), []
    session = Session(ball_volume[0], client, deliver=todo.put)
    session.noticed.connect(said.append)
    computing = session.computing

    session.add(Point((8, 24, 30), 1))
    _run_until(todo, lambda: not session.document.waiting)
    stopped = stop(client)
    session.add(Point((8, 24, 33), 1))
    _run_until(todo, lambda: said)
    assert "press Cancel" in said[0]
    assert computing.activity.progress.stage is Stage.SILENCE
    computing.cancel()
    assert len(session.document.prompts.points) == 2
    session.add(Point((8, 24, 27), 1))
    _run_until(todo, lambda: not session.document.waiting)
    assert client.process_id != stopped
    session.close()


def _run_until(todo, condition):
    def step():
        while not todo.empty():
            todo.get()()
        return condition()

    _wait(step)


# A spare one


def test_a_spare_engine_takes_over(stub, watchful):
    client = _ready(stub.client(has_spare=True))
    _wait(lambda: client._spare is not None and stub.came(Prepare) == 1)
    spare = client._spare.id
    os.kill(client.process_id, signal.SIGKILL)
    assert isinstance(_ask(client, click()), Segmented)
    assert client.process_id == spare
    _wait(lambda: client._spare is not None and stub.came(Prepare) == 2)


def test_without_memory_for_it_there_is_no_spare_engine(stub, watchful, monkeypatch):
    monkeypatch.setattr(client_module, "_ROOM_FOR_SPARE", 1e18)
    client = _ready(stub.client(has_spare=True))
    time.sleep(0.2)
    assert client._spare is None
    os.kill(client.process_id, signal.SIGKILL)
    assert isinstance(_ask(client, click()), Segmented)


def test_a_spare_engine_may_die(stub, watchful):
    client = _ready(stub.client(has_spare=True))
    _wait(lambda: client._spare is not None)
    os.kill(client._spare.id, signal.SIGKILL)
    _wait(lambda: client._spare is None)
    time.sleep(0.1)
    assert client._spare is None
    assert isinstance(_ask(client, click()), Segmented)


# Closing


def test_closing_withdraws_what_is_under_way(stub):
    client = _ready(stub.client("SegmentVolume=ignore:1000", has_spare=True))
    calls = [client.submit(click()) for _ in range(3)]
    client.close()
    assert all(isinstance(call.future.exception(0), Cancelled) for call in calls)


def test_who_asks_while_it_closes_starts_no_engine(stub):
    for _ in range(20):
        client = _ready(stub.client())
        made, futures, stop = client._start, [], threading.Event()
        started = []
        client._start = lambda made=made, started=started: started.append(1) or made()

        def ask(client=client, futures=futures, stop=stop):
            while not stop.is_set():
                futures.append(client.submit(click()).future)
                time.sleep(0.0005)

        asking = threading.Thread(target=ask)
        asking.start()
        client.close()
        stop.set()
        asking.join()
        client.close()
        assert not started
        assert client.process_id is None
        for future in futures:
            assert isinstance(future.exception(TIMEOUT), Cancelled | None.__class__)
        assert isinstance(futures[-1].exception(0), Cancelled)


def _wait(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)

"""An engine at the end of a command line: what is sent, what is refused, links that end."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_dinomed import __version__
from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.engine import client as client_module
from napari_dinomed.engine import process as process_module
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.courier import Courier
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.guests import GuestEngine
from napari_dinomed.engine.messages import (
    Cancel,
    CloseVolume,
    Describe,
    Described,
    Encoded,
    EncodeVolume,
    Envelope,
    Event,
    Failed,
    FetchWeights,
    Kept,
    Lacking,
    Notice,
    Opened,
    OpenSent,
    OpenSource,
    OpenVolume,
    Prepare,
    Progress,
    ProposeLabels,
    Segmented,
    SegmentVolume,
    SendPiece,
    Stage,
    TeachModel,
    Withdrawn,
)
from napari_dinomed.engine.pieces import Layout, Pieces, unpack
from napari_dinomed.engine.place import Place
from napari_dinomed.errors import DinomedError, EngineError
from napari_dinomed.features.cache import clear, features_folder, list_entries
from napari_dinomed.features.weights import offer_weights
from napari_dinomed.io import Pick, Source
from napari_dinomed.volume import Geometry, Window
from tests.conftest import ball
from tests.engine.conftest import STUB, click, opening

TIMEOUT = 120
LINK = str(Path(__file__).with_name("link.py"))
WINDOW = Window(0.0, 130.0)


# Where it is


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ssh gpubox napari-dinomed engine", "gpubox"),
        ("/usr/bin/ssh -p 22 -i 'a key' -oBatchMode=yes me@gpubox x", "gpubox"),
        ("ssh -vC ssh://me@gpubox:22 x", "gpubox"),
        ("docker exec -i box napari-dinomed engine", "docker"),
        ("", "this machine"),
        ("ssh 'gpubox", "'gpubox"),
    ],
)
def test_a_command_line_says_where_it_leads(line, name):
    place = Place.of(line)
    assert place.name == name
    assert place.is_elsewhere == bool(line)


# Pieces


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u2", "|u1", "|i1", "<f4", "<f8", "|b1"])
def test_pieces_are_the_voxels(dtype, monkeypatch):
    monkeypatch.setattr("napari_dinomed.engine.pieces.PIECE", 64)
    random = np.random.default_rng(0)
    array = random.integers(0, 2 if dtype == "|b1" else 100, (3, 5, 11)).astype(dtype)
    pieces = Pieces([array])
    stored = np.dtype(pieces.layout.dtype)
    raw = [
        unpack(pieces.packed(n), stored.itemsize, cut.last - cut.first)
        for n, cut in enumerate(pieces.layout.cuts())
    ]
    assert len(raw) >= 3
    again = np.concatenate(raw).view(stored).reshape(array.shape)
    np.testing.assert_array_equal(again, array)


def test_a_ct_is_sent_in_less_than_its_bytes(shared_data):
    from napari_dinomed.io import read_volume

    volume = read_volume(shared_data / "ct_abdomen" / "example_ct_sm.nii.gz")
    pieces = Pieces([volume.array])
    sent = sum(pieces.packed(n).size for n in range(len(pieces.names)))
    print(f"{pieces.nbytes / sent:.2f} times smaller")
    assert sent * 1.5 < pieces.nbytes


@pytest.mark.parametrize(
    "layout",
    [
        Layout("<i2", (0, 3, 4)),
        Layout("<i2", (2, 3, 4), others=9),
        Layout("<f16", (2, 3, 4)),
        Layout("<i2", (2**20, 2**20, 2**20)),
    ],
)
def test_layouts_that_are_none(layout):
    with pytest.raises(EngineError):
        _ = layout.nbytes


# The engine's side


class Talk:
    """A guest's engine in this process, and a client's courier, one message at a time."""

    def __init__(self, engine):
        self.engine, self.came, self.heard = engine, [], []
        self.queue = []
        self.courier = Courier(self.queue.append, self.heard.append)

    def ask(self, number, request):
        """Post a request; what is answered in the end."""
        self.courier.post(Envelope(number, request))
        return self.until(number)

    def until(self, number):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            self.step()
            for told in self.heard:
                if told.request == number and not isinstance(told.message, Event):
                    return told.message
        raise AssertionError("waited in vain")

    def step(self):
        """Carry out what was posted first."""
        if not self.queue:
            time.sleep(0.002)
            return
        envelope = self.queue.pop(0)
        self.came.append(envelope.message)
        try:
            for reply in self.engine.handle(envelope.message):
                self._hear(Envelope(envelope.request, reply) if reply else None)
        except DinomedError as error:
            failed = Failed(type(error).__name__, str(error))
            self._hear(Envelope(envelope.request, failed))

    def _hear(self, envelope):
        told = self.courier.hear(envelope) if envelope is not None else None
        if told is not None:
            self.heard.append(told)

    def sent(self):
        """How many pieces came."""
        return sum(isinstance(message, SendPiece) for message in self.came)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr("napari_dinomed.engine.pieces.PIECE", 16 * 1024)


@pytest.fixture
def opened(ball_volume):
    volume, _ = ball_volume
    return OpenVolume("v", volume.array, volume.geometry, volume.modality)


def test_a_volume_is_sent_once(opened, small_pieces, home):
    talk = Talk(GuestEngine(Engine()))
    fingerprint = Engine().run(opened).fingerprint
    assert talk.ask(1, opened) == Opened(fingerprint)
    count = talk.sent()
    assert count == len(Pieces([opened.voxels]).names) > 2
    progress = [one.message for one in talk.heard if isinstance(one.message, Progress)]
    assert progress[-1] == Progress(count, count, Stage.SENDING)
    # Another client, another name, another engine: it is found by what is in it.
    later = Talk(GuestEngine(Engine()))
    assert later.ask(1, replace(opened, volume="other")) == Opened(fingerprint)
    assert later.sent() == 0
    assert [entry.encoder for entry in list_entries()] == ["a volume that was sent"]
    assert clear() > 0


def test_others_are_sent_too(opened, small_pieces):
    voxels = opened.voxels
    others = np.stack(
        [voxels.astype(np.uint16), np.arange(voxels.size).reshape(voxels.shape)]
    )
    request = replace(opened, others=others.astype(np.uint16))
    engine = Engine()
    assert isinstance(Talk(GuestEngine(engine)).ask(1, request), Opened)
    np.testing.assert_array_equal(engine._opened["v"].volume.others[1], others[1])


def test_only_what_lacks_is_sent_again(opened, small_pieces):
    assert isinstance(Talk(GuestEngine(Engine())).ask(1, opened), Opened)
    folder = next(features_folder().iterdir())
    pieces = sorted(path for path in folder.iterdir() if path.suffix != ".json")
    pieces[0].unlink()
    pieces[1].write_bytes(pieces[1].read_bytes()[:-1])
    pieces[2].write_bytes(pieces[3].read_bytes())
    talk = Talk(GuestEngine(Engine()))
    assert isinstance(talk.ask(1, opened), Opened)
    assert talk.sent() == 3


def test_a_cache_that_cannot_be_written_stops_nothing(opened, small_pieces, home):
    (home / "cache").write_text("a file where a folder should be")
    assert isinstance(Talk(GuestEngine(Engine())).ask(1, opened), Opened)


def test_a_lazy_volume_is_read_here_and_sent(tmp_path, small_pieces):
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).integers(0, 99, (20, 30, 40), np.int16))
    request = OpenSource("v", Source((path,)), Pick())
    talk = Talk(GuestEngine(Engine()))
    assert isinstance(talk.ask(1, request), Opened)
    assert talk.sent() > 1


def test_what_cannot_be_read_here_fails_alone(opened):
    talk = Talk(GuestEngine(Engine()))
    lost = OpenSource("w", Source((Path("/no/such/volume.nii"),)), Pick())
    talk.courier.post(Envelope(1, lost))
    assert talk.ask(2, CloseVolume("x"))
    assert isinstance(talk.until(1), Failed)


def test_what_is_said_of_a_volume_waits_for_it_and_nothing_else_does(opened, small_pieces):
    talk = Talk(GuestEngine(Engine()))
    encode = EncodeVolume("v", "filters", WINDOW, generation=1)
    talk.courier.post(Envelope(1, opened))
    talk.courier.post(Envelope(2, encode))
    talk.courier.post(Envelope(3, Describe("cpu")))
    talk.courier.post(Envelope(4, EncodeVolume("v", "filters", WINDOW, generation=2)))
    talk.courier.post(Envelope(4, Cancel()))
    assert isinstance(talk.until(3), Described)
    assert isinstance(talk.until(2), Encoded)
    kinds = [type(message) for message in talk.came]
    assert kinds.index(Describe) < kinds.index(EncodeVolume)
    assert kinds.count(EncodeVolume) == 1


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_a_volume_that_is_closed_on_its_way(opened, small_pieces, steps):
    talk = Talk(GuestEngine(Engine()))
    talk.courier.post(Envelope(1, opened))
    for _ in range(steps):
        while not talk.queue:
            time.sleep(0.002)
        talk.step()
    assert not isinstance(talk.ask(2, CloseVolume("v")), Failed)
    assert isinstance(talk.until(1), Withdrawn | Opened)
    assert isinstance(talk.ask(3, opened), Opened)


def test_an_engine_that_keeps_nothing_is_not_sent_for_ever(opened, small_pieces):
    class Forgetful:
        def handle(self, request):
            yield Lacking((0,)) if isinstance(request, OpenSent) else Kept()

    failed = Talk(Forgetful()).ask(1, opened)
    assert isinstance(failed, Failed)
    assert "cannot keep" in failed.text


@pytest.mark.parametrize(
    "request_",
    [
        OpenSource("v", Source((Path("/etc/passwd"),)), Pick()),
        EncodeVolume("v", "file:/home/me/w.safetensors", WINDOW),
        EncodeVolume("v", "dinov3-s+/home/me/a.dinoadapt", WINDOW),
        Prepare("file:/home/me/w.safetensors"),
        FetchWeights("../../w"),
        ProposeLabels("v", "/home/me/m.dinomed"),
        TeachModel("v", "/home/me/m.dinomed", (), {}),
    ],
    ids=lambda request: type(request).__name__,
)
def test_it_opens_no_file_that_it_is_told_of(request_):
    with pytest.raises(EngineError, match="opens nothing but its own cache and weights"):
        list(GuestEngine(Engine()).handle(request_))


@pytest.mark.parametrize("piece", [-1, 10**9])
def test_pieces_that_are_none(opened, piece):
    guest = GuestEngine(Engine())
    data = np.zeros(9, np.uint8)
    with pytest.raises(EngineError, match="not announced"):
        list(guest.handle(SendPiece("v", 0, data)))
    pieces = Pieces([opened.voxels])
    sent = OpenSent("v", pieces.layout, pieces.names, opened.geometry, "CT")
    list(guest.handle(sent))
    for index, said in ((piece, "has none"), (0, "damaged")):
        with pytest.raises(EngineError, match=said):
            list(guest.handle(SendPiece("v", index, data)))


@pytest.mark.parametrize("names", [(), ("../../../../tmp/" + "0" * 16,), ("0" * 31 + "/",)])
def test_names_of_pieces_are_no_paths(opened, names):
    sent = OpenSent("v", Layout("<i2", (2, 3, 4)), names, opened.geometry, "CT")
    with pytest.raises(EngineError, match="not those of its layout"):
        list(GuestEngine(Engine()).handle(sent))


def test_weights_in_a_file_of_its_own_are_offered(vit_weights):
    name = offer_weights(vit_weights)
    guest = GuestEngine(Engine())
    described = list(guest.handle(Describe("cpu")))[-1]
    assert name in [info.name for info in described.encoders]
    with pytest.raises(DinomedError, match="has forgotten this volume"):
        list(guest.handle(EncodeVolume("v", name, WINDOW)))


# Command lines that lead nowhere


@pytest.fixture
def reach():
    """A client at the end of a command line; closed after the test."""
    clients = []

    def make(*command):
        clients.append(EngineClient(Place(tuple(command), is_elsewhere=True)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def far(reach, tmp_path):
    """A client of a stub at the end of a link."""

    def make(*deeds, version=__version__):
        down = str(tmp_path / "down")
        link = (sys.executable, "-S", "-E", LINK, "--down", down)
        stub = (sys.executable, "-S", "-E", str(STUB), str(tmp_path), f"version={version}")
        return reach(*link, *stub, *deeds)

    return make


SHELL = ("sh", "-c")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/no/such/program",), "cannot be started"),
        ((*SHELL, "exec no-such-program"), "Install napari-dinomed there"),
        (
            (*SHELL, "echo 'me@x: Permission denied (publickey).' >&2; exit 255"),
            "set up a key",
        ),
        ((*SHELL, "echo Welcome to gpubox"), "says 'Welcome to gpubox'"),
        ((*SHELL, "cat /dev/zero"), "No engine on sh"),
        ((*SHELL, "exit 3"), "Try the command in a terminal"),
        ((*SHELL, "printf DNM1nonsense"), "do not understand each other"),
    ],
)
def test_a_command_that_leads_to_no_engine_is_one_line(reach, command, said):
    client, begun = reach(*command), time.monotonic()
    future = client.submit(Describe()).future
    error = future.exception(TIMEOUT)
    assert isinstance(error, EngineError)
    assert said in str(error)
    assert "\n" not in str(error)
    assert time.monotonic() - begun < process_module._SECONDS_TO_START


@pytest.mark.parametrize(
    ("does", "asks", "said"),
    [
        ("sleep 600", b"", "wait for a password"),
        ("echo Password:; sleep 600", b"Password:", "'Password:'"),
    ],
)
def test_a_command_that_waits_for_something_is_one_line(
    reach, monkeypatch, does, asks, said
):
    monkeypatch.setattr(client_module, "_TICK", 0.02)
    client = reach(*SHELL, does)
    call = client.submit(Describe())
    shell = psutil.Process(client.process_id)
    _wait(lambda: asks in client._process._inbox.skipped)
    monkeypatch.setattr(process_module, "_SECONDS_TO_START", 0.5)
    error = call.future.exception(TIMEOUT)
    assert said in str(error)
    assert "\n" not in str(error)
    # Nothing that the command started is left.
    psutil.wait_procs([shell], TIMEOUT)
    assert not shell.is_running()


def test_a_greeting_is_left_out(far):
    client = far("greets=Welcome to gpubox!\nLast login: today\n")
    assert isinstance(client.run(Describe()), Described)


@pytest.mark.parametrize(
    ("version", "side"), [("0.0.1", "update sys"), ("99.0", "update this machine")]
)
def test_versions_that_differ_are_one_line(far, version, side, monkeypatch):
    monkeypatch.setattr(Place, "name", property(lambda place: "sys"))
    error = far(version=version).submit(Describe()).future.exception(TIMEOUT)
    assert isinstance(error, EngineError)
    assert side in str(error)
    assert version in str(error)
    assert __version__ in str(error)
    assert "\n" not in str(error)


# Links that end


@pytest.fixture
def watchful(monkeypatch):
    monkeypatch.setattr(client_module, "_TICK", 0.02)


def _cut(client):
    """End the link as ssh ends where the network does."""
    os.kill(client.process_id, signal.SIGTERM)


def _wait(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def _ready(client):
    client.run(opening())
    client.run(EncodeVolume("v", "filters", WINDOW, generation=1))
    return client


def test_a_click_under_way_when_the_link_is_cut_is_answered(far):
    client = _ready(far("SegmentVolume=ignore:1"))
    told = []
    call = client.submit(click(), told.append)
    _wait(lambda: call.future.done() or _came(client, "SegmentVolume") == 1)
    _cut(client)
    assert isinstance(call.future.result(TIMEOUT), Segmented)
    assert any(isinstance(e, Notice) and "Nothing is lost" in e.text for e in told)


def _came(client, kind):
    words = client.place.command
    path = Path(words[words.index(str(STUB)) + 1]) / kind
    return path.stat().st_size if path.exists() else 0


def test_many_cuts_are_no_reason_to_give_a_request_up(far):
    client = _ready(far("SegmentVolume=ignore:5"))
    call = client.submit(click())
    for number in range(1, 6):
        _wait(lambda number=number: _came(client, "SegmentVolume") == number)
        _cut(client)
    assert isinstance(call.future.result(TIMEOUT), Segmented)


def test_a_link_that_comes_back_later_is_waited_for(far, tmp_path):
    client = _ready(far("SegmentVolume=ignore:1"))
    told = []
    call = client.submit(click(), told.append)
    _wait(lambda: _came(client, "SegmentVolume") == 1)
    (tmp_path / "down").touch()
    _cut(client)
    _wait(lambda: any(isinstance(e, Notice) and "is cut" in e.text for e in told))
    (tmp_path / "down").unlink()
    assert isinstance(call.future.result(TIMEOUT), Segmented)


def test_a_link_that_does_not_come_back_is_one_line_and_the_next_click_tries(
    far, tmp_path, monkeypatch
):
    monkeypatch.setattr(client_module, "_MOST_TRIES", 1)
    client = _ready(far("SegmentVolume=ignore:1"))
    call = client.submit(click())
    _wait(lambda: _came(client, "SegmentVolume") == 1)
    (tmp_path / "down").touch()
    _cut(client)
    assert "No route to host" in str(call.future.exception(TIMEOUT))
    (tmp_path / "down").unlink()
    assert isinstance(client.run(click()), Segmented)


def test_cancelling_while_there_is_no_link(far, tmp_path):
    client = _ready(far("SegmentVolume=ignore:1"))
    told = []
    call = client.submit(click(), told.append)
    _wait(lambda: _came(client, "SegmentVolume") == 1)
    (tmp_path / "down").touch()
    _cut(client)
    _wait(lambda: any(isinstance(e, Notice) and "is cut" in e.text for e in told))
    call.cancel()
    assert call.future.done()


def test_a_link_that_falls_silent_is_replaced_by_itself(far, watchful, monkeypatch):
    client = _ready(far())
    _wait(lambda: client.where != client.place.name)
    silent = client.process_id
    os.kill(silent, signal.SIGSTOP)
    call = client.submit(click())
    with monkeypatch.context() as impatient:
        # Of this one alone: the next may be slow where the machine is busy.
        impatient.setattr(process_module, "SECONDS_OF_SILENCE", 0.3)
        _wait(lambda: client.process_id != silent)
    assert isinstance(call.future.result(TIMEOUT), Segmented)
    assert client.process_id != silent


def test_the_first_words_say_where_and_how_far(far, watchful):
    client = far("Ping=pong:0")
    assert client.where == Path(sys.executable).stem
    client.run(Describe())
    _wait(lambda: "ms away" in client.where)
    assert client.where.startswith("none on")


# The real engine, at the end of a real command line


def test_a_real_engine_through_a_slow_link_answers_as_one_here(reach, shared_client):
    shape = (24, 128, 128)
    mask = ball(shape, (12, 60, 70), 9.0, (2.0, 1.0, 1.0))
    noise = np.random.default_rng(0).normal(0, 5, shape)
    voxels = (40 + 60 * mask + noise).astype(np.int16)
    geometry = Geometry.from_spacing(shape, (2.0, 1.0, 1.0), "mm")
    opening = OpenVolume("big", voxels, geometry, "CT")
    encode = EncodeVolume("big", "filters", WINDOW, generation=1)
    labels = (new_label(1, Meaning.OBJECT),)
    prompts = Prompts((Point((12, 60, 70), 1),))
    asked = (opening, encode, SegmentVolume("big", prompts, labels, encoding=1))
    link = (sys.executable, LINK, "--delay", "5", "--megabits", "20")
    client = reach(*link, sys.executable, "-m", "napari_dinomed", "engine")
    events = []
    calls = [client.submit(request, events.append) for request in asked]
    # In the middle of sending it, the link is cut: what came is not sent again.
    _wait(lambda: any(call.future.done() for call in calls) or _sent(events) >= 1)
    _cut(client)
    found = calls[-1].future.result(TIMEOUT)
    assert found.labels.any()
    here = [shared_client.run(request) for request in asked][-1]
    assert here.start == found.start
    np.testing.assert_array_equal(here.labels, found.labels)
    with pytest.raises(EngineError, match=r"^python.*: An engine on another machine"):
        client.run(EncodeVolume("big", "file:/w.safetensors", WINDOW))


def _sent(events):
    steps = [e.done for e in events if isinstance(e, Progress) and e.stage is Stage.SENDING]
    return max(steps, default=0)

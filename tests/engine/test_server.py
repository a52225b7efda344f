"""What newer requests make stale, and clients that leave without a word."""

from __future__ import annotations

import io
import os
import threading
from functools import partial

import pytest

from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.engine import server as server_module
from napari_dinomed.engine.messages import (
    CloseVolume,
    EncodeVolume,
    Prepare,
    ReadProbability,
    SegmentVolume,
)
from napari_dinomed.engine.server import Job, Server, _replaces
from napari_dinomed.volume import Window

segment = partial(SegmentVolume, prompts=Prompts(), labels=())
encode = partial(EncodeVolume, encoder="filters", window=Window(0.0, 1.0))


@pytest.mark.parametrize(
    ("new", "old", "is_stale"),
    [
        (segment("v"), segment("v"), True),
        (segment("v"), segment("w"), False),
        (segment("v"), segment("v", wanted=(1,)), True),
        (segment("v", wanted=(1,)), segment("v", wanted=(1,)), True),
        (segment("v", wanted=(1, 2)), segment("v", wanted=(2,)), True),
        (segment("v", wanted=(1,)), segment("v", wanted=(2,)), False),
        (segment("v", wanted=(1,)), segment("v", wanted=(1, 2)), False),
        (segment("v", wanted=(1,)), segment("v"), False),
        (segment("v", wanted=(1,), encoding=2), segment("v", wanted=(2,)), True),
        (encode("v"), encode("v"), True),
        (encode("v"), encode("w"), False),
        (encode("v"), segment("v"), False),
        (segment("v"), encode("v"), False),
        (segment("v"), CloseVolume("v"), False),
    ],
)
def test_what_a_newer_request_makes_stale(new, old, is_stale):
    assert _replaces(new, old) is is_stale


def test_a_look_at_an_answer_waits_for_answers_and_for_nothing_else():
    look = ReadProbability("v", segment("v"))
    jobs = [
        Job(1, Prepare("filters"), iter(())),
        Job(2, encode("v"), iter(()), has_begun=True),
        Job(3, look, iter(())),
        Job(4, segment("v"), iter(())),
        Job(5, CloseVolume("v"), iter(())),
    ]
    ordered = sorted(jobs, key=lambda job: job.urgency)
    assert [job.number for job in ordered] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("is_far", [True, False])
def test_a_client_elsewhere_that_falls_silent_has_left(monkeypatch, is_far):
    monkeypatch.setattr(server_module, "_SECONDS_OF_SILENCE", 0.05)
    reading, writing = os.pipe()
    left = threading.Event()
    with os.fdopen(reading, "rb") as inbox:
        server = Server(object, inbox, io.BytesIO(), left.set, is_far)
        serving = threading.Thread(target=server.run)
        serving.start()
        assert left.wait(10 if is_far else 0.3) is is_far
        os.close(writing)
        serving.join()

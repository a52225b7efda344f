"""Windows on one image, each a process of its own: neither overwrites the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.file import load_document
from tests.session.window_process import SHAPE, volume_number

# Clicks of each of two windows that fight over a volume.
CLICKS = 40


class Window:
    def __init__(self, home):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.session.window_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NAPARI_DINOMED_HOME": str(home)},
        )

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def do(self, line):
        self.say(line)
        return self.hear()

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def common_home(tmp_path_factory):
    return tmp_path_factory.mktemp("common")


@pytest.fixture
def home(common_home, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(common_home))
    return common_home


@pytest.fixture(scope="module")
def windows(common_home):
    made = Window(common_home), Window(common_home)
    yield made
    for window in made:
        window.end()


@pytest.fixture
def third(home):
    window = Window(home)
    yield window
    window.end()


def clicks_in(path):
    points = load_document(path).document.prompts.points
    return [int(np.ravel_multi_index(one.voxel, SHAPE)) for one in points]


def kept(number):
    """Clicks of a volume's document."""
    return clicks_in(Autosave(volume_number(number).fingerprint).path)


def kept_anywhere(number):
    path = Autosave(volume_number(number).fingerprint).path
    stem = path.name.partition(".")[0]
    return {click for one in path.parent.glob(f"{stem}*.json") for click in clicks_in(one)}


def test_the_second_is_told_and_changes_nothing(windows, home):
    first, second = windows
    first.do("open 1")
    first.do("click 5")
    told = second.do("open 1")
    assert told["only_looks"]
    assert "open in another window" in told["said"][0]
    assert told["clicks"] == [5]
    refused = second.do("click 6")
    assert "only looks" in refused["said"][0]
    assert refused["clicks"] == [5]
    assert first.do("click 7")["said"] == []
    assert kept(1) == [5, 7]
    first.do("close")
    gone_on = second.do("take_over")
    assert gone_on["clicks"] == [5, 7]
    assert not gone_on["only_looks"]
    second.do("click 8")
    assert kept(1) == [5, 7, 8]
    second.do("close")


def test_who_took_over_has_the_volume(windows, home):
    """Even though the one before was open all the while, and closes later."""
    first, second = windows
    first.do("open 2")
    first.do("click 5")
    second.do("open 2")
    second.do("take_over")
    second.do("click 6")
    told = first.do("click 7")
    assert told["only_looks"]
    assert "Another window has changed" in told["said"][0]
    second.do("click 8")
    closed = first.do("close")
    assert "kept-1" in closed["said"][0]
    assert kept(2) == [5, 6, 8]
    assert kept_anywhere(2) == {5, 6, 7, 8}
    assert first.do("open 2")["only_looks"]
    for window in windows:
        window.do("close")


def test_two_that_fight_lose_nothing(windows, home):
    """Whatever a window was told to be saved is in a file, however they interleave."""
    for number, window in enumerate(windows):
        window.do("open 3")
        window.say(f"fight {CLICKS * number + 1} {CLICKS * (number + 1)}")
    saved = [window.hear()["saved"] for window in windows]
    for window in windows:
        window.do("close")
    assert min(map(len, saved)) > CLICKS / 4
    assert not {*saved[0], *saved[1]} - kept_anywhere(3)


def test_a_window_that_stands_still_in_writing(windows, third, home):
    """The next one says that it waits, does not hang, and saves once it is gone."""
    second = windows[1]
    third.do("open 4")
    third.do("click 5")
    second.do("open 4")
    third.do("stop_in_writing")
    third.say("click 6")
    os.waitpid(third.process.pid, os.WUNTRACED)
    second.do("take_over")
    told = second.do("click 7")
    assert "another window has been writing it" in told["said"][0]
    assert kept(4) == [5]
    third.process.send_signal(signal.SIGKILL)
    third.process.wait()
    assert second.do("click 8")["said"] == []
    assert kept(4) == [5, 7, 8]
    second.do("close")


def test_a_window_that_was_killed_holds_nothing(windows, third, home):
    first = windows[0]
    third.do("open 5")
    third.do("click 5")
    third.end()
    assert first.do("open 5")["said"] == []
    assert first.do("click 6")["clicks"] == [5, 6]
    first.do("close")

"""Gaps of a window, and what was done in them."""

from __future__ import annotations

import time
import weakref

import pytest
from qtpy.QtCore import QEventLoop, QTimer

from napari_dinomed.plugin.gaps import LONG, Gaps
from tests.plugin.test_window import pytestmark  # noqa: F401


class Thing:
    """Something that a call has, and nobody else."""


@pytest.fixture
def gaps(qtbot):
    made = Gaps()
    yield made
    made.end()


def run(milliseconds, work=lambda: None):
    """Let the window's loop run, and do something in it."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds // 2, work)
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def stand_still():
    thing = Thing()
    time.sleep(6 * LONG)
    return weakref.ref(thing)


def test_a_long_gap_and_what_was_done_in_it(gaps):
    with gaps.during("standing still") as act:
        run(300, stand_still)
    assert max(act.gaps) > 5 * LONG
    # It slept, and computed nothing meanwhile.
    assert max(act.own) < LONG
    ((place, looks),) = act.blame.most_common(1)
    assert place.endswith(" stand_still")
    assert looks > 5


def test_what_is_looked_at_ends_with_its_call(gaps):
    """Held any longer, it would end on the thread that looks: with Qt, a crash."""
    left = []
    with gaps.during("standing still") as act:
        run(300, lambda: left.append(stand_still()))
    assert act.blame
    assert left[0]() is None

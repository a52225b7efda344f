"""Work that is waited for while the window stays alive."""

from __future__ import annotations

import threading
import time

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QWidget

from napari_dinomed.errors import Cancelled, ReadError
from napari_dinomed.plugin import aside as module
from napari_dinomed.plugin.aside import aside
from tests.plugin.test_window import pytestmark  # noqa: F401


@pytest.fixture
def ticks(qtbot):
    """How often a timer of the window has come."""
    counted, timer = [], QTimer()
    timer.timeout.connect(lambda: counted.append(time.perf_counter()))
    timer.start(5)
    yield counted
    timer.stop()


def test_the_window_lives_while_work_is_done(ticks):
    def work():
        begun = len(ticks)
        while len(ticks) < begun + 10:
            time.sleep(0.001)
        return threading.current_thread()

    assert aside(work, "Reading") is not threading.current_thread()


def test_what_goes_wrong_is_raised_where_it_is_waited_for(qtbot):
    def work():
        raise ReadError("no volume")

    with pytest.raises(ReadError, match="no volume"):
        aside(work, "Reading")


def test_who_does_not_want_to_wait_need_not(qtbot, monkeypatch):
    monkeypatch.setattr(module, "_SILENCE", 1)
    is_over, said = threading.Event(), []

    def press_cancel():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QProgressDialog):
            said.append(dialog.labelText())
            dialog.cancel()
            timer.stop()

    timer = QTimer()
    timer.timeout.connect(press_cancel)
    timer.start(5)
    with pytest.raises(Cancelled):
        aside(lambda: is_over.wait(60), "Reading a.nii.gz …")
    is_over.set()
    assert said == ["Reading a.nii.gz …"]


def test_the_dialog_goes_with_the_work(qtbot, monkeypatch):
    monkeypatch.setattr(module, "_SILENCE", 1)

    def work():
        while QApplication.activeModalWidget() is None:
            time.sleep(0.001)
        return 7

    assert aside(work, "Reading") == 7
    assert QApplication.activeModalWidget() is None


def test_a_window_that_goes_meanwhile_takes_the_dialog_along(qtbot, monkeypatch):
    monkeypatch.setattr(module, "_SILENCE", 1)
    window, is_gone = QWidget(), threading.Event()
    window.destroyed.connect(is_gone.set)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window)
    QTimer.singleShot(50, window.deleteLater)
    with pytest.raises(Cancelled, match="Not opened"):
        aside(lambda: is_gone.wait(30) and time.sleep(0.2), "Reading")
    assert is_gone.is_set()


def test_another_thread_than_the_windows_just_works(qtbot):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(aside(threading.current_thread, "Reading"))
    )
    thread.start()
    thread.join()
    assert found == [thread]

"""Work that takes seconds and that somebody waits for: done while the window stays alive.

napari asks a reader for layers and waits for them. The reading is done on a thread; until
it is over the window is drawn, and after a moment says what is read and offers to cancel.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEventLoop, Qt, QThread, QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog

from napari_dinomed.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
# Milliseconds between looks at whether the work is done.
_LOOK = 5
# Milliseconds for which the window only waits: most files are read by then.
_SILENCE = 300


def aside(work: Callable[[], _T], text: str) -> _T:
    """Do work on a thread while the window's loop runs, and return what it returns.

    Without a window, or on another thread than its own, the work is simply done. What it
    raises is raised here.

    Parameters
    ----------
    work
        What is to be done; it touches no widget and no layer.
    text
        What is being done, for the user.

    Raises
    ------
    Cancelled
        Where the user does not want to wait: the work ends by itself, and is dropped.
    """
    application = QCoreApplication.instance()
    if not isinstance(application, QApplication) or not _is_here(application):
        return work()
    future: Future[_T] = Future()
    threading.Thread(target=_do, args=(work, future), name="aside", daemon=True).start()
    if not _wait(future, _SILENCE):
        _wait_with_a_way_out(future, text)
    return future.result()


def _is_here(application: QApplication) -> bool:
    return bool(application.thread() is QThread.currentThread())


def _do(work: Callable[[], _T], future: Future[_T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        future.set_exception(error)


def _wait(future: Future[_T], milliseconds: int) -> bool:
    """Let the window be drawn, but not used, until the work is done or time is up."""
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if future.done() else None)
    timer.start(_LOOK)
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    timer.stop()
    return future.done()


def _wait_with_a_way_out(future: Future[_T], text: str) -> None:
    dialog = QProgressDialog(text, "Cancel", 0, 0, QApplication.activeWindow())
    dialog.setWindowModality(Qt.WindowModality.ApplicationModal)
    dialog.setMinimumDuration(0)
    timer = QTimer()
    timer.timeout.connect(lambda: dialog.reset() if future.done() else None)
    # It goes with a window that is closed meanwhile.
    dialog.destroyed.connect(timer.stop)
    timer.start(_LOOK)
    dialog.exec()
    timer.stop()
    if isalive(dialog):
        dialog.deleteLater()
    if not future.done():
        raise Cancelled("Not opened: it was cancelled.")

"""Bringing work from the engine client's thread to the window's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, QTimer, Signal

if TYPE_CHECKING:
    from collections.abc import Callable


class Bridge(QObject):
    """Runs functions, in order, on the thread that this object was made on."""

    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def deliver(self, work: Callable[[], None]) -> None:
        """Run ``work`` soon on the window's thread; may be called from any."""
        try:
            self._posted.emit(work)
        except RuntimeError:
            # The window is gone, and with it everything that the work would show.
            return

    def later(self, work: Callable[[], None]) -> None:
        """Run ``work`` once what waits to be drawn or heard is; on the window's thread."""
        QTimer.singleShot(0, work)

    def _run(self, work: Callable[[], None]) -> None:
        work()

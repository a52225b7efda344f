"""The acts of a user in a real window, one after another, while its gaps are measured.

In: a made-up CT on disk. Out: for each act, how long the window did not listen.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.gaps import Act, Gaps
from napari_dinomed.plugin.opening import open_paths
from napari_dinomed.plugin.panel import Panel
from napari_dinomed.session.activity import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# Seconds for which nothing may happen before an act is given up.
_PATIENCE = 900.0
_CLICKS = 6
# Milliseconds between two events of the mouse.
_PAUSE = 20
_LEFT = Qt.MouseButton.LeftButton
_NONE = Qt.MouseButton.NoButton


class BenchWindow:
    """A window with the panel, and a hand that uses it.

    Parameters
    ----------
    say
        Told what is done.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._viewer = napari.Viewer(show=True)
        self._viewer.window.resize(1400, 900)
        self._panel = Panel(self._viewer)
        self._viewer.window.add_dock_widget(self._panel, area="right")
        self._gaps = Gaps()
        self._wait(1000)

    def close(self) -> None:
        """Leave, and close the window."""
        self._gaps.end()
        self._panel.shut_down()
        self._viewer.close()

    def alone(self, array: NDArray[Any]) -> Iterator[Act]:
        """Leave, and have napari itself show a volume (z, y, x) with labels over it.

        No act can take less than the like of it takes here.
        """
        self._panel.shut_down()
        self._viewer.layers.clear()
        self._wait(1000)
        with self._act("napari alone: a volume and labels") as act:
            self._viewer.add_image(array, contrast_limits=(-160, 240))
            self._wait(500)
            self._viewer.add_labels(np.zeros(array.shape, np.uint16))
            self._wait(1000)
        yield act
        with self._act("napari alone: change slices") as act:
            self._leaf(len(array))
        yield act

    def open(self, path: Path) -> Act:
        """Open a volume as the panel's button does."""
        with self._act(f"open {path.name}") as act:
            is_there = threading.Event()
            open_paths(self._panel.workbench, [str(path)], is_there.set)
            self._until(is_there.is_set)
            self._wait(1000)
        return act

    def work(self, organ: NDArray[np.bool_], folder: Path) -> Iterator[Act]:
        """Everything else, on an organ (z, y, x) of the volume that was opened."""
        # Looked for before: what this takes is not the window's.
        first, *further = _places_in(organ)
        with self._act("encode") as act:
            self._click(first)
            self._until_answered()
        yield act
        with self._act("click") as act:
            for voxel in further:
                self._click(voxel)
                self._until_answered()
        yield act
        with self._act("change slices") as act:
            self._leaf(organ.shape[0])
        yield act
        with self._act("paint a whole slice as an example") as act:
            self._fill(self._panel.workbench.hand.scribble, "scribbles")
            self._until_answered()
        yield act
        with self._act("paint a whole slice by hand") as act:
            self._fill(self._panel.workbench.hand.brush, "result")
        yield act
        with self._act("undo and redo") as act:
            for what in (self._panel.workbench.undo, self._panel.workbench.redo) * 3:
                what()
                self._wait(100)
        yield act
        for name in ("labels.nii.gz", "labels.seg.nrrd"):
            with self._act(f"save {name}") as act:
                self._panel.workbench.exchange.save_labels(folder / name)
                self._until((folder / name).exists)
            yield act

    # The hand

    def _leaf(self, slices: int) -> None:
        for z in np.linspace(0, slices - 1, 40).astype(int):
            self._viewer.dims.set_current_step(0, int(z))
            self._wait(_PAUSE)

    def _click(self, voxel: NDArray[Any]) -> None:
        self._panel.workbench.hand.point()
        self._viewer.dims.set_current_step(0, int(voxel[0]))
        self._wait(200)
        self._press(voxel)

    def _fill(self, take_up: Callable[[], None], what: str) -> None:
        """A tool's bucket emptied over the slice in view."""
        take_up()
        layer = getattr(self._panel.workbench.sheet, what).layer
        layer.mode = "fill"
        z = self._viewer.dims.current_step[0]
        self._press(np.array([z, 3, 3]))
        self._wait(500)

    def _press(self, voxel: NDArray[Any]) -> None:
        place = self._place(voxel)
        native = self._viewer.window._qt_viewer.canvas.native
        self._send(native, QEvent.Type.MouseMove, place, _NONE, _NONE)
        self._send(native, QEvent.Type.MouseButtonPress, place, _LEFT, _LEFT)
        self._send(native, QEvent.Type.MouseButtonRelease, place, _LEFT, _NONE)

    def _send(
        self,
        native: Any,
        kind: QEvent.Type,
        place: QPoint,
        button: Qt.MouseButton,
        buttons: Qt.MouseButton,
    ) -> None:
        there, far = QPointF(place), QPointF(native.mapToGlobal(place))
        none = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, there, far, button, buttons, none)
        QApplication.sendEvent(native, event)
        self._wait(_PAUSE)

    def _place(self, voxel: NDArray[Any]) -> QPoint:
        """Where on the canvas a voxel of the slice in view is drawn."""
        image = self._panel.workbench.image
        assert image is not None
        world = np.array(image.data_to_world(voxel))[list(self._viewer.dims.displayed)]
        transform = self._viewer.window._qt_viewer.canvas.view.scene.transform
        x, y = transform.map([world[1], world[0]])[:2]
        return QPoint(round(x), round(y))

    # Waiting, while the window's loop runs

    @contextmanager
    def _act(self, name: str) -> Iterator[Act]:
        self._say(name)
        with self._gaps.during(name) as act:
            yield act

    def _until_answered(self) -> None:
        self._wait(50)

        def is_answered() -> bool:
            session = self._panel.workbench.session
            assert session is not None
            is_ready = session.computing.activity.phase is Phase.READY
            return is_ready and not session.document.waiting

        self._until(is_answered)

    def _until(self, is_so: Callable[[], bool]) -> None:
        begun = time.perf_counter()
        while not is_so():
            if time.perf_counter() - begun > _PATIENCE:
                raise DinomedError(f"Nothing happened for {_PATIENCE:g} s.")
            self._wait(_PAUSE)

    def _wait(self, milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()


def _places_in(organ: NDArray[np.bool_]) -> list[NDArray[Any]]:
    """The voxel nearest to the middle of an organ (z, y, x), and others all over it."""
    inside = np.argwhere(organ)
    middle = ((inside - inside.mean(0)) ** 2).sum(1).argmin()
    shares = (np.arange(_CLICKS) + 0.5) / _CLICKS
    return [inside[middle], *inside[(shares * len(inside)).astype(int)]]

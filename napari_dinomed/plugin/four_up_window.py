"""Four views in napari's window, two by two, with a cross-hair through the place.

napari's own canvas stays where it is, at the upper left; the others stand around it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QMainWindow, QSplitter, QWidget
from vispy.scene.visuals import Line

from napari_dinomed.plugin.four_up import FourUp
from napari_dinomed.plugin.planes import Plane, show_plane

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver

_COLOR = (1.0, 0.85, 0.2, 0.8)
# Any two sizes that are the same: splitters share out what there is.
_ALIKE = 1000
# Drawn after all layers.
_ABOVE = 1_000_000


class FourUpWindow:
    """Opens and closes the four views in the window that a widget is in.

    Parameters
    ----------
    inside
        A widget of the window.
    bench
        The workbench.
    deliver
        Runs a function soon, on the window's thread.
    """

    def __init__(self, inside: QWidget, bench: Workbench, deliver: Deliver) -> None:
        self._inside, self._bench, self._deliver = inside, bench, deliver
        self.four: FourUp | None = None
        self._is_wanted = False
        self.canvases: tuple[QtViewer, ...] = ()
        self._column: QSplitter | None = None
        self._hairs: tuple[CrossHair, ...] = ()
        bench.asked_for_four.connect(self.toggle)
        bench.bound.connect(self._on_bound)

    @property
    def is_open(self) -> bool:
        """Whether four views are shown."""
        return self.four is not None

    def toggle(self) -> None:
        """Show four views, or napari's own again."""
        self._is_wanted = not self.is_open
        if self._is_wanted:
            self._bench.attempt(self.open)
        else:
            self.close()
        self._bench.turned.emit()

    def open(self) -> None:
        """Show four views of the image in work.

        Raises
        ------
        DinomedError
            Where there is none.
        """
        self._bench.require()
        main = _canvas_beside(self._inside)
        if main is None or self.is_open:
            return
        self.four = FourUp(self._bench, self._deliver)
        _, *others = self.four.viewers
        self.canvases = (main, *(_canvas_of(viewer) for viewer in others))
        self._lay_out(*self.canvases)
        self._hairs = tuple(
            CrossHair(canvas, viewer)
            for canvas, viewer in zip(self.canvases, self.four.viewers, strict=True)
        )
        self.four.moved.connect(self._move_hairs)
        self._move_hairs(self.four.place)
        for viewer in self.four.viewers:
            # Once they have their sizes.
            self._deliver(partial(self._fit, viewer))

    def _lay_out(
        self, main: QtViewer, beside: QtViewer, below: QtViewer, solid: QtViewer
    ) -> None:
        self._column = QSplitter(Qt.Orientation.Vertical)
        self._column.addWidget(beside)
        self._column.addWidget(solid)
        main.addWidget(below)
        main.parentWidget().layout().addWidget(self._column, 1)
        main.parentWidget().layout().setStretch(0, 1)
        for splitter in (main, self._column):
            splitter.setSizes([_ALIKE, _ALIKE])

    def close(self) -> None:
        """Leave napari's own view alone in the window."""
        four, self.four = self.four, None
        if four is None:
            return
        four.moved.disconnect(self._move_hairs)
        for hair in self._hairs:
            hair.end()
        four.end()
        for canvas in self.canvases[1:]:
            canvas.close()
            canvas.setParent(None)
        if self._column is not None:
            self._column.setParent(None)
            self._column.deleteLater()
        self.canvases, self._hairs, self._column = (), (), None
        if not self._bench.is_closed:
            self._deliver(partial(self._fit, self._bench.viewer))

    def _on_bound(self) -> None:
        """Another image came, or the image went."""
        self.close()
        if self._is_wanted and self._bench.session is not None:
            self.open()

    def _fit(self, viewer: ViewerModel) -> None:
        if viewer.dims.ndisplay == 3:
            show_plane(viewer, Plane.SOLID)
        elif viewer is self._bench.viewer:
            # Only there are images that are not worked on.
            self._bench.viewport.fit()
        else:
            viewer.fit_to_view()

    def _move_hairs(self, place: Any) -> None:
        for hair in self._hairs:
            hair.move(place)


class CrossHair:
    """Lines through a place, thin at any zoom; no layer, so that no list shows it.

    Parameters
    ----------
    canvas, viewer
        Where they are drawn.
    """

    def __init__(self, canvas: QtViewer, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._place: Any = None
        self.line = Line(
            color=_COLOR, connect="segments", method="gl", parent=canvas.canvas.view.scene
        )
        self.line.order = _ABOVE
        self.line.set_gl_state("translucent", depth_test=False)
        viewer.dims.events.order.connect(self._draw)
        viewer.dims.events.ndisplay.connect(self._draw)

    def end(self) -> None:
        """Take them away."""
        self._viewer.dims.events.order.disconnect(self._draw)
        self._viewer.dims.events.ndisplay.disconnect(self._draw)
        self.line.parent = None

    def move(self, place: Any) -> None:
        """Draw them through a place (z, y, x) of the world."""
        self._place = place
        self._draw()

    def _draw(self) -> None:
        if self._place is not None and self._viewer.layers:
            lines = lines_through(self._viewer, self._place)
            # As many columns in a plane as in 3-D: vispy draws no others than at first.
            self.line.set_data(pos=np.pad(lines, ((0, 0), (0, 3 - lines.shape[1]))))


def lines_through(viewer: ViewerModel, place: Any) -> np.ndarray[Any, Any]:
    """Ends of lines along the axes that are displayed, as the canvas has them: x first."""
    displayed = list(viewer.dims.displayed)
    before = viewer.dims.ndim - 3
    at = np.array([place[axis - before] for axis in displayed], np.float32)
    low, high = (np.asarray(end)[displayed] for end in viewer.layers.extent.world)
    ends = []
    for axis in range(len(displayed)):
        for end in (low, high):
            point = at.copy()
            point[axis] = end[axis]
            ends.append(point[::-1])
    return np.array(ends, np.float32)


class _HidesSliders(QObject):
    """Keeps a canvas' sliders hidden: the cross-hair tells where each is."""

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Show:
            watched.hide()
        return False


def _canvas_of(viewer: ViewerModel) -> QtViewer:
    canvas = QtViewer(viewer)
    canvas.dims.installEventFilter(_HidesSliders(canvas))
    canvas.dims.hide()
    canvas.setMinimumSize(0, 0)
    return canvas


def _canvas_beside(inside: QWidget) -> QtViewer | None:
    """The canvas of the window that a widget is in."""
    above: QWidget | None = inside
    while above is not None and not isinstance(above, QMainWindow):
        above = above.parentWidget()
    return None if above is None else above.centralWidget().findChild(QtViewer)

"""Four views of one place: the viewer's own, two more planes, and surfaces in 3-D.

In: a workbench. Out: three more viewers whose place follows from view to view; no widget
is needed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinomed.plugin.other_view import OtherView
from napari_dinomed.plugin.planes import Plane
from napari_dinomed.plugin.solid_view import SolidView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver

_AXES = 3
OTHERS = (Plane.CORONAL, Plane.SAGITTAL)


class FourUp:
    """Three views beside a workbench's own, for as long as it has its session.

    Parameters
    ----------
    bench
        The workbench, which has a session.
    deliver
        Runs a function soon, on the window's thread.
    """

    moved = Signal(object)
    """The place (z, y, x) in the world that all views show."""

    def __init__(self, bench: Workbench, deliver: Deliver) -> None:
        assert bench.session is not None
        if bench.viewer.dims.ndisplay == _AXES:
            # One of the four is in 3-D already.
            bench.viewport.show_plane(Plane.AXIAL)
        self._bench, self._session = bench, bench.session
        self.planes = tuple(OtherView(bench, plane) for plane in OTHERS)
        self.solid = SolidView(bench, deliver)
        self._is_moving = False
        self._slots = {id(viewer): partial(self._follow, viewer) for viewer in self.viewers}
        for viewer in self.viewers:
            viewer.dims.events.current_step.connect(self._slots[id(viewer)])
        self._session.changed.connect(self._on_changed)
        self.solid.picked.connect(self.go_to)
        bench.viewer.events.theme.connect(self._on_theme)
        self._follow(bench.viewer)

    @property
    def viewers(self) -> tuple[ViewerModel, ...]:
        """The workbench's own, the other planes', and that of the surfaces."""
        others = (view.viewer for view in self.planes)
        return (self._bench.viewer, *others, self.solid.viewer)

    @property
    def place(self) -> tuple[float, float, float]:
        """What all views show, (z, y, x) in the world."""
        z, y, x = self._bench.viewer.dims.point[-3:]
        return (float(z), float(y), float(x))

    def end(self) -> None:
        """Let the workbench's viewer be alone again."""
        for viewer in self.viewers:
            viewer.dims.events.current_step.disconnect(self._slots[id(viewer)])
        self._session.changed.disconnect(self._on_changed, missing_ok=True)
        self._bench.viewer.events.theme.disconnect(self._on_theme)
        for view in self.planes:
            view.end()
        self.solid.end()

    def go_to(self, voxel: Sequence[int]) -> None:
        """Show a voxel (z, y, x) in all views."""
        sheet = self._bench.sheet
        if sheet is not None:
            _show(self._bench.viewer, sheet.result.layer.data_to_world(voxel))

    def _follow(self, moved: ViewerModel, *_: Any) -> None:
        """Have the others show what one view does."""
        # Without the image, before that is heard of, a viewer has two axes.
        if self._is_moving or moved.dims.ndim < _AXES:
            return
        self._is_moving = True
        try:
            place = moved.dims.point[-3:]
            for viewer in self.viewers:
                if viewer is not moved:
                    _show(viewer, place)
        finally:
            self._is_moving = False
        self.moved.emit(self.place)

    def _on_theme(self) -> None:
        for viewer in self.viewers[1:]:
            viewer.theme = self._bench.viewer.theme

    def _on_changed(self, before: Document, after: Document) -> None:
        """A click is a place to look at, whichever view it was made in."""
        points = after.prompts.points
        if len(points) > len(before.prompts.points):
            self._bench.turns.run(lambda: self.go_to(points[-1].voxel))


def _show(viewer: ViewerModel, place: Sequence[float]) -> None:
    before = viewer.dims.ndim - _AXES
    if before >= 0:
        viewer.dims.set_point(range(before, before + _AXES), list(place))

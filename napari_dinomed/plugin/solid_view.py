"""Labels as smooth surfaces in 3-D, with the slice in view among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Surface
from napari.utils.colormaps import Colormap
from psygnal import Signal

from napari_dinomed.plugin.layers import placement_of
from napari_dinomed.plugin.other_view import image_like
from napari_dinomed.plugin.planes import Plane, SliceAmongLabels, show_plane
from napari_dinomed.session.surfacing import Surfacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.volume.mesh import Mesh

# Pixels on the screen that a hand moves in a click.
_STILL = 3.0


class SolidView:
    """A viewer that shows the labels' surfaces.

    Parameters
    ----------
    bench
        The workbench, which has a session.
    deliver
        Runs a function soon, on the window's thread.
    """

    picked = Signal(object)
    """The voxel (z, y, x) of a surface that was clicked on."""

    def __init__(self, bench: Workbench, deliver: Deliver) -> None:
        image, session = bench.image, bench.session
        assert image is not None  # there is a session
        assert session is not None
        self._session, self._placement = session, placement_of(image)
        self.viewer = ViewerModel(title=str(Plane.SOLID))
        self.viewer.theme = bench.viewer.theme
        self.image = image_like(image)
        self.viewer.layers.append(self.image)
        self.viewer.layers.selection.clear()
        self._surfaces: dict[int, Surface] = {}
        self._slice = SliceAmongLabels(self.viewer, self.image)
        show_plane(self.viewer, Plane.SOLID)
        self.viewer.mouse_drag_callbacks.append(self._on_press)
        bench.keys.bind_everywhere(self.viewer)
        self._surfacing = Surfacing(session.volume.geometry, deliver)
        self._surfacing.surfaced.connect(self._show)
        session.changed.connect(self._on_changed)
        self._surfacing.follow(session.document)

    def end(self) -> None:
        """Show nothing from now on."""
        self._session.changed.disconnect(self._on_changed, missing_ok=True)
        self._surfacing.end()
        self._slice.end()

    def _on_changed(self, before: Document, after: Document) -> None:
        if before.masks != after.masks:
            self._surfacing.follow(after)
        if before.labels != after.labels:
            for number, surface in self._surfaces.items():
                if after.has(number):
                    surface.colormap = _plain(after.find(number).color)
                    surface.name = after.find(number).name

    def _show(self, number: int, mesh: Mesh | None) -> None:
        surface, document = self._surfaces.get(number), self._session.document
        if mesh is None or not document.has(number):
            if surface is not None:
                self.viewer.layers.remove(self._surfaces.pop(number))
            return
        data = (mesh.vertices, mesh.faces, np.ones(len(mesh.vertices), np.float32))
        if surface is not None:
            surface.data = data
            return
        label = document.find(number)
        self._surfaces[number] = Surface(
            data,
            name=label.name,
            colormap=_plain(label.color),
            contrast_limits=(0, 1),
            shading="smooth",
            **self._placement,
        )
        self.viewer.layers.append(self._surfaces[number])
        self.viewer.layers.selection.clear()

    def _on_press(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """A click, not a drag that turns the view, goes to the place on the surface."""
        begun = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos) - begun).max() > _STILL:
                return
            yield
        hit = self._hit(event)
        if hit is not None:
            self.picked.emit(hit)

    def _hit(self, event: Any) -> tuple[int, int, int] | None:
        """The voxel under the cursor on the surface that is nearest to the eye."""
        found = []
        for surface in self._surfaces.values():
            _, triangle = surface.get_value(
                event.position,
                view_direction=event.view_direction,
                dims_displayed=list(event.dims_displayed),
                world=True,
            ) or (None, None)
            if triangle is not None:
                place = surface.vertices[surface.faces[triangle]].mean(0)
                depth = np.dot(surface.data_to_world(place), event.view_direction)
                found.append((float(depth), place))
        if not found:
            return None
        last = np.array(self._session.volume.geometry.shape) - 1
        nearest = min(found, key=lambda one: one[0])[1]
        z, y, x = (int(n) for n in np.clip(np.rint(nearest), 0, last))
        return (z, y, x)


def _plain(color: tuple[float, float, float]) -> Colormap:
    """One colour for all of a surface."""
    return Colormap(np.array([(*color, 1.0)] * 2), name="label")

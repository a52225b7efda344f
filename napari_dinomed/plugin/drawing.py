"""What a finishing tool needs from the canvas: an outline, or clicks on parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points, Shapes
from psygnal import Signal

from napari_dinomed.errors import FinishError
from napari_dinomed.finish.tools import Drawn
from napari_dinomed.plugin.layers import placement_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_dinomed.plugin.workbench import Workbench

# Fewer corners hold nothing; napari begins a lasso with one or two.
_FEWEST_CORNERS = 3


class Drawing:
    """A layer over the image that is drawn on for a tool, and goes when that is over.

    Parameters
    ----------
    bench
        The workbench.
    """

    drawn = Signal()

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._layer: Layer | None = None
        self._was_active: Layer | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a layer to draw on."""
        return self._layer is not None and self._layer in self._bench.viewer.layers

    def begin(self, what: Drawn) -> None:
        """Put a layer above all others and make the mouse draw on it.

        Raises
        ------
        DinomedError
            Where there is no image, or no slice is in view to draw on.
        """
        self.end()
        self._bench.require()
        viewer, image = self._bench.viewer, self._bench.image
        assert image is not None  # there is a session
        if viewer.dims.ndisplay != 2:
            raise FinishError("Draw on a slice: press Ctrl+Y to go back to slices.")
        place: dict[str, Any] = placement_of(image)
        self._was_active = viewer.layers.selection.active
        if what is Drawn.OUTLINE:
            layer = Shapes(ndim=3, name="Lasso", face_color="transparent", **place)
        else:
            layer = Points(ndim=3, name="Parts to keep", **place)
        self._layer = layer
        viewer.layers.append(layer)
        layer.mode = "add_polygon_lasso" if what is Drawn.OUTLINE else "add"
        layer.events.data.connect(self._on_data)

    def end(self) -> None:
        """Take the layer away, and go back to what was drawn on before."""
        layer, self._layer = self._layer, None
        layers = self._bench.viewer.layers
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        if layer in layers:
            layers.remove(layer)
        if self._was_active is not None and self._was_active in layers:
            layers.selection.active = self._was_active

    def values(self) -> dict[str, Any]:
        """What was drawn, by the names of a tool's options; empty where nothing was."""
        layer = self._layer
        if isinstance(layer, Shapes):
            corners = np.asarray(layer.data[-1]) if len(layer.data) else np.zeros((0, 3))
            if len(corners) < _FEWEST_CORNERS:
                return {}
            # The plane is that along whose axis all corners lie in one place.
            axis = int(np.argmin(np.ptp(corners, axis=0)))
            outline = np.delete(corners, axis, axis=1)
            return {"axis": axis, "outline": tuple(map(tuple, outline.tolist()))}
        if isinstance(layer, Points) and len(layer.data):
            voxels = np.rint(layer.data).astype(int).tolist()
            return {"voxels": tuple(map(tuple, voxels))}
        return {}

    def _on_data(self, event: Any) -> None:
        if str(getattr(event, "action", "")) in ("added", "removed", "changed"):
            self._bench.turns.soon(self._tell)

    def _tell(self) -> None:
        layer = self._layer
        if isinstance(layer, Shapes) and len(layer.data) > 1:
            # One outline at a time: a new one takes the place of the one before.
            with layer.events.data.blocker(self._on_data):
                layer.data = layer.data[-1:]
                layer.mode = "add_polygon_lasso"
        if self.values():
            self.drawn.emit()

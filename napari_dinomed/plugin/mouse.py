"""What the mouse tells and does on the canvas beside clicking.

In: a document's layers and its image. Out: the wheel goes through the slices, the status
bar has the grey value under the cursor, Ctrl and the right button change the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components.overlays import TextOverlay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

_OVERLAY = "dinomed_window"
_AXES = 3
# Of a zoom by one notch of the wheel, as napari's own.
_NOTCH = 1.1
# A drag over that many pixels of the screen changes the window by its own width.
_DRAG = 300.0


class Mouse:
    """Listens to the mouse on the layers of a document.

    Parameters
    ----------
    viewer
        Where they are shown.
    image
        The image below them.
    layers
        The layers.
    label_at
        Names the label at a place, asked as `Layer.get_value`; empty where there is none.
    tells_window
        Whether the canvas says which window the image is shown in.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        layers: Iterable[Layer],
        label_at: Callable[..., str],
        tells_window: bool = True,
    ) -> None:
        self._viewer = viewer
        self._image = image
        self._label_at = label_at
        self._progress = 0.0
        for layer in layers:
            layer.mouse_wheel_callbacks.append(self._on_wheel)
            self._tell_grey_on(layer)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        if not tells_window:
            return
        if _OVERLAY not in viewer.canvas.overlays:
            viewer.canvas.overlays[_OVERLAY] = TextOverlay(position="top_left")
        image.events.contrast_limits.connect(self._show_window)
        self._show_window()

    def end(self) -> None:
        """Leave the viewer and the image; the layers go anyway."""
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        if _OVERLAY in self._viewer.canvas.overlays:
            self._image.events.contrast_limits.disconnect(self._show_window)
            self._viewer.canvas.overlays[_OVERLAY].visible = False

    # The wheel

    def _on_wheel(self, layer: Layer, event: Any) -> None:
        """Without a key, go through the slices; with Shift, zoom about the cursor."""
        del layer
        if self._viewer.dims.ndisplay != 2:
            return
        turned = float(np.sum(event.delta))
        if not event.modifiers:
            self._go(turned)
            event.handled = True
        elif list(event.modifiers) == ["Shift"]:
            self._zoom(_NOTCH**turned, event.position)
            event.handled = True

    def _go(self, turned: float) -> None:
        dims = self._viewer.dims
        if not dims.not_displayed:
            return
        # A touch pad tells of parts of a notch.
        self._progress += float(np.clip(turned, -1, 1))
        steps = int(self._progress)
        self._progress -= steps
        axis = dims.not_displayed[-1]
        own = axis - (dims.ndim - self._image.ndim)
        if self._image.ndim < _AXES or own < 0:
            dims.set_current_step(axis, dims.current_step[axis] - steps)
            return
        # A slice of this image, whatever others make a step of napari's slider.
        voxel = np.asarray(self._image.world_to_data(dims.point[-_AXES:]))
        last = self._image.data.shape[own] - 1
        voxel[own] = min(max(round(voxel[own]) - steps, 0), last)
        dims.set_point(axis, self._image.data_to_world(voxel)[own])

    def _zoom(self, factor: float, place: Any) -> None:
        camera, dims = self._viewer.scene.camera, self._viewer.dims
        at = np.asarray(place)[list(dims.displayed)]
        centre = np.asarray(camera.center)
        # What is under the cursor stays there.
        camera.center = (centre[0], *(at + (centre[-2:] - at) / factor))
        camera.zoom *= factor

    # Grey values

    def _tell_grey_on(self, layer: Layer) -> None:
        """Have napari's status bar say what lies under the cursor on this layer."""
        usual = layer.get_status

        def told(position: Any = None, **about: Any) -> dict[str, str]:
            shown = list(about.get("dims_displayed") or ())
            if len(shown) == _AXES and about.get("view_direction") is None:
                # The mouse has not moved since 3-D came: napari knows no direction yet, and
                # its layers of labels raise. What lies under it is what did on the slice.
                about |= {"dims_displayed": shown[1:]}
            status: dict[str, str] = usual(position, **about)
            if position is None:
                return status
            grey = self._image.get_value(position, **about)
            label = self._label_at(position, **about)
            parts = [str(grey)] * (grey is not None) + [label] * bool(label)
            text = " · ".join(parts)
            # What napari shows of one layer is the last of these alone.
            place = str(status.get("coordinates", "")).rpartition("]")
            return status | {"value": text, "coordinates": f"{place[0]}{place[1]}: {text}"}

        layer.get_status = told

    # The window

    def _on_drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Across the window's width, up and down its level, as in viewers of scans."""
        if event.button != _RIGHT or "Control" not in event.modifiers:
            return
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) in _PAINTING:
            # napari has the right button there for strokes that are filled.
            return
        event.handled = True
        begun, limits = np.asarray(event.pos), self._image.contrast_limits
        low, high = (float(limit) for limit in limits)
        yield
        while event.type == "mouse_move":
            across, down = (np.asarray(event.pos) - begun) / _DRAG
            width = max(1.0 + across, 0.01) * (high - low)
            level = (low + high) / 2 - down * (high - low)
            show_window(self._image, (level - width / 2, level + width / 2))
            event.handled = True
            yield

    def _show_window(self) -> None:
        low, high = self._image.contrast_limits
        overlay = self._viewer.canvas.overlays[_OVERLAY]
        overlay.text = f"W {high - low:.4g}  L {(low + high) / 2:.4g}"
        overlay.visible = True


def show_window(image: Image, limits: tuple[float, float]) -> None:
    """Show an image in a window of grey values, also outside of the sliders' range."""
    low, high = image.contrast_limits_range
    image.contrast_limits_range = (min(limits[0], low), max(limits[1], high))
    image.contrast_limits = limits


# napari's number of the right button.
_RIGHT = 2
_PAINTING = ("paint", "erase", "fill", "polygon")

"""Which side of the patient is which: letters at the canvas' edges, and the convention.

The canonical array is radiological: rows drawn downwards and columns to the right show
the patient's right on the screen's left, the front above, the head up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay
from napari.layers import Image

from napari_dinomed.plugin.layers import METADATA_KEY
from napari_dinomed.plugin.preferences import is_neurological
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinomed.volume import Geometry

_OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))
_PLACES = ("top_center", "bottom_center", "middle_left", "middle_right")
_NAME = "dinomed_{}"
_SIZE = 14
_LEFT_RIGHT = 2


def edge_letters(
    orientation: str, displayed: tuple[int, int], mirrored: bool
) -> tuple[str, str, str, str]:
    """Letters at the top, the bottom, the left and the right of the canvas.

    Parameters
    ----------
    orientation
        Letters of the directions in which z, y and x grow.
    displayed
        Axes that run down and across.
    mirrored
        Whether columns are drawn from right to left.
    """
    down, across = (orientation[axis] for axis in displayed)
    left, right = _OPPOSITE[across], across
    return (_OPPOSITE[down], down, *((right, left) if mirrored else (left, right)))


def show_orientation(viewer: ViewerModel) -> None:
    """Keep letters at the edges of a viewer's canvas for as long as it lives."""
    if _NAME.format(_PLACES[0]) in viewer.canvas.overlays:
        _update(viewer)
        return
    for place in _PLACES:
        # napari makes what draws letters when they are first visible: now, and not while
        # somebody waits for the first volume.
        viewer.canvas.overlays[_NAME.format(place)] = TextOverlay(
            position=place, font_size=_SIZE, visible=True
        )

    def update() -> None:
        _update(viewer)

    viewer.dims.events.order.connect(update)
    viewer.dims.events.ndisplay.connect(update)
    viewer.layers.events.inserted.connect(update)
    viewer.layers.events.removed.connect(update)
    update()


def _update(viewer: ViewerModel) -> None:
    geometry = _patient_in(viewer)
    is_shown = geometry is not None and viewer.dims.ndisplay == 2
    letters = ("", "", "", "")
    if geometry is not None and is_shown:
        down, across = viewer.dims.displayed
        mirrored = is_neurological() and across == _LEFT_RIGHT
        letters = edge_letters(geometry.orientation, (down, across), mirrored)
        viewer.scene.camera.orientation2d = ("down", "left" if mirrored else "right")
    for place, letter in zip(_PLACES, letters, strict=True):
        overlay = viewer.canvas.overlays[_NAME.format(place)]
        overlay.text = letter
        overlay.visible = is_shown


def _patient_in(viewer: ViewerModel) -> Geometry | None:
    """Geometry of the uppermost image of a patient."""
    for layer in reversed(viewer.layers):
        volume = layer.metadata.get(METADATA_KEY) if isinstance(layer, Image) else None
        if isinstance(volume, Volume):
            return volume.geometry if volume.geometry.patient else None
    return None

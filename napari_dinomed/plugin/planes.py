"""The planes of a volume, each the right way up, and labels in 3-D.

In: which plane. Out: a viewer's axes in the order that shows it: of a patient, the head or
the front is up, and the front of a sagittal slice is left, as radiologists are used to.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer


class Plane(StrEnum):
    """What is shown of a volume."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    SOLID = "3-D"


# Of axes (z, y, x): the one that is cut, the one that runs down, the one across.
_ORDERS = {
    Plane.AXIAL: (0, 1, 2),
    Plane.CORONAL: (1, 0, 2),
    Plane.SAGITTAL: (2, 0, 1),
}
# Along axes (z, y, x), which grow to the feet, the back and the left: to the back, a little
# from above and from the side, so that a slice is no line.
_FROM_THE_FRONT = (0.4, 1.0, 0.4)
_ALONG_THE_FIRST = (1.0, 0.0, 0.0)
_HEAD_UP = (-1.0, 0.0, 0.0)


def show_plane(
    viewer: ViewerModel, plane: Plane, fitted: Sequence[Layer] | None = None
) -> None:
    """Show a plane through the place in view, or all labels in 3-D.

    The canvas holds all of the fitted layers; of all there are if None.
    """
    dims = viewer.dims
    before = dims.ndim - 3
    if before < 0:
        return
    if plane is Plane.SOLID:
        dims.ndisplay = 3
        viewer.reset_view(layers=fitted)
        axes = [axis - before for axis in dims.displayed]
        looks, up = ([way[axis] for axis in axes] for way in (_FROM_THE_FRONT, _HEAD_UP))
        viewer.scene.camera.set_view_direction(looks, up)
        return
    place = dims.point
    dims.ndisplay = 2
    dims.order = (*range(before), *(before + axis for axis in _ORDERS[plane]))
    # napari comes back from 3-D in the middle, which may lie between two slices.
    dims.set_point(range(dims.ndim), place)
    viewer.reset_view(layers=fitted)


def plane_in(viewer: ViewerModel) -> Plane | None:
    """What a viewer shows; None for a plane that lies on its side."""
    dims = viewer.dims
    if dims.ndisplay == 3:
        return Plane.SOLID
    before = dims.ndim - 3
    order = tuple(axis - before for axis in dims.order[-3:])
    return next((plane for plane, own in _ORDERS.items() if own == order), None)


class SliceAmongLabels:
    """In 3-D an image is one slice, so that labels are seen; in 2-D it is as it was.

    Parameters
    ----------
    viewer
        Where it is shown.
    image
        The image.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer = viewer
        self._image = image
        self._usual = str(image.depiction)
        viewer.dims.events.ndisplay.connect(self._follow)
        viewer.dims.events.order.connect(self._follow)
        viewer.dims.events.current_step.connect(self._follow)
        self._follow()

    def end(self) -> None:
        """Leave the image as it was."""
        self._viewer.dims.events.ndisplay.disconnect(self._follow)
        self._viewer.dims.events.order.disconnect(self._follow)
        self._viewer.dims.events.current_step.disconnect(self._follow)
        self._image.depiction = self._usual

    def _follow(self) -> None:
        dims, image = self._viewer.dims, self._image
        is_solid = dims.ndisplay == 3 and image.ndim == 3 and dims.ndim >= 3
        if not is_solid:
            if str(image.depiction) != self._usual:
                image.depiction = self._usual
            return
        # napari takes a plane's place along the axes as they are displayed.
        displayed = [axis - (dims.ndim - 3) for axis in dims.order[-3:]]
        place = np.asarray(image.world_to_data(dims.point[-3:]))[displayed]
        image.plane.position = tuple(place)
        image.plane.normal = _ALONG_THE_FIRST
        image.depiction = "plane"

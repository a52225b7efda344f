"""A click on a label in 3-D goes to that place.

In: presses on the canvas while 3-D is shown. Out: the first voxel under the mouse that has
a label. A drag turns the view, as it always does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_dinomed.annotation.prompts import Voxel

# Pixels of the screen: napari's own limit between a click and a drag.
_STILL = 5
# Samples to a voxel along the ray: none of a surface is passed over.
_SAMPLES = 2
_PAINTING = ("paint", "erase", "fill", "polygon")


class Surface:
    """Listens for clicks on labels in 3-D.

    Parameters
    ----------
    viewer
        Where they are shown.
    labels
        The labels.
    go
        Told the voxel.
    miss
        Called where a click is on none.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        labels: Labels,
        go: Callable[[Voxel], None],
        miss: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._labels = labels
        self._go, self._miss = go, miss
        viewer.mouse_drag_callbacks.append(self._on_press)

    def end(self) -> None:
        """Hear nothing from now on."""
        self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        active = viewer.layers.selection.active
        paints = active is not None and str(active.mode) in _PAINTING
        if viewer.dims.ndisplay != 3 or event.button != 1 or event.modifiers or paints:
            return
        begun = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos) - begun).max() >= _STILL:
                return
            yield
        voxel = first_under(self._labels, event)
        if voxel is None:
            self._miss()
        else:
            self._go(voxel)


def first_under(labels: Labels, event: Any) -> Voxel | None:
    """The first voxel with a label under the mouse in 3-D; None where there is none."""
    if not labels.visible:
        return None
    axes = list(event.dims_displayed[-3:])
    near, far = labels.get_ray_intersections(
        event.position, event.view_direction, axes, world=True
    )
    if near is None or far is None:
        return None
    count = int(np.ceil(np.abs(far - near).max())) * _SAMPLES + 1
    places = np.rint(np.linspace(near, far, count)).astype(int)
    places = np.clip(places, 0, np.array(labels.data.shape) - 1)
    under = np.flatnonzero(labels.data[tuple(places.T)])
    if not len(under):
        return None
    z, y, x = (int(n) for n in places[under[0]])
    return (z, y, x)

"""The *Probability* layer: how probable the label in use is in one plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap
from napari.utils.transforms import Affine

from napari_dinomed.plugin.layers import HELPER_KEY, follow_placement, placement_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import PlaneProbability
    from napari_dinomed.session.activity import View

NAME = "Probability"
_OPACITY = 0.7
# What is less probable is not shown, so that the image is seen; what is over the second is
# shown in full.
_UNSEEN, _SEEN = 0.02, 0.1
_COLORS = 256
# Of what the engine counts in.
_WHOLE = np.float32(255)


class ProbabilityLayer:
    """An image layer of one plane, which lies where that lies in the volume.

    Parameters
    ----------
    image
        What it lies over.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._axis, self._index = 0, 0
        self.layer = Image(
            _nothing(),
            name=NAME,
            colormap=_colormap(),
            contrast_limits=(0, 1),
            blending="translucent",
            opacity=_OPACITY,
            metadata={HELPER_KEY: True},
            **placement_of(image),
        )

    def show(self, found: PlaneProbability | None) -> None:
        """Show a plane; None shows nothing."""
        if found is None:
            self.layer.data = _nothing()
            return
        self._axis, self._index = found.axis, found.index
        self._place()
        self.layer.data = np.expand_dims(np.asarray(found.parts) / _WHOLE, found.axis)

    def look_at(self, view: View | None) -> None:
        """Be seen where planes like that which it shows are; None is 3-D."""
        is_seen = view is not None and view.axis == self._axis
        if is_seen != self.layer.visible:
            self.layer.visible = is_seen

    def follow(self, image: Image) -> None:
        """Lie over an image wherever it is by now."""
        self._image = image
        follow_placement(self.layer, image)
        self._place()

    def _place(self) -> None:
        """Lie at the plane that is shown."""
        placement = placement_of(self._image)
        parts = ("scale", "translate", "rotate", "shear")
        onto = Affine(**{part: placement[part] for part in parts})
        voxel = np.zeros(3)
        voxel[self._axis] = self._index
        self.layer.translate = onto(voxel)


def _nothing() -> NDArray[np.float32]:
    return np.zeros((1, 1, 1), dtype=np.float32)


def _colormap() -> Colormap:
    """From nothing over violet to yellow."""
    shares = np.linspace(0, 1, _COLORS)
    colors = np.asarray(AVAILABLE_COLORMAPS["inferno"].map(shares))
    colors[:, 3] = np.clip((shares - _UNSEEN) / (_SEEN - _UNSEEN), 0, 1)
    return Colormap(colors, name="probability")

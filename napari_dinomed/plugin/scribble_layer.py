"""Brush strokes on the canvas as prompts: a labels layer whose paint is read, not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.plugin.layers import label_colors, labels_over
from napari_dinomed.segment.prompts import Label, Scribble

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinomed.session.session import Deliver
    from napari_dinomed.session.state import Annotation

NAME = "Scribbles"
BACKGROUND = 65_535
"""Paint of this value excludes: it is none of the labels."""
_GREY = Label(BACKGROUND, "background", (0.75, 0.75, 0.75))


class ScribbleLayer:
    """A labels layer kept equal to the scribbles of an annotation.

    Parameters
    ----------
    image
        The layer that is painted on.
    changed
        Called with the scribbles after the user painted or erased.
    deliver
        Runs a function soon: napari tells of some edits before it makes them.
    """

    def __init__(
        self,
        image: Image,
        changed: Callable[[tuple[Scribble, ...]], None],
        deliver: Deliver,
    ) -> None:
        self._changed = changed
        self._deliver = deliver
        self._is_showing = False
        self._label = 1
        self.layer = labels_over(image, NAME, np.uint16)
        self.layer.brush_size = max(2, min(image.data.shape[1:]) // 60)
        self.layer.events.paint.connect(self._on_paint)

    def arm(self, label: int, include: bool) -> None:
        """Make the next stroke mean this."""
        self._label = label
        self.layer.selected_label = label if include else BACKGROUND

    def show(self, annotation: Annotation) -> None:
        """Make the canvas show the annotation's scribbles, without calling back."""
        self.layer.colormap = label_colors((*annotation.labels, _GREY))
        if self._scribbles() == annotation.prompts.scribbles:
            return
        self._is_showing = True
        try:
            self.layer.data[...] = 0
            for stroke in annotation.prompts.scribbles:
                value = stroke.label if stroke.include else BACKGROUND
                self.layer.data[tuple(np.array(stroke.voxels).T)] = value
            self.layer.refresh()
        finally:
            self._is_showing = False

    def _scribbles(self) -> tuple[Scribble, ...]:
        data: NDArray[np.uint16] = np.asarray(self.layer.data)
        painted = np.argwhere(data)
        values = data[tuple(painted.T)]
        return tuple(
            Scribble(
                tuple((int(z), int(y), int(x)) for z, y, x in painted[values == value]),
                self._label if value == BACKGROUND else int(value),
                include=bool(value != BACKGROUND),
            )
            for value in np.unique(values)
        )

    def _on_paint(self) -> None:
        if not self._is_showing:
            self._deliver(lambda: self._changed(self._scribbles()))

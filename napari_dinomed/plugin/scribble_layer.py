"""The *Scribbles* layer: strokes that teach, as paint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.labels import Label
from napari_dinomed.plugin.layers import colors_of, label_colors, labels_over
from napari_dinomed.plugin.painting import boxes_of, repaint

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Box

NAME = "Scribbles"
BACKGROUND = 65_535
"""Paint of this value excludes: it is none of the labels."""
_GREY = Label(BACKGROUND, "background", (0.75, 0.75, 0.75))


class ScribbleLayer:
    """A labels layer kept equal to the strokes of a document.

    Parameters
    ----------
    image
        The layer that is painted on.
    """

    def __init__(self, image: Image) -> None:
        self.layer = labels_over(image, NAME, np.uint16)
        self.layer.brush_size = max(2, min(self.layer.data.shape[1:]) // 60)

    def arm(self, label: int, include: bool) -> None:
        """Make the next stroke mean this."""
        value = label if include else BACKGROUND
        if self.layer.selected_label != value:
            self.layer.selected_label = value

    def show(self, before: Document, after: Document) -> None:
        """Paint the strokes that differ."""
        old, new = before.prompts.strokes, after.prompts.strokes
        known, kept = {id(stroke) for stroke in old}, {id(stroke) for stroke in new}
        changed = [stroke.mask for stroke in old if id(stroke) not in kept]
        changed += [stroke.mask for stroke in new if id(stroke) not in known]
        self.paint(after, boxes_of(*changed))
        if colors_of(before.labels) != colors_of(after.labels):
            self._color(after)

    def show_all(self, document: Document) -> None:
        """Paint a document's strokes into an empty layer."""
        self.paint(document, boxes_of(*(s.mask for s in document.prompts.strokes)))
        self._color(document)

    def paint(self, document: Document, boxes: dict[int, Box]) -> None:
        """Make boxes show a document's strokes, whatever was painted there."""
        parts = [
            (stroke.label if stroke.include else BACKGROUND, stroke.mask)
            for stroke in document.prompts.strokes
        ]
        if repaint(self.layer.data, boxes, parts):
            self.layer.refresh()

    def _color(self, document: Document) -> None:
        self.layer.colormap = label_colors((*document.labels, _GREY))

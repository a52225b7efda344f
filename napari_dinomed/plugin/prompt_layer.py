"""The *Prompts* layer: clicks, as points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.plugin.layers import placement_of, shape_over

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_dinomed.annotation.document import Document

NAME = "Prompts"
_SYMBOLS = {True: "disc", False: "x"}
# Of a point on the screen, whatever the zoom. napari draws the least, too, at the volume's
# corner where no point lies in the slice: as small as can be.
_SCREEN_PIXELS = (2, 16)
# Of a slice's shorter side: seen where the slice fills half of the canvas.
_SHARE = 1 / 30
_NEW = -1
# Of a mouse, as vispy counts its buttons; and a key, as it is called there.
_RIGHT, _SHIFT = 2, "Shift"


@dataclass(frozen=True)
class ShownPoint:
    """A point of the layer.

    Parameters
    ----------
    point
        What it says.
    number
        Which of the document's clicks it is; -1 for one just added.
    """

    point: Point
    number: int

    @property
    def is_new(self) -> bool:
        """Whether the document does not know it yet."""
        return self.number == _NEW


class PromptLayer:
    """A points layer kept equal to the clicks of a document.

    Parameters
    ----------
    image
        The layer that is clicked on.
    """

    def __init__(self, image: Image) -> None:
        self._last = np.array(shape_over(image)) - 1
        self._armed = (1, True, (1.0, 1.0, 1.0, 1.0))
        self.layer = Points(
            ndim=3,
            name=NAME,
            size=max(4.0, min(shape_over(image)[1:]) * _SHARE),
            features={
                "label": np.zeros(0, int),
                "include": np.zeros(0, bool),
                "number": np.zeros(0, int),
            },
            border_color="white",
            border_width=0.12,
            **placement_of(image),
        )
        self.layer.canvas_size_limits = _SCREEN_PIXELS
        self._excludes = False
        self.layer.mouse_drag_callbacks.append(self._on_press)

    def arm(self, document: Document, label: int, include: bool) -> None:
        """Make the next click mean this."""
        armed = (label, include, (*document.find(label).color, 1.0))
        if armed != self._armed:
            self._armed = armed
            self._arm()

    def _on_press(self, layer: Points, event: Any) -> None:
        """Hear whether the click to come excludes, whatever clicks mean otherwise."""
        del layer
        is_right = event.button == _RIGHT
        self._excludes = is_right or [str(one) for one in event.modifiers] == [_SHIFT]

    def _arm(self) -> None:
        label, include, color = self._armed
        with self.layer.events.data.blocker():
            self.layer.selected_data = set()
            self.layer.feature_defaults = {
                "label": label,
                "include": include,
                "number": _NEW,
            }
            self.layer.current_face_color = color
            self.layer.current_symbol = _SYMBOLS[include]

    def show(self, before: Document, after: Document) -> None:
        """Show the clicks where they differ."""
        if before.prompts.points != after.prompts.points:
            self.paint(after)
        elif before.labels != after.labels:
            self._color(after)

    def paint(self, document: Document) -> None:
        """Make the layer show a document's clicks, whatever it showed."""
        points = document.prompts.points
        with self.layer.events.data.blocker():
            self.layer.selected_data = set()
            self.layer.data = np.array([p.voxel for p in points], float).reshape(-1, 3)
            self.layer.features = {
                "label": [p.label for p in points],
                "include": [p.include for p in points],
                "number": np.arange(len(points)),
            }
        self._color(document)
        # napari takes what the next point has from the last one of those given.
        self._arm()

    def points(self) -> list[ShownPoint]:
        """What the layer shows, moved and new points included."""
        features = self.layer.features
        rows = zip(
            # A single slice is clicked on wherever along its own axis the view stands.
            np.where(self._last > 0, np.rint(self.layer.data), 0).astype(int),
            features["label"],
            features["include"],
            features["number"],
            strict=True,
        )
        return [
            ShownPoint(
                Point(
                    _voxel(place),
                    int(label),
                    bool(include) and not (number == _NEW and self._excludes),
                ),
                int(number),
            )
            for place, label, include, number in rows
        ]

    def _color(self, document: Document) -> None:
        points = document.prompts.points
        if points:
            colors = {label.id: (*label.color, 1.0) for label in document.labels}
            self.layer.face_color = np.array([colors[p.label] for p in points])
            self.layer.symbol = [_SYMBOLS[p.include] for p in points]


def _voxel(place: Any) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in place)
    return (z, y, x)

"""Points on the canvas as prompts, and prompts as points on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_dinomed.plugin.layers import placement_of
from napari_dinomed.segment.prompts import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_dinomed.session.state import Annotation

NAME = "Prompts"
_SYMBOLS = {True: "disc", False: "x"}
_SCREEN_PIXELS = (9, 16)


class PromptLayer:
    """A points layer kept equal to the points of an annotation.

    Parameters
    ----------
    image
        The layer that is clicked on.
    changed
        Called with the points after the user added, moved or deleted some.
    refused
        Called with the reason when a click is not taken.
    """

    def __init__(
        self,
        image: Image,
        changed: Callable[[tuple[Point, ...]], None],
        refused: Callable[[str], None],
    ) -> None:
        self._shape = image.data.shape
        self._changed = changed
        self._refused = refused
        self._is_showing = False
        self.layer = Points(
            ndim=3,
            name=NAME,
            size=max(4.0, min(image.data.shape[1:]) / 40),
            features={"label": np.zeros(0, int), "include": np.zeros(0, bool)},
            border_color="white",
            border_width=0.12,
            **placement_of(image),
        )
        self.layer.canvas_size_limits = _SCREEN_PIXELS
        self.layer.events.data.connect(self._on_data)

    def arm(self, annotation: Annotation, label: int, include: bool) -> None:
        """Make the next click mean this."""
        color = annotation.find(label).color
        with self.layer.events.data.blocker():
            self.layer.selected_data = set()
            self.layer.feature_defaults = {"label": label, "include": include}
            self.layer.current_face_color = (*color, 1.0)
            self.layer.current_symbol = _SYMBOLS[include]

    def show(self, annotation: Annotation) -> None:
        """Make the canvas show the annotation's points, without calling back."""
        points = annotation.prompts.points
        self._is_showing = True
        try:
            if self._points() != points:
                self._replace(points)
            self._paint(annotation, points)
        finally:
            self._is_showing = False

    def _replace(self, points: tuple[Point, ...]) -> None:
        self.layer.selected_data = set()
        self.layer.data = np.array([p.voxel for p in points], dtype=float).reshape(-1, 3)
        self.layer.features = {
            "label": [p.label for p in points],
            "include": [p.include for p in points],
        }

    def _paint(self, annotation: Annotation, points: tuple[Point, ...]) -> None:
        if points:
            colors = {label.id: (*label.color, 1.0) for label in annotation.labels}
            self.layer.face_color = np.array([colors[p.label] for p in points])
            self.layer.symbol = [_SYMBOLS[p.include] for p in points]

    def _points(self) -> tuple[Point, ...]:
        voxels = np.rint(self.layer.data).astype(int)
        features = self.layer.features
        return tuple(
            Point((int(z), int(y), int(x)), int(label), bool(include))
            for (z, y, x), label, include in zip(
                voxels, features["label"], features["include"], strict=True
            )
        )

    def _on_data(self, event: Any) -> None:
        if self._is_showing or event.action not in ("added", "removed", "changed"):
            return
        points = self._points()
        inside = tuple(point for point in points if self._holds(point))
        if len(inside) < len(points):
            self._refused("That click was outside the volume; it was not taken.")
            self._is_showing = True
            self._replace(inside)
            self._is_showing = False
        self._changed(inside)

    def _holds(self, point: Point) -> bool:
        return all(0 <= v < n for v, n in zip(point.voxel, self._shape, strict=True))

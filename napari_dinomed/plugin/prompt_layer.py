"""The *Prompts* layer: clicks, as points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Points

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.plugin.layers import placement_of, shape_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.layers import Image, Layer

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.prompts import Voxel

NAME = "Prompts"
RING = "Next click"
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
        self._let_clicks_move()

    def _let_clicks_move(self) -> None:
        """Have a press on a click take hold of it; elsewhere it makes a new one.

        Where napari keeps its modes in another way than it does today, clicks are moved in
        its own mode for that alone.
        """
        modes = {str(mode): mode for mode in getattr(self.layer, "_drag_modes", {})}
        if not {"add", "select"} <= modes.keys():
            return
        acts = dict(self.layer._drag_modes)
        add, select = acts[modes["add"]], acts[modes["select"]]

        def add_or_select(layer: Points, event: Any) -> Iterator[None] | None:
            if len(event.dims_displayed) > 2:
                return None
            under = layer.get_value(
                event.position,
                view_direction=event.view_direction,
                dims_displayed=event.dims_displayed,
                world=True,
            )
            if under is None:
                # What was selected lends its looks to the next click.
                self._arm()
                return cast("Iterator[None]", add(layer, event))
            return _held(layer, cast("Iterator[None]", select(layer, event)))

        self.layer._drag_modes = acts | {modes["add"]: add_or_select}

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
        # A click that was just made is told of at the next turn, and has its colour then.
        if points and len(points) == len(self.layer.data):
            colors = {label.id: (*label.color, 1.0) for label in document.labels}
            self.layer.face_color = np.array([colors[p.label] for p in points])
            self.layer.symbol = [_SYMBOLS[p.include] for p in points]


def _held(layer: Points, dragging: Iterator[None]) -> Iterator[None]:
    """A drag of a click, while which the view stays where it is."""
    layer.mouse_pan = False
    try:
        yield from dragging
    finally:
        layer.mouse_pan = True


def ring_at(voxel: Voxel, over: Layer) -> Points:
    """A layer that has a ring around a voxel, and does nothing."""
    return Points(
        np.array([voxel], dtype=float),
        name=RING,
        size=2 * max(4.0, min(over.data.shape[-2:]) * _SHARE),
        symbol="ring",
        face_color="yellow",
        border_width=0,
        **placement_of(over),
    )


def _voxel(place: Any) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in place)
    return (z, y, x)

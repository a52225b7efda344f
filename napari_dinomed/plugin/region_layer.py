"""The *Regions* layer: boxes and lassos, as the plane in view shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes

from napari_dinomed.annotation.region import Region, Role, held_by
from napari_dinomed.plugin.layers import placement_of, shape_over

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.session.activity import View

Outline = tuple[tuple[float, float], ...]
NAME = "Regions"
_NEW = -1
# Of a slice's shorter side: a line that is seen on the whole slice, and hides no edge.
_LINE = 1 / 200
# What is filled: all in it belongs, or nothing does.
_FILL = 0.25
_GREY = (0.6, 0.6, 0.6)
# Pixels along its shorter side from which something was drawn, and not clicked on.
_LEAST_SIDE = 1.0


@dataclass(frozen=True, eq=False)
class ShownRegion:
    """An outline of the layer.

    Parameters
    ----------
    outline
        Corners in the plane in view.
    number
        Which of the document's regions it is; -1 for one just drawn.
    """

    outline: Outline
    number: int

    @property
    def is_new(self) -> bool:
        """Whether the document does not know it yet."""
        return self.number == _NEW

    @property
    def is_click(self) -> bool:
        """Whether it is too small to hold anything: the mouse was not drawn."""
        return float(np.ptp(np.array(self.outline), axis=0).min()) < _LEAST_SIDE


class RegionLayer:
    """A shapes layer kept equal to what a plane shows of a document's regions.

    Parameters
    ----------
    image
        The layer that is drawn on.
    """

    def __init__(self, image: Image) -> None:
        self._shape = shape_over(image)
        self.axis, self.index = 0, 0
        self._drawn: list[ShownRegion] = []
        self._is_behind = False
        self.layer = Shapes(
            ndim=3,
            name=NAME,
            edge_width=max(0.5, min(self._shape[1:]) * _LINE),
            face_color="transparent",
            features={"number": np.zeros(0, int)},
            **placement_of(image),
        )

    @property
    def drawn(self) -> list[ShownRegion]:
        """What was shown last, before anybody drew."""
        return self._drawn

    def arm(self, document: Document, label: int, role: Role) -> None:
        """Make what is drawn next look like this."""
        edge, face = _colors(document.find(label).color, role)
        with self.layer.events.data.blocker():
            self.layer.selected_data = set()
            self.layer.current_edge_color = edge
            self.layer.current_face_color = face
            self.layer.feature_defaults = {"number": _NEW}

    def show(self, before: Document, after: Document) -> None:
        """Show the regions where they differ."""
        old, new = before.prompts.regions, after.prompts.regions
        if old != new or (new and before.labels != after.labels):
            self.paint(after)

    def look_at(self, view: View, document: Document) -> None:
        """Show what another plane shows of them."""
        if (self.axis, self.index) != (view.axis, view.index) or self._is_behind:
            self.axis, self.index = view.axis, view.index
            if document.prompts.regions or self._drawn:
                self.paint(document)

    def paint(self, document: Document) -> None:
        """Make the layer show a document's regions, whatever it showed."""
        # napari loses its way where what it is drawing is taken from it.
        self._is_behind = bool(getattr(self.layer, "_is_creating", False))
        if self._is_behind:
            return
        regions = document.prompts.regions
        self._drawn = [
            ShownRegion(tuple((float(a), float(b)) for a, b in outline), number)
            for number, region in enumerate(regions)
            for outline in region.seen_in(self.axis, self.index)
        ]
        looks = [self._looks_of(regions[one.number], document) for one in self._drawn]
        with self.layer.events.data.blocker():
            self.layer.selected_data = set()
            self.layer.data = []
            if self._drawn:
                self.layer.add(
                    [self._placed(one.outline) for one in self._drawn],
                    shape_type="polygon",
                    edge_color=np.array([edge for edge, _ in looks]),
                    face_color=np.array([face for _, face in looks]),
                )
            self.layer.features = {"number": [one.number for one in self._drawn]}
            self.layer.feature_defaults = {"number": _NEW}

    def shown(self) -> list[ShownRegion]:
        """What the layer shows, moved and new ones included."""
        numbers = self.layer.features["number"]
        return [
            ShownRegion(self._outline(np.asarray(corners)), int(number))
            for corners, number in zip(self.layer.data, numbers, strict=True)
        ]

    def select_at(self, outline: Outline) -> None:
        """Select the smallest region that lies under a click."""
        row, column = (round(float(v)) for v in np.mean(outline, axis=0))
        pixel = (slice(row, row + 1), slice(column, column + 1))
        sizes = {
            number: np.ptp(one.outline, axis=0).prod()
            for number, one in enumerate(self._drawn)
            if held_by(one.outline, pixel)[0, 0]
        }
        if sizes:
            self.layer.selected_data = {min(sizes, key=sizes.__getitem__)}

    def _looks_of(self, region: Region, document: Document) -> tuple[Any, Any]:
        return _colors(document.find(region.label).color, region.role)

    def _placed(self, outline: Outline) -> NDArray[np.float64]:
        """Corners (n, 3) of an outline in the plane in view."""
        return np.insert(np.array(outline), self.axis, self.index, axis=1)

    def _outline(self, corners: NDArray[np.float64]) -> Outline:
        """Corners in the plane, no farther out than the volume."""
        plane = np.delete(corners, self.axis, axis=1)
        sides = np.delete(self._shape, self.axis)
        held = np.clip(plane, -0.5, sides - 0.5)
        return tuple((float(row), float(column)) for row, column in held)


def _colors(color: tuple[float, float, float], role: Role) -> tuple[Any, Any]:
    """Of the line, and of what is in it: label, grey, or nothing."""
    fills = {Role.INCLUDE: (*color, _FILL), Role.EXCLUDE: (*_GREY, _FILL)}
    return (*color, 1.0), fills.get(role, (0.0, 0.0, 0.0, 0.0))

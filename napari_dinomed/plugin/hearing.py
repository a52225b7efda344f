"""The one place that turns what layers tell into changes of the document.

In: events of the layers of a sheet. Out: acts of the user on a session, each done when the
event is over, and what the layer shows made right where an act is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompt, Stroke
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.errors import DinomedError
from napari_dinomed.finish.lessons import taught_by_paint
from napari_dinomed.plugin.painting import boxes_of, edits_of
from napari_dinomed.plugin.scribble_layer import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.sheet import Sheet
    from napari_dinomed.plugin.turns import Turns
    from napari_dinomed.session.session import Session

# Of what napari tells of its points and shapes, what is not still going on.
_DONE = ("added", "removed", "changed")
IN_3D = (
    "Clicks and strokes are made on slices, where it is seen what they lie on. Press F5 to "
    "go back to them."
)
"""What is said of clicks in 3-D that are on no label."""


class Aims(Protocol):
    """Who knows what the next click means."""

    @property
    def label(self) -> int:
        """The label that is aimed at."""

    @property
    def role(self) -> Role:
        """What the next region says."""

    @property
    def is_through(self) -> bool:
        """Whether it goes through all slices."""

    @property
    def paint_teaches(self) -> bool:
        """Whether what is painted becomes prompts at once."""

    def aim(self, label: int) -> None:
        """Aim at another label."""


@dataclass(frozen=True)
class _Meant:
    """What was aimed at when something was drawn, whatever is by the time it is taken."""

    label: int
    role: Role
    is_through: bool


class Hearing:
    """Hears the layers of a sheet.

    Parameters
    ----------
    viewer
        Says whether slices are shown.
    sheet
        The layers.
    session
        Whose document they show.
    turns
        Does things one after another.
    aims
        Knows the label that is aimed at, and is told when one is picked on a layer.
    refused
        Called with the reason when something is not taken.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        sheet: Sheet,
        session: Session,
        turns: Turns,
        aims: Aims,
        refused: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._sheet = sheet
        self._session = session
        self._turns = turns
        self._aims = aims
        self._refused = refused
        self._is_over = False
        sheet.prompts.layer.events.data.connect(self._on_points)
        sheet.regions.layer.events.data.connect(self._on_regions)
        sheet.scribbles.layer.events.paint.connect(self._on_scribble)
        sheet.result.layer.events.paint.connect(self._on_brush)
        sheet.result.layer.events.data.connect(self._on_replaced)
        sheet.result.layer.events.selected_label.connect(self._on_selected)
        sheet.result.layer.mouse_drag_callbacks.append(self._on_drag)

    def end(self) -> None:
        """Hear nothing from now on, and do nothing that was heard before."""
        self._is_over = True
        sheet = self._sheet
        sheet.prompts.layer.events.data.disconnect(self._on_points)
        sheet.regions.layer.events.data.disconnect(self._on_regions)
        sheet.scribbles.layer.events.paint.disconnect(self._on_scribble)
        sheet.result.layer.events.paint.disconnect(self._on_brush)
        sheet.result.layer.events.data.disconnect(self._on_replaced)
        sheet.result.layer.events.selected_label.disconnect(self._on_selected)
        sheet.result.layer.mouse_drag_callbacks.remove(self._on_drag)

    def _soon(self, work: Callable[[], None]) -> None:
        self._turns.soon(lambda: None if self._is_over else work())

    # Events: only what is to be done is noted

    def _on_points(self, event: Any) -> None:
        if self._sheet.is_showing or event.action not in _DONE:
            return
        is_flat = self._viewer.dims.ndisplay == 2
        self._soon(self._take_points if is_flat else self._refuse_points)

    def _on_regions(self, event: Any) -> None:
        if not self._sheet.is_showing and event.action in _DONE:
            meant = self._meant()
            self._soon(lambda: self._take_regions(meant))

    def _on_scribble(self, event: Any) -> None:
        if self._sheet.is_showing:
            return
        edits = edits_of(event.value, self._sheet.scribbles.layer.data.shape)
        if edits:
            label = self._aims.label
            self._soon(lambda: self._take_strokes(edits, label))

    def _on_brush(self, event: Any) -> None:
        if self._sheet.is_showing:
            return
        result = self._sheet.result
        edits = edits_of(event.value, result.layer.data.shape, result.take_kept())
        if edits:
            self._soon(lambda: self._take_edits(edits))

    def _on_drag(self, layer: Any, event: Any) -> Iterator[None]:
        """Of a stroke that changed no voxel napari tells nothing but that it is over."""
        yield
        while event.type == "mouse_move":
            yield
        self._soon(self._take_kept)

    def _on_replaced(self) -> None:
        """A script gave the layer other voxels: what differs counts as painted."""
        if not self._sheet.is_showing:
            given = np.asarray(self._sheet.result.layer.data)
            self._soon(lambda: self._take_replaced(given))

    def _on_selected(self) -> None:
        label = self._sheet.result.layer.selected_label
        if not self._sheet.is_showing and self._session.document.has(label):
            self._soon(lambda: self._pick(label))

    # Acts

    def _pick(self, label: int) -> None:
        if self._session.document.has(label):
            self._aims.aim(label)

    def _take_points(self) -> None:
        """Points that were added, moved or deleted on the canvas."""
        try:
            self._change_points()
        except DinomedError as error:
            self._refuse_points(str(error))

    def _change_points(self) -> None:
        session, shown = self._session, self._sheet.prompts.points()
        known = session.document.prompts.points
        kept = {one.number: one.point for one in shown if not one.is_new}
        if [kept.get(n) for n in range(len(known))] != list(known):
            self._move_points(kept)
        for one in shown:
            if one.is_new:
                self._require_inside(one.point.voxel)
                session.add(one.point)

    def _move_points(self, kept: dict[int, Point]) -> None:
        """Points that were known, some of them moved and some gone.

        A point that was moved is said anew, as if it had been clicked there.
        """
        session, points = self._session, self._session.document.prompts.points
        moved = [
            kept[n] for n, point in enumerate(points) if n in kept and kept[n] != point
        ]
        left = {id(point) for n, point in enumerate(points) if kept.get(n) == point}
        document = session.document.with_prompts(
            session.document.prompts.without_points(lambda point: id(point) not in left)
        )
        for point in moved:
            self._require_inside(point.voxel)
            document = document.with_prompt(point)
        gone = len(points) - len(kept)
        name = f"delete {gone} clicks" if gone > 1 else "delete a click"
        session.change(document, name if gone else "move a click")

    def _refuse_points(self, reason: str = IN_3D) -> None:
        self._sheet.prompts.paint(self._session.document)
        self._refused(reason)

    def _require_inside(self, voxel: tuple[int, int, int]) -> None:
        shape = self._session.volume.array.shape
        if any(not 0 <= v < n for v, n in zip(voxel, shape, strict=True)):
            raise DinomedError("That click was outside the volume; it was not taken.")

    def _meant(self) -> _Meant:
        return _Meant(self._aims.label, self._aims.role, self._aims.is_through)

    def _take_regions(self, meant: _Meant) -> None:
        """Regions that were drawn, moved or deleted on the canvas."""
        clicks = [one.outline for one in self._sheet.regions.shown() if one.is_click]
        try:
            self._change_regions(meant)
        except DinomedError as error:
            self._refused(str(error))
        self._sheet.show_regions(self._session.document, clicks[-1] if clicks else None)

    def _change_regions(self, meant: _Meant) -> None:
        session, regions = self._session, self._sheet.regions
        known, shown = session.document.prompts.regions, regions.shown()
        kept = {one.number: one for one in shown if not one.is_new}
        for drawn in regions.drawn:
            region = known[drawn.number]
            now = kept.get(drawn.number)
            if now is None:
                self._replace(region, None, "delete a region")
            elif now.outline != drawn.outline:
                if region.axis != regions.axis:
                    raise DinomedError(
                        "Move a region in a plane like that it was drawn in."
                    )
                moved = replace(region, outline=now.outline)
                self._replace(region, moved, "move a region")
        for one in shown:
            if one.is_new and not one.is_click:
                session.add(self._region(one.outline, meant))

    def _replace(self, old: Prompt, new: Prompt | None, name: str) -> None:
        session = self._session
        left = session.document.prompts.without(lambda prompt: prompt is old)
        document = session.document.with_prompts(left)
        session.change(document if new is None else document.with_prompt(new), name)

    def _region(self, outline: tuple[tuple[float, float], ...], meant: _Meant) -> Region:
        regions, shape = self._sheet.regions, self._session.volume.geometry.shape
        axis, index = regions.axis, regions.index
        span = (0, shape[axis]) if meant.is_through else (index, index + 1)
        region = Region(outline, axis, span, index, meant.label, meant.role)
        region.require_inside(shape)
        return region

    def _take_strokes(self, edits: list[tuple[int, Mask]], aimed: int) -> None:
        def take(value: int, mask: Mask) -> None:
            session = self._session
            if value == 0:
                left = session.document.prompts.unpainted(mask)
                session.change(session.document.with_prompts(left), "erase strokes")
                return
            is_exclusion = value == BACKGROUND
            label = aimed if is_exclusion else value
            if not session.document.has(label):
                raise DinomedError(f"There is no label {label}: choose one in the list.")
            session.add(Stroke(mask, label, include=not is_exclusion))

        self._take_each(edits, take)
        masks = (mask for _, mask in edits)
        self._sheet.scribbles.paint(self._session.document, boxes_of(*masks))

    def _take_edits(self, edits: list[tuple[int, Mask]]) -> None:
        self._take_each(edits, self._set_by_hand)
        masks = (mask for _, mask in edits)
        self._sheet.result.paint(self._session.document, boxes_of(*masks))

    def _take_kept(self) -> None:
        result = self._sheet.result
        self._take_edits(edits_of((), result.layer.data.shape, result.take_kept()))

    def _take_replaced(self, given: NDArray[np.integer[Any]]) -> None:
        shape = self._session.volume.geometry.shape
        now = self._session.document.labels_of(shape)
        self._sheet.replace(now)
        if given.shape != shape:
            self._refused(f"Expected labels of {shape} voxels, got {given.shape}.")
            return
        differs = given != now
        self._take_edits(
            [
                (int(value), Mask.of(differs & (given == value)))
                for value in np.unique(given[differs])
            ]
        )

    def _set_by_hand(self, value: int, mask: Mask) -> None:
        """Brush or eraser; paint of a number that no label has begins a label."""
        document = self._session.document
        locked = mask - document.unlocked(mask)
        aims_at_done = document.has(value) and document.find(value).is_done
        # Of paint on a label that is itself done, that is said below.
        if locked and not aims_at_done:
            self._refused("Labels that are done are locked; they stayed as they were.")
        if not value:
            erased = document.with_erasure(mask, self._aims.label)
            self._session.change(self._taught(erased, self._aims.label), "eraser")
            return
        if not document.has(value):
            document = document.with_new_label(document.find(self._aims.label).meaning)
            value = document.next_id - 1
        painted = self._taught(document.with_edit(mask, value), value)
        self._session.change(painted, f"paint on {document.find(value).name}")
        if value != self._aims.label:
            self._aims.aim(value)

    def _taught(self, document: Document, label: int) -> Document:
        """A document in which what was painted teaches, if it is to and says anything."""
        if not self._aims.paint_teaches:
            return document
        try:
            spacing = self._session.volume.geometry.spacing
            return taught_by_paint(document, label, spacing)
        except DinomedError:
            # An outline put right, or a label that is done: paint alone.
            return document

    def _take_each(
        self, edits: list[tuple[int, Mask]], take: Callable[[int, Mask], None]
    ) -> None:
        for value, mask in edits:
            try:
                take(value, mask)
            except DinomedError as error:
                self._refused(str(error))

"""The one place that turns what layers tell into changes of the document.

In: events of the layers of a sheet. Out: acts of the user on a session, each done when the
event is over, and what the layer shows made right where an act is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompt, Prompts, Stroke
from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.painting import boxes_of, edits_of
from napari_dinomed.plugin.scribble_layer import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinomed.plugin.sheet import Sheet
    from napari_dinomed.plugin.turns import Turns
    from napari_dinomed.session.session import Session

_IN_3D = (
    "Clicks are placed in 2-D, where it is seen what they lie on. Press Ctrl+Y to go back "
    "to slices."
)


class Aims(Protocol):
    """Who knows what the next click means."""

    @property
    def label(self) -> int:
        """The label that is aimed at."""

    def aim(self, label: int) -> None:
        """Aim at another label."""


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
        sheet.prompts.layer.events.data.connect(self._on_points)
        sheet.scribbles.layer.events.paint.connect(self._on_scribble)
        sheet.result.layer.events.paint.connect(self._on_brush)
        sheet.result.layer.events.data.connect(self._on_replaced)
        sheet.result.layer.events.selected_label.connect(self._on_selected)

    def end(self) -> None:
        """Hear nothing from now on."""
        sheet = self._sheet
        sheet.prompts.layer.events.data.disconnect(self._on_points)
        sheet.scribbles.layer.events.paint.disconnect(self._on_scribble)
        sheet.result.layer.events.paint.disconnect(self._on_brush)
        sheet.result.layer.events.data.disconnect(self._on_replaced)
        sheet.result.layer.events.selected_label.disconnect(self._on_selected)

    # Events: only what is to be done is noted

    def _on_points(self, event: Any) -> None:
        if self._sheet.is_showing or event.action not in ("added", "removed", "changed"):
            return
        is_flat = self._viewer.dims.ndisplay == 2
        self._turns.soon(self._take_points if is_flat else self._refuse_points)

    def _on_scribble(self, event: Any) -> None:
        edits = self._edits(event)
        if edits:
            self._turns.soon(lambda: self._take_strokes(edits))

    def _on_brush(self, event: Any) -> None:
        edits = self._edits(event)
        if edits:
            self._turns.soon(lambda: self._take_edits(edits))

    def _on_replaced(self) -> None:
        """A script gave the layer other voxels: what differs counts as painted."""
        if not self._sheet.is_showing:
            given = np.asarray(self._sheet.result.layer.data)
            self._turns.soon(lambda: self._take_replaced(given))

    def _on_selected(self) -> None:
        label = self._sheet.result.layer.selected_label
        if not self._sheet.is_showing and self._session.document.has(label):
            self._turns.soon(lambda: self._pick(label))

    def _edits(self, event: Any) -> list[tuple[int, Mask]]:
        if self._sheet.is_showing:
            return []
        return edits_of(event.value, self._sheet.result.layer.data.shape)

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
        """Points that were known, some of them moved and some gone."""
        prompts = self._session.document.prompts
        numbers = {id(point): n for n, point in enumerate(prompts.points)}
        changed: list[Prompt] = []
        for prompt in prompts.all:
            number = numbers.get(id(prompt))
            if number is None:
                changed.append(prompt)
            elif number in kept:
                self._require_inside(kept[number].voxel)
                changed.append(kept[number])
        gone = len(prompts.points) - len(kept)
        name = f"delete {gone} clicks" if gone > 1 else "delete a click"
        document = self._session.document.with_prompts(Prompts(tuple(changed)))
        self._session.change(document, name if gone else "move a click")

    def _refuse_points(self, reason: str = _IN_3D) -> None:
        self._sheet.prompts.paint(self._session.document)
        self._refused(reason)

    def _require_inside(self, voxel: tuple[int, int, int]) -> None:
        shape = self._session.volume.array.shape
        if any(not 0 <= v < n for v, n in zip(voxel, shape, strict=True)):
            raise DinomedError("That click was outside the volume; it was not taken.")

    def _take_strokes(self, edits: list[tuple[int, Mask]]) -> None:
        def take(value: int, mask: Mask) -> None:
            session = self._session
            if value == 0:
                left = session.document.prompts.unpainted(mask)
                session.change(session.document.with_prompts(left), "erase strokes")
                return
            is_exclusion = value == BACKGROUND
            label = self._aims.label if is_exclusion else value
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
        if value and not document.has(value):
            document = document.with_new_label(document.find(self._aims.label).meaning)
            value = document.next_id - 1
        changed = document.with_edit(mask, value)
        name = f"brush on {document.find(value).name}" if value else "eraser"
        kept = mask - changed.hand
        self._session.change(changed, name)
        if value and value != self._aims.label:
            self._aims.aim(value)
        if kept:
            self._refused("Labels that are done are locked; they stayed as they were.")

    def _take_each(
        self, edits: list[tuple[int, Mask]], take: Callable[[int, Mask], None]
    ) -> None:
        for value, mask in edits:
            try:
                take(value, mask)
            except DinomedError as error:
                self._refused(str(error))

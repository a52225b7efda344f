"""The tools, how the next click or stroke is meant, and taking steps back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QButtonGroup, QGridLayout, QGroupBox, QPushButton

from napari_dinomed.plugin.controls import button, toggle
from napari_dinomed.plugin.keymap import KEYMAP, Action, Key

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench


class PromptsBox(QGroupBox):
    """Click, scribble, brush, eraser; include or exclude; undo and redo by name."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Tools")
        self._workbench = workbench
        aim, sides = workbench.aim, KEYMAP[Action.TOGGLE].shown
        self.points = toggle(
            "Click", "Click on the image: the label grows from it", workbench.point
        )
        self.scribbles = toggle(
            "Scribble", "Paint examples that the label is learnt from", workbench.scribble
        )
        self.brush = toggle(
            "Brush", "Paint the label itself; answers never change it", workbench.brush
        )
        self.eraser = toggle(
            "Eraser", "Rub out what is there; no answer brings it back", workbench.erase
        )
        self.include = toggle(
            "Include",
            f"What is clicked belongs to the label ({sides} switches)",
            lambda: aim(include=True),
        )
        self.exclude = toggle(
            "Exclude",
            f"What is clicked does not belong to the label ({sides} switches)",
            lambda: aim(include=False),
        )
        self.undo = button("Undo", "Take back the last step", workbench.undo)
        self.redo = button("Redo", "Make it again", workbench.redo)
        self._groups = [
            self._exclusive(self.points, self.scribbles, self.brush, self.eraser),
            self._exclusive(self.include, self.exclude),
        ]
        self._lay_out()
        workbench.bound.connect(self._on_bound)
        workbench.aim_changed.connect(self._on_aim)
        workbench.document_changed.connect(self._on_document)
        workbench.tool_changed.connect(self._on_tool)
        self.setEnabled(False)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        tools = (self.points, self.scribbles, self.brush, self.eraser)
        for column, tool in enumerate(tools):
            layout.addWidget(tool, 0, column)
            layout.setColumnStretch(column, 1)
        layout.addWidget(self.include, 1, 0, 1, 2)
        layout.addWidget(self.exclude, 1, 2, 1, 2)
        # What is undone next is read more often than what could come back.
        layout.addWidget(self.undo, 2, 0, 1, 3)
        layout.addWidget(self.redo, 2, 3)
        for each in (self.undo, self.redo):
            each.setStyleSheet("text-align: left;")

    def _exclusive(self, *buttons: QPushButton) -> QButtonGroup:
        group = QButtonGroup(self)
        for each in buttons:
            group.addButton(each)
        buttons[0].setChecked(True)
        return group

    def _on_bound(self) -> None:
        self.setEnabled(self._workbench.session is not None)

    def _on_aim(self, label: int, include: bool) -> None:
        del label
        (self.include if include else self.exclude).setChecked(True)

    def _on_tool(self, tool: str) -> None:
        tools = {
            "point": self.points,
            "scribble": self.scribbles,
            "brush": self.brush,
            "erase": self.eraser,
        }
        group = self._groups[0]
        # None is lit where napari is set to something that is no tool of ours.
        group.setExclusive(tool in tools)
        for name, each in tools.items():
            each.setChecked(name == tool)

    def _on_document(self, document: Document) -> None:
        del document
        session = self._workbench.session
        if session is None:
            return
        for each, word, name, key in (
            (self.undo, "Undo", session.history.undoes, KEYMAP[Action.UNDO]),
            (self.redo, "Redo", session.history.redoes, KEYMAP[Action.REDO]),
        ):
            _name(each, word, name, key)


def _name(each: QPushButton, word: str, name: str, key: Key) -> None:
    """Say what a button would take back or make again, if anything."""
    text = f"{word}: {name}" if name else word
    each.setText(text)
    each.setEnabled(bool(name))
    # A long name is cut on the button.
    told = f"{key.does} ({key.shown})"
    each.setToolTip(f"{text}\n{told}" if name else told)

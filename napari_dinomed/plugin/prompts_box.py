"""The tools, how the next click or stroke is meant, and taking steps back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QButtonGroup, QGridLayout, QGroupBox, QPushButton

from napari_dinomed.plugin.keymap import KEYMAP, Action, Key

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench


class PromptsBox(QGroupBox):
    """Click, scribble, brush, eraser; include or exclude; undo and redo by name."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Tools")
        self._workbench = workbench
        self.points = _toggle("Click", "click on the image: the label grows from it")
        self.scribbles = _toggle("Scribble", "paint examples that the label is learnt from")
        self.brush = _toggle("Brush", "paint the label itself; answers never change it")
        self.eraser = _toggle("Eraser", "rub out what is there; no answer brings it back")
        self.include = _toggle("Include", "it belongs to the label")
        self.exclude = _toggle("Exclude", "it does not belong to the label")
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self._groups = [
            self._exclusive(self.points, self.scribbles, self.brush, self.eraser),
            self._exclusive(self.include, self.exclude),
        ]
        self._lay_out()
        self._connect()
        self.setEnabled(False)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        rows = (
            (self.points, self.scribbles),
            (self.brush, self.eraser),
            (self.include, self.exclude),
        )
        for row, pair in enumerate(rows):
            for column, button in enumerate(pair):
                layout.addWidget(button, row, column)
        layout.addWidget(self.undo, len(rows), 0, 1, 2)
        layout.addWidget(self.redo, len(rows) + 1, 0, 1, 2)

    def _exclusive(self, *buttons: QPushButton) -> QButtonGroup:
        group = QButtonGroup(self)
        for button in buttons:
            group.addButton(button)
        buttons[0].setChecked(True)
        return group

    def _connect(self) -> None:
        workbench = self._workbench
        self.points.clicked.connect(lambda: workbench.point())
        self.scribbles.clicked.connect(lambda: workbench.scribble())
        self.brush.clicked.connect(lambda: workbench.brush())
        self.eraser.clicked.connect(lambda: workbench.erase())
        self.include.clicked.connect(lambda: workbench.aim(include=True))
        self.exclude.clicked.connect(lambda: workbench.aim(include=False))
        self.undo.clicked.connect(lambda: workbench.undo())
        self.redo.clicked.connect(lambda: workbench.redo())
        workbench.bound.connect(self._on_bound)
        workbench.aim_changed.connect(self._on_aim)
        workbench.document_changed.connect(self._on_document)
        workbench.tool_changed.connect(self._on_tool)

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
        for name, button in tools.items():
            button.setChecked(name == tool)

    def _on_document(self, document: Document) -> None:
        del document
        session = self._workbench.session
        if session is None:
            return
        for button, word, name, key in (
            (self.undo, "Undo", session.history.undoes, KEYMAP[Action.UNDO]),
            (self.redo, "Redo", session.history.redoes, KEYMAP[Action.REDO]),
        ):
            _name(button, word, name, key)


def _name(button: QPushButton, word: str, name: str, key: Key) -> None:
    """Say what a button would take back or make again, if anything."""
    button.setText(f"{word}: {name}" if name else word)
    button.setEnabled(bool(name))
    button.setToolTip(f"{key.does} ({key.shown})")


def _toggle(text: str, does: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(does)
    return button

"""The tools, how the next click or stroke is meant, and taking steps back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QGroupBox,
    QMenu,
    QPushButton,
    QToolButton,
    QWidget,
)

from napari_dinomed.annotation.region import Role
from napari_dinomed.plugin.controls import button, toggle, told
from napari_dinomed.plugin.keymap import KEYMAP, Action, Key

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench

# Steps of either direction that are listed: as many as a menu can be read at a glance.
_MOST_LISTED = 12


class PromptsBox(QGroupBox):
    """Click, scribble, box, lasso, brush, eraser; what they mean; undo and redo by name."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Tools")
        self._workbench = workbench
        hand, sides = workbench.hand, KEYMAP[Action.TOGGLE].shown
        self.points = toggle(
            "Click", "Click on the image: the label grows from it", hand.point
        )
        self.scribbles = toggle(
            "Scribble", "Paint examples that the label is learnt from", hand.scribble
        )
        self.box = toggle(
            "Box",
            "Draw a box: the label is inside, or all or nothing in it is",
            hand.box,
        )
        self.lasso = toggle(
            "Lasso",
            "Draw round something, as with a box; a click selects for Delete",
            hand.lasso,
        )
        self.brush = toggle(
            "Brush", "Paint the label itself; answers never change it", hand.brush
        )
        self.eraser = toggle(
            "Eraser", "Rub out what is there; no answer brings it back", hand.erase
        )
        self.include = toggle(
            "Include",
            f"What is clicked belongs to the label ({sides} switches)",
            lambda: hand.aim(include=True),
        )
        self.exclude = toggle(
            "Exclude",
            f"What is clicked does not belong to the label ({sides} switches)",
            lambda: hand.aim(include=False),
        )
        self.inside = toggle(
            "Inside",
            "The label is inside of what is drawn: nothing beyond belongs to it",
            hand.aim_inside,
        )
        self.through = told(
            QCheckBox("All slices"),
            "All slices",
            "Boxes and lassos go through all slices; else through the one in view",
        )
        self.teaches = told(
            QCheckBox("Teaches"),
            "Teaches",
            "What brush and eraser correct becomes prompts at once, always",
        )
        self.teaches.setChecked(hand.paint_teaches)
        self.teaches.clicked.connect(lambda checked: hand.teach_always(checked))
        self.through.clicked.connect(lambda checked: hand.go_through(checked))
        self.undo = button("Undo", "Take back the last step", workbench.undo)
        self.redo = button("Redo", "Make it again", workbench.redo)
        self.steps = told(
            QToolButton(), "Steps", "The last steps: take back, or make again, several"
        )
        self.steps.setText("…")
        # Its three dots say that there is more; an arrow on top would cover them.
        self.steps.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.steps.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.steps.setMenu(QMenu(self.steps))
        self.steps.menu().aboutToShow.connect(lambda: self._list_steps())
        self._tools = {
            "point": self.points,
            "scribble": self.scribbles,
            "box": self.box,
            "lasso": self.lasso,
            "brush": self.brush,
            "erase": self.eraser,
        }
        self._groups = [
            self._exclusive(*self._tools.values()),
            self._exclusive(self.include, self.exclude, self.inside),
        ]
        self._lay_out()
        workbench.bound.connect(self._on_bound)
        workbench.hand.aim_changed.connect(self._on_aim)
        workbench.document_changed.connect(self._on_document)
        workbench.hand.tool_changed.connect(self._on_tool)
        self.setEnabled(False)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        # Of twelve columns, so that four, three and two buttons fill a row.
        rows: tuple[tuple[tuple[QWidget, int], ...], ...] = (
            tuple((tool, 3) for tool in list(self._tools.values())[:4]),
            ((self.brush, 3), (self.eraser, 3), (self.teaches, 3), (self.through, 3)),
            ((self.include, 4), (self.exclude, 4), (self.inside, 4)),
            # What is undone next is read more often than what could come back.
            ((self.undo, 7), (self.redo, 4), (self.steps, 1)),
        )
        for row, widgets in enumerate(rows):
            column = 0
            for widget, width in widgets:
                layout.addWidget(widget, row, column, 1, width)
                column += width
        for column in range(12):
            layout.setColumnStretch(column, 1)
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
        hand = self._workbench.hand
        draws, role = hand.draws_regions, hand.role
        if draws and role is Role.INSIDE:
            self.inside.setChecked(True)
        else:
            (self.include if include else self.exclude).setChecked(True)
        self.inside.setEnabled(draws)
        self.through.setEnabled(draws)
        self.through.setChecked(hand.is_through)

    def _on_tool(self, tool: str) -> None:
        group = self._groups[0]
        # None is lit where napari is set to something that is no tool of ours.
        group.setExclusive(tool in self._tools)
        for name, each in self._tools.items():
            each.setChecked(name == tool)
        # Of brush and eraser, one adds and the other takes away.
        for each in (self.include, self.exclude):
            each.setEnabled(tool not in ("brush", "erase"))

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

    def _list_steps(self) -> None:
        """What can be made again, the farthest first, and what can be taken back."""
        menu, session = self.steps.menu(), self._workbench.session
        menu.clear()
        if session is None:
            return
        history = session.history
        ahead = list(enumerate(history.future[:_MOST_LISTED], start=1))
        for steps, step in reversed(ahead):
            self._list_step(f"Redo: {step.name}", steps)
        menu.addSeparator()
        for steps, step in enumerate(history.past[:_MOST_LISTED], start=1):
            self._list_step(f"Undo: {step.name}", -steps)

    def _list_step(self, text: str, steps: int) -> None:
        action = self.steps.menu().addAction(text)
        action.triggered.connect(lambda: self._workbench.move(steps))


def _name(each: QPushButton, word: str, name: str, key: Key) -> None:
    """Say what a button would take back or make again, if anything."""
    text = f"{word}: {name}" if name else word
    each.setText(text)
    each.setEnabled(bool(name))
    # A long name is cut on the button.
    told = f"{key.does} ({key.shown})"
    each.setToolTip(f"{text}\n{told}" if name else told)

"""How the next click or stroke is meant, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QGroupBox,
    QPushButton,
)

from napari_dinomed.plugin.keymap import KEYMAP, Action, Key

if TYPE_CHECKING:
    from napari_dinomed.plugin.workbench import Workbench


class PromptsBox(QGroupBox):
    """Points or scribbles, include or exclude, undo and redo."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Prompts")
        self._workbench = workbench
        self.points = _toggle("Points", "click on the image")
        self.scribbles = _toggle("Scribbles", "paint on the image")
        self.include = _toggle("Include", "it belongs to the label")
        self.exclude = _toggle("Exclude", "it does not belong to the label")
        self.undo = _button("Undo", KEYMAP[Action.UNDO])
        self.redo = _button("Redo", KEYMAP[Action.REDO])
        self._groups = [
            self._exclusive(self.points, self.scribbles),
            self._exclusive(self.include, self.exclude),
        ]
        layout = QGridLayout(self)
        for row, pair in enumerate(
            (
                (self.points, self.scribbles),
                (self.include, self.exclude),
                (self.undo, self.redo),
            )
        ):
            for column, button in enumerate(pair):
                layout.addWidget(button, row, column)
        self._connect()
        self.setEnabled(False)

    def _exclusive(self, first: QPushButton, second: QPushButton) -> QButtonGroup:
        group = QButtonGroup(self)
        group.addButton(first)
        group.addButton(second)
        first.setChecked(True)
        return group

    def _connect(self) -> None:
        workbench = self._workbench
        self.points.clicked.connect(lambda: workbench.point())
        self.scribbles.clicked.connect(lambda: workbench.paint())
        self.include.clicked.connect(lambda: workbench.aim(include=True))
        self.exclude.clicked.connect(lambda: workbench.aim(include=False))
        self.undo.clicked.connect(lambda: self._step("undo"))
        self.redo.clicked.connect(lambda: self._step("redo"))
        workbench.opened.connect(lambda: self.setEnabled(True))
        workbench.closed.connect(lambda: self.setEnabled(False))
        workbench.aim_changed.connect(self._on_aim)

    def _step(self, name: str) -> None:
        if self._workbench.session is not None:
            getattr(self._workbench.session, name)()

    def _on_aim(self, label: int, include: bool) -> None:
        del label
        (self.include if include else self.exclude).setChecked(True)


def _toggle(text: str, does: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(does)
    return button


def _button(text: str, key: Key) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(f"{key.does} ({key.shown})")
    return button

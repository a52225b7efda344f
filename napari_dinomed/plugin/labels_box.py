"""The list of labels: colour, name, what a click on it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.segment.prompts import Label, Meaning

if TYPE_CHECKING:
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.state import Annotation

_MEANINGS = {Meaning.OBJECT: "this object", Meaning.ALL_LIKE_THIS: "all like this"}


class LabelsBox(QGroupBox):
    """One row per label, and a button for another."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Labels")
        self._workbench = workbench
        self._rows: dict[int, LabelRow] = {}
        self._grid = QGridLayout()
        self._grid.setColumnStretch(2, 1)
        self.add = QPushButton("New label")
        self.add.setToolTip(
            f"{KEYMAP[Action.NEW_LABEL].does} ({KEYMAP[Action.NEW_LABEL].shown})"
        )
        self.add.clicked.connect(lambda: self._workbench.new_label())
        self.add.setEnabled(False)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add)
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addLayout(buttons)
        workbench.annotation_changed.connect(self._show)
        workbench.opened.connect(lambda: self.add.setEnabled(True))
        workbench.closed.connect(self._clear)
        workbench.aim_changed.connect(self._on_aim)

    @property
    def rows(self) -> dict[int, LabelRow]:
        """Row of each label."""
        return self._rows

    def _clear(self) -> None:
        self.add.setEnabled(False)
        self._remove_rows()

    def _show(self, annotation: Annotation) -> None:
        shown = tuple(row.label for row in self._rows.values())
        if shown == annotation.labels:
            return
        self._remove_rows()
        for number, label in enumerate(annotation.labels):
            row = LabelRow(self._workbench, label)
            self._rows[label.id] = row
            for column, widget in enumerate(row.widgets):
                self._grid.addWidget(widget, number, column)
        self._on_aim(self._workbench.label, self._workbench.include)

    def _remove_rows(self) -> None:
        for row in self._rows.values():
            for widget in row.widgets:
                self._grid.removeWidget(widget)
                widget.setParent(None)
                widget.deleteLater()
        self._rows.clear()

    def _on_aim(self, label: int, include: bool) -> None:
        del include
        if label in self._rows:
            self._rows[label].aimed.setChecked(True)


class LabelRow:
    """Widgets of one label: aim, colour, name, meaning, remove."""

    def __init__(self, workbench: Workbench, label: Label) -> None:
        self.label = label
        self._workbench = workbench
        self.aimed = QRadioButton()
        self.aimed.setToolTip("prompts are for this label (1 to 9 on the canvas)")
        self.color = QToolButton()
        self.color.setToolTip("change the colour")
        self.name = QLineEdit(label.name)
        self.meaning = QComboBox()
        self.meaning.setToolTip("what a click on it means")
        self.remove = QToolButton()
        self.remove.setText("×")
        self.remove.setToolTip("remove the label and its prompts")
        for meaning, text in _MEANINGS.items():
            self.meaning.addItem(text, meaning)
        self.meaning.setCurrentIndex(list(_MEANINGS).index(label.meaning))
        self._paint(QColor.fromRgbF(*label.color))
        self._connect()

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        """From left to right."""
        return (self.aimed, self.color, self.name, self.meaning, self.remove)

    def _connect(self) -> None:
        number, workbench = self.label.id, self._workbench
        self.aimed.clicked.connect(lambda: workbench.aim(number))
        self.color.clicked.connect(lambda: self._ask_color())
        self.name.editingFinished.connect(
            lambda: workbench.change_label(number, name=self.name.text())
        )
        self.meaning.activated.connect(
            lambda: workbench.change_label(number, meaning=self.meaning.currentData())
        )
        self.remove.clicked.connect(lambda: workbench.remove_label(number))

    def _ask_color(self) -> None:
        chosen = QColorDialog.getColor(QColor.fromRgbF(*self.label.color), self.color)
        if chosen.isValid():
            color = (chosen.redF(), chosen.greenF(), chosen.blueF())
            self._workbench.change_label(self.label.id, color=color)

    def _paint(self, color: QColor) -> None:
        self.color.setStyleSheet(f"background-color: {color.name()};")

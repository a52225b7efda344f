"""The list of labels: colour, name, what a click on it means, how large it is, lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QGridLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinomed.annotation.labels import Label, Meaning
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.volume import Geometry

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench

_MEANINGS = {Meaning.OBJECT: "object", Meaning.ALL_LIKE_THIS: "all alike"}


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
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addWidget(self.add)
        workbench.document_changed.connect(self._show)
        workbench.bound.connect(self._on_bound)
        workbench.aim_changed.connect(self._on_aim)

    @property
    def rows(self) -> dict[int, LabelRow]:
        """Row of each label."""
        return self._rows

    def _on_bound(self) -> None:
        session = self._workbench.session
        self.add.setEnabled(session is not None)
        if session is None:
            self._remove(set(self._rows))

    def _show(self, document: Document) -> None:
        """Bring rows up to date where they stand, so that what is being typed stays."""
        session = self._workbench.session
        if session is None:
            return
        self._remove(self._rows.keys() - {label.id for label in document.labels})
        for place, label in enumerate(document.labels):
            row = self._rows.get(label.id)
            if row is None:
                row = self._rows[label.id] = LabelRow(self._workbench, label)
            if row.place != place:
                row.place = place
                for column, widget in enumerate(row.widgets):
                    self._grid.addWidget(widget, place, column)
            row.show(label, document.mask(label.id).count, session.volume.geometry)
            if label.id in document.waiting:
                row.size.setText("…")
        self._on_aim(self._workbench.label, self._workbench.include)

    def _remove(self, gone: set[int]) -> None:
        for number in gone:
            for widget in self._rows.pop(number).widgets:
                self._grid.removeWidget(widget)
                widget.setParent(None)
                widget.deleteLater()

    def _on_aim(self, label: int, include: bool) -> None:
        del include
        if label in self._rows:
            self._rows[label].aimed.setChecked(True)


class NameEdit(QLineEdit):
    """A field for a label's name that keeps its keys to itself.

    Keys that it has no use for, as Enter, would go on to the canvas and mean something.
    """

    def __init__(self) -> None:
        super().__init__()
        # Room for a usual name and the margins that napari's style adds.
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("right kidney mm"))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Type, and let nobody else have the key; Return and Escape end it."""
        is_over = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
        if event.key() == Qt.Key.Key_Escape:
            self.undo()
        super().keyPressEvent(event)
        event.accept()
        if is_over:
            # The next keys are for the canvas again.
            self.clearFocus()


class LabelRow:
    """Widgets of one label: aim, colour, name, meaning, size, lock, remove."""

    def __init__(self, workbench: Workbench, label: Label) -> None:
        self.label = label
        self.place = -1
        self._workbench = workbench
        self.aimed = QRadioButton()
        self.aimed.setToolTip(
            "prompts and the brush are for this label (1 to 9 on the canvas)"
        )
        self.color = QToolButton()
        self.color.setToolTip("change the colour")
        self.name = NameEdit()
        self.meaning = QComboBox()
        self.meaning.setToolTip("a click means this one object, or all that look like it")
        self.size = QLabel()
        # Room for what will stand there, so that names keep their width.
        self.size.setMinimumWidth(self.size.fontMetrics().horizontalAdvance("00000.00 ml"))
        self.done = QToolButton()
        self.done.setCheckable(True)
        self.remove = QToolButton()
        self.remove.setText("×")
        self.remove.setToolTip("remove the label, its prompts and its voxels")
        for meaning, text in _MEANINGS.items():
            self.meaning.addItem(text, meaning)
        self._connect()

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        """From left to right."""
        return (
            self.aimed,
            self.color,
            self.name,
            self.meaning,
            self.size,
            self.done,
            self.remove,
        )

    def show(self, label: Label, voxels: int, geometry: Geometry) -> None:
        """Show a label and how many voxels it has."""
        self.label = label
        # A name that is being typed stays, whatever is answered meanwhile.
        if not self.name.isModified() and self.name.text() != label.name:
            self.name.setText(label.name)
        self.meaning.setCurrentIndex(list(_MEANINGS).index(label.meaning))
        self.color.setStyleSheet(
            f"background-color: {QColor.fromRgbF(*label.color).name()};"
        )
        self.size.setText(readable(voxels * geometry.voxel_volume, geometry.unit))
        self.size.setToolTip(f"{voxels:,} voxels")
        self.done.setChecked(label.is_done)
        self.done.setText("done" if label.is_done else "open")
        self.done.setToolTip(
            "locked: nothing changes it; press to open it again"
            if label.is_done
            else f"{KEYMAP[Action.DONE].does} ({KEYMAP[Action.DONE].shown})"
        )
        for widget in (self.meaning, self.remove):
            widget.setEnabled(not label.is_done)

    def _connect(self) -> None:
        workbench = self._workbench
        self.aimed.clicked.connect(lambda: workbench.aim(self.label.id))
        self.color.clicked.connect(lambda: self._ask_color())
        self.name.editingFinished.connect(lambda: self._rename())
        self.meaning.activated.connect(
            lambda: workbench.change_label(
                self.label.id, meaning=self.meaning.currentData()
            )
        )
        self.done.clicked.connect(lambda: workbench.toggle_done(self.label.id))
        self.remove.clicked.connect(lambda: workbench.remove_label(self.label.id))

    def _rename(self) -> None:
        name = self.name.text().strip()
        self.name.setModified(False)
        if not name:
            self.name.setText(self.label.name)
        elif name != self.label.name:
            self._workbench.change_label(self.label.id, name=name)

    def _ask_color(self) -> None:
        chosen = QColorDialog.getColor(
            QColor.fromRgbF(*self.label.color), self.color.window()
        )
        if chosen.isValid():
            color = (chosen.redF(), chosen.greenF(), chosen.blueF())
            self._workbench.change_label(self.label.id, color=color)


def readable(volume: float, unit: str) -> str:
    """A volume in the unit that its users think in: ml for patients, µm³ for cells."""
    if not volume:
        return "–"
    if unit == "mm":
        return f"{volume / 1000:.1f} ml"
    if unit == "nm":
        return f"{volume / 1e9:.3f} µm³"
    return f"{volume:.4g} {unit}³"

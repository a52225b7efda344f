"""What a model of whole volumes says of the open one: a table that stays until closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_dinomed.plugin.controls import told as named

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_dinomed.engine.messages import Similar, ToldLabel, VolumeTold

_COLUMNS = ("Label", "Probability", "AUROC of others", "Most similar that taught")
_ABOUT = (
    "Read from what all slices look like together. AUROC is of volumes that did not "
    "teach the model; the most similar are rows of the table that taught it, with their "
    "truth and the cosine of the two. Not for diagnosis."
)
# Logical pixels: about seventy letters a line, and six rows.
_SIZE = (680, 300)


class ToldDialog(QDialog):
    """One row a label.

    Parameters
    ----------
    parent
        The window.
    model
        What the model is called.
    told
        What it says.
    """

    def __init__(self, parent: QWidget, model: str, told: VolumeTold) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"What {model} says")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rows = len(told.labels)
        self.table = named(QTableWidget(rows, len(_COLUMNS)), "Labels", "One row for each")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        for row, one in enumerate(sorted(told.labels, key=lambda one: -one.probability)):
            for column, text in enumerate(_texts(one)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        about = QLabel("\n".join((_ABOUT, *told.warnings)))
        about.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addWidget(self.table, 1)
        self.resize(*_SIZE)


def show_told(parent: QWidget, model: str, told: VolumeTold) -> ToldDialog:
    """Show what a model says; returns at once."""
    dialog = ToldDialog(parent, model, told)
    dialog.show()
    return dialog


def _texts(one: ToldLabel) -> tuple[str, ...]:
    similar = ", ".join(_in_words(volume) for volume in one.similar)
    return (one.label, f"{one.probability:.2f}", f"{one.auroc:.2f}", similar)


def _in_words(volume: Similar) -> str:
    truth = "yes" if volume.belongs else "no"
    return f"row {volume.row}: {truth} ({volume.likeness:.2f})"

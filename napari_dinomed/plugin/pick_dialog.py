"""Asking which of several series, datasets, levels, time points or channels to open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QListWidget,
    QMessageBox,
    QSpinBox,
    QVBoxLayout,
)

from napari_dinomed.io import Pick

if TYPE_CHECKING:
    from napari_dinomed.io import Contents


class PickDialog(QDialog):
    """A list of what there is, and numbers for time and channel where there are several."""

    def __init__(self, name: str, contents: Contents) -> None:
        super().__init__(QApplication.activeWindow())
        self.setWindowTitle(f"Open {name}")
        self._contents = contents
        layout = QVBoxLayout(self)
        self.parts = QListWidget()
        for part in contents.parts:
            self.parts.addItem(part.title)
        self.frame, self.channel = QSpinBox(), QSpinBox()
        if contents.parts:
            layout.addWidget(QLabel(f"{name} holds several volumes. Which one?"))
            layout.addWidget(self.parts)
            self.parts.setCurrentRow(0)
            self.parts.itemDoubleClicked.connect(lambda _: self.accept())
            self.setMinimumWidth(560)
        form = QFormLayout()
        for what, box, count in (
            ("Time point", self.frame, contents.frames),
            ("Channel", self.channel, contents.channels),
        ):
            if count > 1:
                box.setRange(1, count)
                box.setSuffix(f" of {count}")
                form.addRow(what, box)
        layout.addLayout(form)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout.addWidget(self.buttons)

    @property
    def pick(self) -> Pick:
        """What was chosen."""
        contents, row = self._contents, self.parts.currentRow()
        return Pick(
            contents.parts[row].key if contents.parts else None,
            self.frame.value() - 1 if contents.frames > 1 else None,
            self.channel.value() - 1 if contents.channels > 1 else None,
        )


def ask(name: str, contents: Contents) -> Pick | None:
    """Which volume to open: asked where there is a choice; None if it was cancelled.

    Without a window, what the reader takes by itself.
    """
    is_one = contents.frames == contents.channels == 1
    is_clear = is_one and (len(contents.parts) < 2 or contents.is_settled)
    if is_clear or QApplication.instance() is None:
        return Pick()
    dialog = PickDialog(name, contents)
    return dialog.pick if dialog.exec() else None


def ask_to_resample(reason: str, pick: Pick) -> Pick | None:
    """The same volume on an even grid, if the user wants that; else None."""
    if QApplication.instance() is None:
        return None
    answer = QMessageBox.question(
        QApplication.activeWindow(),
        "Bring the slices to an even grid?",
        f"{reason}\n\nResample them now? Labels are written back onto the slices.",
    )
    is_wanted = answer == QMessageBox.StandardButton.Yes
    return replace(pick, resample=True) if is_wanted else None

"""From preview to result: readout, threshold, accept, save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
)
from superqt import QLabeledDoubleSlider

from napari_dinomed.errors import DinomedError
from napari_dinomed.io import label_formats
from napari_dinomed.plugin.keymap import KEYMAP, Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.engine.messages import Segmented
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.state import Choices

_HEADS = {
    "auto": "automatic",
    "knn": "nearest prompts (k-NN)",
    "probe": "linear probe",
    "blend": "both, averaged",
    "forest": "random forest",
}
_USUAL = "NIfTI"
_SESSIONS = "Sessions (*.dinomed.json)"


class ResultBox(QGroupBox):
    """Readout, threshold, and what becomes of the preview."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Result")
        self._workbench = workbench
        self.heads = QComboBox()
        for name, text in _HEADS.items():
            self.heads.addItem(text, name)
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0.05, 0.95)
        self.threshold.setValue(0.5)
        self.threshold.setToolTip("lower takes in more, higher less")
        self.accept = QPushButton("Accept")
        key = KEYMAP[Action.ACCEPT]
        self.accept.setToolTip(f"{key.does} ({key.shown})")
        self.save = QPushButton("Save labels…")
        self.split = QPushButton("Split into instances")
        self.split.setToolTip(
            "number the things of the label in use, in a layer of its own"
        )
        self.save_session = QPushButton("Save session…")
        self.open_session = QPushButton("Open session…")
        self.measures = QLabel("")
        self._lay_out()
        self._connect()
        self.setEnabled(False)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Readout", self.heads)
        form.addRow("Threshold", self.threshold)
        grid = QGridLayout()
        grid.addWidget(self.accept, 0, 0)
        grid.addWidget(self.save, 0, 1)
        grid.addWidget(self.split, 1, 0, 1, 2)
        grid.addWidget(self.save_session, 2, 0)
        grid.addWidget(self.open_session, 2, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.measures)
        layout.addLayout(grid)

    def _connect(self) -> None:
        workbench = self._workbench
        self.heads.activated.connect(lambda: self._choose(head=self.heads.currentData()))
        self.threshold.sliderReleased.connect(
            lambda: self._choose(threshold=round(self.threshold.value(), 2))
        )
        self.accept.clicked.connect(lambda: self._try(lambda: workbench.accept()))
        self.split.clicked.connect(lambda: self._try(lambda: workbench.split()))
        self.save.clicked.connect(lambda: self._save_labels())
        self.save_session.clicked.connect(lambda: self._save_session())
        self.open_session.clicked.connect(lambda: self._open_session())
        workbench.opened.connect(lambda: self.setEnabled(True))
        workbench.closed.connect(lambda: self.setEnabled(False))
        workbench.labelled.connect(self._on_labelled)
        workbench.choices_changed.connect(self._on_choices)

    def _choose(self, **choices: object) -> None:
        if self._workbench.session is not None:
            self._workbench.session.choose(**choices)

    def _on_choices(self, choices: Choices) -> None:
        self.heads.setCurrentIndex(self.heads.findData(choices.head))
        self.threshold.setValue(choices.threshold)

    def _on_labelled(self, segmented: Segmented) -> None:
        session = self._workbench.session
        if session is None:
            return
        from napari_dinomed.report import measure

        rows = measure(session.volume, segmented.labels, session.annotation.labels)
        self.measures.setText(
            "\n".join(
                f"{row['name']}: {_readable(row['volume'], session.volume.geometry.unit)}"
                for row in rows
                if row["voxels"]
            )
        )

    def _save_labels(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save labels", "labels.nii.gz", _filters()
        )
        if path:
            self._try(lambda: self._workbench.save_labels(Path(path)))

    def _save_session(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save session", "session.dinomed.json", _SESSIONS
        )
        session = self._workbench.session
        if path and session is not None:
            self._try(lambda: session.save(Path(path)))

    def _open_session(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open session", "", _SESSIONS)
        session = self._workbench.session
        if path and session is not None:
            self._try(lambda: session.resume(Path(path)))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except DinomedError as error:
            self._workbench.failed.emit(str(error))


def _readable(volume: float, unit: str) -> str:
    """A volume in the unit that its users think in: ml for patients, µm³ for cells."""
    if unit == "mm":
        return f"{volume / 1000:.1f} ml"
    if unit == "nm":
        return f"{volume / 1e9:.3f} µm³"
    return f"{volume:.4g} {unit}³"


def _filters() -> str:
    """What a file dialog offers: every format that labels can be written in."""
    formats = label_formats()
    first = {_USUAL: formats.pop(_USUAL)}
    return ";;".join(
        f"{name} ({' '.join(f'*{suffix}' for suffix in suffixes)})"
        for name, suffixes in (first | formats).items()
    )

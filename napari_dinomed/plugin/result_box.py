"""How prompts are read, and what becomes of the labels: readout, threshold, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QVBoxLayout,
)
from superqt import QLabeledDoubleSlider

from napari_dinomed.annotation.readout import Readout
from napari_dinomed.io import label_formats
from napari_dinomed.plugin.controls import (
    PointOrComma,
    button,
    may_replace,
    narrow,
    toggle,
    told,
    unmoved,
)
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.next_case import NextCase
from napari_dinomed.session.cases import TABLE
from napari_dinomed.settings import load_settings, save_settings

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.volume import Volume

_DOCUMENT = ".dinomed.json"
_DOCUMENTS = f"Documents (*{_DOCUMENT})"
_SURFACE = ".stl"
_SURFACES = "Surfaces (*.stl *.obj *.ply)"
_TABLE = ".csv"
_TABLES = f"Tables (*{_TABLE})"


class ResultBox(QGroupBox):
    """Readout, threshold, and files in and out."""

    def __init__(self, workbench: Workbench, deliver: Deliver) -> None:
        super().__init__("Result")
        self._workbench = workbench
        self.cases = NextCase(workbench, deliver)
        self.next = button(
            "Next case",
            f"Save the labels, add their figures to {TABLE} beside the image, and open the "
            "next volume of its folder",
            self._go_to_next,
        )
        self.heads = narrow(QComboBox())
        for readout in Readout:
            self.heads.addItem(readout.text, readout.value)
        told(
            self.heads,
            "Readout",
            "How features become a label; automatic is right for most",
        )
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        unmoved(self.threshold)
        for label in self.threshold.findChildren(QLineEdit):
            label.setValidator(PointOrComma(label))
        self.threshold.setRange(0.05, 0.95)
        self.threshold.setValue(0.5)
        told(self.threshold, "Threshold", "Lower takes in more, higher less")
        key = KEYMAP[Action.PROBABILITY]
        self.probability = toggle(
            "Probability",
            f"{key.does[0].upper()}{key.does[1:]} ({key.shown})",
            workbench.viewport.toggle_probability,
        )
        self.save = button(
            "Save labels…",
            "Write what is seen, on exactly the grid of the image's file",
            self._save_labels,
        )
        self.statistics = button(
            "Statistics…",
            "Write volume, grey values and prompts of each label to a CSV file",
            self._save_statistics,
        )
        self.surface = button(
            "Surface…",
            "Write the smooth surface of the label in use: STL, OBJ or PLY, in the world",
            self._save_surface,
        )
        self.save_inside = button(
            "Save into the store",
            "Write what is seen into the OME-Zarr that the image came from",
            self._save_inside,
        )
        self.split = button(
            "Split into instances",
            "Number the things of the label in use, in a layer of its own",
            workbench.exchange.split,
        )
        self.go_on = button(
            "Continue from labels…",
            "Begin with labels from a file, or from a layer of this grid",
            self._go_on,
        )
        self.save_copy = button(
            "Save a copy…",
            "Keep labels, prompts and choices in a file of your own",
            self._save_copy,
        )
        self.open_copy = button(
            "Open a copy…", "Go on with a copy; undo goes back", self._open_copy
        )
        self.take_over = button(
            "Take over from the other window",
            "Go on here with what the other window saved; that one only looks then",
            workbench.take_over,
        )
        self._lay_out()
        self._connect()
        self.setEnabled(False)

    def _lay_out(self) -> None:
        form, below = QFormLayout(), QFormLayout()
        beside = QHBoxLayout()
        beside.addWidget(self.threshold, 3)
        # Without a share of its own, Qt would put it outside.
        beside.addWidget(self.probability, 1)
        form.addRow("Threshold", beside)
        below.addRow("Readout", self.heads)
        grid = QGridLayout()
        grid.addWidget(self.take_over, 0, 0, 1, 2)
        out = QHBoxLayout()
        for each in (self.save, self.surface, self.statistics):
            out.addWidget(each)
        grid.addLayout(out, 1, 0, 1, 2)
        grid.addWidget(self.save_inside, 2, 0, 1, 2)
        grid.addLayout(below, 3, 0, 1, 2)
        grid.addWidget(self.go_on, 4, 0)
        grid.addWidget(self.split, 4, 1)
        copies = QHBoxLayout()
        for each in (self.save_copy, self.open_copy, self.next):
            copies.addWidget(each)
        grid.addLayout(copies, 5, 0, 1, 2)
        for rare in (self.take_over, self.save_inside):
            rare.hide()
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(grid)

    def _connect(self) -> None:
        workbench = self._workbench
        self.heads.activated.connect(
            lambda: workbench.choose("readout", head=self.heads.currentData())
        )
        self.threshold.sliderReleased.connect(lambda: self._choose_threshold())
        self.threshold.editingFinished.connect(lambda: self._choose_threshold())
        workbench.bound.connect(self._on_bound)
        workbench.document_changed.connect(self._on_document)
        workbench.said.connect(lambda _: self._show_rights())
        workbench.turned.connect(self._on_turned)

    def _choose_threshold(self) -> None:
        value = round(self.threshold.value(), 2)
        self._workbench.choose(f"threshold {value:.2f}", threshold=value)

    def _on_bound(self) -> None:
        self.setEnabled(self._workbench.session is not None)
        store = self._workbench.exchange.own_store
        self.save_inside.setVisible(store is not None)
        if store is not None:
            self.save_inside.setText(f"Save labels into {store.name}")
        self._on_turned()

    def _on_turned(self) -> None:
        session = self._workbench.session
        is_on = session is not None and session.computing.probing.is_on
        self.probability.setChecked(is_on)

    def _on_document(self, document: Document) -> None:
        self.heads.setCurrentIndex(self.heads.findData(document.choices.head))
        self.threshold.setValue(document.choices.threshold)
        self._show_rights()

    def _show_rights(self) -> None:
        session = self._workbench.session
        self.take_over.setVisible(session is not None and session.is_read_only)

    def _save_labels(self) -> None:
        exchange, session = self._workbench.exchange, self._workbench.session
        suffix = exchange.usual_suffix
        path, chosen = QFileDialog.getSaveFileName(
            self,
            "Save labels",
            str(exchange.suggested_path(suffix)),
            filters(suffix, None if session is None else session.volume),
        )
        if not path:
            return
        target = with_suffix(Path(path), chosen)
        if not may_replace(self, Path(path), target):
            return

        def remember() -> None:
            kept = suffix_of(target)
            if kept and kept != suffix:
                save_settings(replace(load_settings(), label_suffix=kept))

        self._workbench.attempt(lambda: exchange.save_labels(target, remember))

    def _save_inside(self) -> None:
        store = self._workbench.exchange.own_store
        if store is not None:
            self._workbench.attempt(lambda: self._workbench.exchange.save_labels(store))

    def _save_statistics(self) -> None:
        suggested = self._workbench.exchange.suggested_path(_TABLE)
        path, _ = QFileDialog.getSaveFileName(
            self, "Export statistics", str(suggested), _TABLES
        )
        target = Path(path)
        if path and not path.endswith(_TABLE):
            target = target.with_name(target.name + _TABLE)
        if path and may_replace(self, Path(path), target):
            self._workbench.exchange.save_statistics(target)

    def _go_to_next(self) -> None:
        target = self.cases.target
        session = self._workbench.session
        has_labels = session is not None and bool(session.document.masks)
        exchange = self._workbench.exchange
        if (
            target is None
            or not has_labels
            or exchange.is_own(target)
            or may_replace(self, Path(), target)
        ):
            self.cases.go()

    def _save_surface(self) -> None:
        exchange = self._workbench.exchange
        suggested = exchange.suggested_path(_SURFACE, exchange.label_mark)
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the surface", str(suggested), _SURFACES
        )
        target = Path(path)
        if path and not target.suffix:
            target = target.with_suffix(_SURFACE)
        if path and may_replace(self, Path(path), target):
            exchange.save_surface(target)

    def _go_on(self) -> None:
        """Offer the labels layers that are there, and files."""
        exchange, menu = self._workbench.exchange, QMenu(self)
        for layer in exchange.labels_at_hand:
            action = menu.addAction(f"Layer {layer.name}")
            action.triggered.connect(
                lambda _=False, layer=layer: exchange.continue_from(layer)
            )
        menu.addAction("A file…").triggered.connect(lambda: self._go_on_from("file"))
        menu.addAction("A folder (OME-Zarr, DICOM)…").triggered.connect(
            lambda: self._go_on_from("folder")
        )
        menu.exec(self.go_on.mapToGlobal(self.go_on.rect().bottomLeft()))

    def _go_on_from(self, kind: str) -> None:
        exchange, title = self._workbench.exchange, "Continue from labels"
        begin = str(exchange.suggested_path("").parent)
        if kind == "folder":
            path = QFileDialog.getExistingDirectory(self, title, begin)
        else:
            path, _ = QFileDialog.getOpenFileName(self, title, begin)
        if path:
            exchange.continue_from_file(Path(path))

    def _save_copy(self) -> None:
        suggested = self._workbench.exchange.suggested_path(".dinomed.json")
        path, _ = QFileDialog.getSaveFileName(
            self, "Save a copy of the document", str(suggested), _DOCUMENTS
        )
        target = Path(path)
        if path and not path.endswith(_DOCUMENT):
            target = target.with_name(target.name + _DOCUMENT)
        if path and may_replace(self, Path(path), target):
            self._workbench.exchange.save_copy(target)

    def _open_copy(self) -> None:
        folder = str(self._workbench.exchange.suggested_path("").parent)
        path, _ = QFileDialog.getOpenFileName(self, "Open a document", folder, _DOCUMENTS)
        if path:
            self._workbench.exchange.open_copy(Path(path))


def filters(first: str, volume: Volume | None = None) -> str:
    """What a file dialog offers: every format that labels of a volume can be written in.

    The format that ``first`` is an ending of stands first.
    """
    formats = label_formats(volume)
    usual = next((name for name, ends in formats.items() if first in ends), "NIfTI")
    ordered = {usual: formats.pop(usual)} | formats
    return ";;".join(
        f"{name} ({' '.join(f'*{suffix}' for suffix in suffixes)})"
        for name, suffixes in ordered.items()
    )


def suffix_of(path: Path) -> str:
    """The ending that chooses the format; empty where no format has it."""
    endings = (end for ends in label_formats().values() for end in ends)
    fitting = [end for end in endings if path.name.lower().endswith(end)]
    return max(fitting, key=len, default="")


def with_suffix(path: Path, chosen: str) -> Path:
    """A name with the ending of the format chosen in the dialog, where it has none."""
    if suffix_of(path):
        return path
    name = chosen.partition(" (")[0]
    endings = label_formats().get(name, (".nii.gz",))
    return path.with_name(path.name + endings[0])

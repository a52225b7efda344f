"""Taught models: which one, have it propose, have it remember."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QGroupBox,
)

from napari_dinomed.errors import DinomedError, ModelError
from napari_dinomed.plugin.controls import Either, button, narrow, told
from napari_dinomed.plugin.told_dialog import show_told
from napari_dinomed.settings import load_settings, save_settings
from napari_dinomed.taught.header import SUFFIX, read_header
from napari_dinomed.whole.model import SUFFIX as WHOLE
from napari_dinomed.whole.model import Header as WholeHeader
from napari_dinomed.whole.model import read_whole_header

if TYPE_CHECKING:
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.taught.header import Header

_MODELS = f"Taught models (*{SUFFIX})"
_ANY_MODELS = f"Taught models (*{SUFFIX} *{WHOLE})"
# Models that are offered; those used longest ago are left out.
_MOST_RECENT = 8


class ModelBox(QGroupBox):
    """A model, and what it may do: propose labels, remember them, or tell of the volume."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Taught model")
        self._workbench = workbench
        self.models = told(
            narrow(QComboBox()),
            "Taught model",
            "What earlier volumes taught; Propose finds it in this one",
        )
        self.choose = button("Open…", "Choose a model's file", self._choose)
        self.propose = button(
            "Propose", "Find what the model knows, before any click", self._propose
        )
        self.remember = button(
            "Remember",
            "Teach the model this volume's labels as they are now",
            self._remember,
        )
        self.only = told(
            QCheckBox("This label only"),
            "This label only",
            "Remember the label in use, and none of the others",
        )
        layout = QGridLayout(self)
        layout.addWidget(self.models, 0, 0)
        layout.addWidget(self.choose, 0, 1)
        self.tell = button(
            "Tell…", "What this whole volume is, and what is most similar", self._tell
        )
        self._acts = Either(self.propose, self.tell)
        layout.addWidget(self._acts, 1, 0)
        layout.addWidget(self.remember, 1, 1)
        layout.addWidget(self.only, 2, 1)
        self.models.activated.connect(lambda: self._show_choice())
        workbench.bound.connect(self._on_bound)
        self.setEnabled(False)

    @property
    def path(self) -> Path | None:
        """The chosen model's file; None for a new one."""
        chosen = self.models.currentData()
        return Path(chosen) if chosen else None

    def use(self, path: Path) -> None:
        """Choose a model, and offer it first from now on."""
        settings = load_settings()
        others = [known for known in settings.models if known != str(path)]
        models = (str(path), *others[: _MOST_RECENT - 1])
        if models != settings.models:
            save_settings(replace(settings, models=models))
        self._fill(path)

    def _on_bound(self) -> None:
        session = self._workbench.session
        self.setEnabled(session is not None)
        if session is None:
            return
        known = {path: _header_of(path) for path in _recent()}
        fitting = (
            path
            for path, header in known.items()
            if header is not None and header.sight.modality == session.volume.modality
        )
        self._fill(next(fitting, None))

    def _fill(self, chosen: Path | None) -> None:
        self.models.clear()
        for path in _recent():
            header = _header_of(path)
            if header is not None:
                self.models.addItem(path.stem, str(path))
                about = f"{path}\n{_told(header)}"
                self.models.setItemData(self.models.count() - 1, about, 3)
        self.models.addItem("New model…", "")
        self.models.setCurrentIndex(self.models.findData(str(chosen) if chosen else ""))
        self._show_choice()

    def _show_choice(self) -> None:
        is_whole = self.path is not None and self.path.suffix == WHOLE
        self._acts.show_second(is_whole)
        self.propose.setEnabled(self.path is not None)
        # Whole volumes are taught by a table, in a command.
        for control in (self.remember, self.only):
            control.setEnabled(not is_whole)

    def _choose(self) -> None:
        folder = str(self._workbench.exchange.suggested_path("").parent)
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", folder, _ANY_MODELS)
        if path:
            self._workbench.attempt(lambda: self._open(Path(path)))

    def _open(self, path: Path) -> None:
        _read_header(path)
        self.use(path)

    def _propose(self) -> None:
        path = self.path
        if path is not None:
            self._workbench.act(lambda session: session.models.propose(path))

    def _tell(self) -> None:
        path = self.path
        if path is not None:
            show = partial(show_told, self.window(), path.stem)
            self._workbench.act(lambda session: session.models.tell(path, show))

    def _remember(self) -> None:
        path = self.path or self._ask_name()
        if path is None:
            return

        def taught() -> None:
            session = self._workbench.require()
            labels = tuple(label.id for label in session.document.labels)
            if self.only.isChecked():
                labels = (self._workbench.hand.label,)
            session.models.remember(path, labels, lambda: self.use(path))

        self._workbench.attempt(taught)

    def _ask_name(self) -> Path | None:
        suggested = self._workbench.exchange.suggested_path(SUFFIX).with_name(
            f"model{SUFFIX}"
        )
        text, _ = QFileDialog.getSaveFileName(
            self, "A new model", str(suggested), _MODELS, options=_NO_QUESTION
        )
        if not text:
            return None
        path = Path(text)
        return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


# An existing model is taught further, not replaced.
_NO_QUESTION = QFileDialog.Option.DontConfirmOverwrite


def _recent() -> list[Path]:
    try:
        return [Path(path) for path in load_settings().models]
    except DinomedError:
        return []


def _header_of(path: Path) -> Header | WholeHeader | None:
    try:
        return _read_header(path)
    except ModelError:
        return None


def _read_header(path: Path) -> Header | WholeHeader:
    return read_whole_header(path) if path.suffix == WHOLE else read_header(path)


def _told(header: Header | WholeHeader) -> str:
    """A model in a few lines."""
    if isinstance(header, WholeHeader):
        lines = [f"Whole volumes, {header.sight.modality}, {header.sight.encoder}"]
        for label, head in header.heads.items():
            figures = head.figures
            lines.append(f"{label}: AUROC {figures.auroc:.2f}, {figures.volumes} volumes")
        return "\n".join(lines)
    count = f"{header.volumes} volume{'s' * (header.volumes > 1)}"
    lines = [f"{count}, {header.sight.modality}, {header.sight.encoder}"]
    for lesson in header.lessons:
        dice = f"{lesson.mean_dice:.2f}"
        lines.append(f"{lesson.label.name}: Dice {dice} where it was not taught")
    return "\n".join(lines)

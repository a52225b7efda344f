"""Adapt the encoder to what is labelled, see whether it helped, and use it if so."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QLabel,
    QProgressBar,
    QSizePolicy,
)

from napari_dinomed.features.catalog import ADAPTER_SUFFIX
from napari_dinomed.features.naming import EncoderName
from napari_dinomed.plugin.controls import bring_into_view, button
from napari_dinomed.session.adapting import Adapting

if TYPE_CHECKING:
    from napari_dinomed.engine.messages import Progress
    from napari_dinomed.features.adapter import AdapterHeader
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Asks, Deliver

_BEGIN = (
    "Teach the encoder slices that you painted and labels that are done, and try it on "
    "slices that did not teach it; minutes to an hour on a processor"
)


class AdaptBox(QGroupBox):
    """One button; while it runs a bar, afterwards a table and what to do with it."""

    def __init__(self, workbench: Workbench, engine: Asks, deliver: Deliver) -> None:
        super().__init__("Adapt encoder")
        self._workbench = workbench
        self._made: tuple[Path, str] | None = None
        self.adapting = Adapting(engine, deliver)
        self.begin = button("Adapt encoder…", _BEGIN, self._begin)
        self.cancel = button(
            "Cancel", "Stop adapting; begun again, it goes on from here", self._cancel
        )
        self.use = button(
            "Use it", "Have the adapted encoder describe the volume", self._use
        )
        self.bar, self.verdict = QProgressBar(), QLabel()
        self.verdict.setWordWrap(True)
        # Its text would otherwise push the button beside it out of a narrow panel.
        fixed = QSizePolicy.Policy.Fixed
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, fixed)
        self.cancel.setSizePolicy(fixed, fixed)
        layout = QGridLayout(self)
        layout.setColumnStretch(0, 1)
        layout.addWidget(self.begin, 0, 0, 1, 2)
        layout.addWidget(self.bar, 0, 0)
        layout.addWidget(self.cancel, 0, 1)
        layout.addWidget(self.verdict, 1, 0, 1, 2)
        layout.addWidget(self.use, 2, 0, 1, 2)
        workbench.bound.connect(self._on_bound)
        self.adapting.progressed.connect(self._on_progress)
        self.adapting.said.connect(self._say)
        self.adapting.ended.connect(self._on_ended)
        self.adapting.failed.connect(self._on_failed)
        self._show(is_running=False)
        self._say("")
        self.use.hide()
        self.setEnabled(False)

    def _on_bound(self) -> None:
        self.setEnabled(self._workbench.session is not None or self.adapting.is_running)

    def _begin(self) -> None:
        self._workbench.attempt(self._ask_and_start)

    def _ask_and_start(self) -> None:
        session = self._workbench.require()
        # Nobody chooses a file for what cannot be made.
        self.adapting.lesson(session.volume, session.document)
        suggested = self._workbench.exchange.suggested_path(ADAPTER_SUFFIX, mark="")
        text, _ = QFileDialog.getSaveFileName(
            self, "The adapter", str(suggested), f"Adapters (*{ADAPTER_SUFFIX})"
        )
        if not text:
            return
        path = Path(text)
        if path.suffix != ADAPTER_SUFFIX:
            path = path.with_name(path.name + ADAPTER_SUFFIX)
        self.adapting.start(session.volume, session.document, path)
        self._made = (path, session.document.choices.encoder)
        self.use.hide()
        self._say("Looking at the labelled slices")
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self._show(is_running=True)

    def _cancel(self) -> None:
        self.adapting.cancel()

    def _on_progress(self, progress: Progress) -> None:
        if not progress.total:
            return
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        self.bar.setFormat(f"%v of %m, {progress.subject}")

    def _on_ended(self, path: Path, header: AdapterHeader) -> None:
        self._show(is_running=False)
        self._say(verdict_on(header, path.stem))
        self.use.setVisible(header.is_better)

    def _on_failed(self, why: str) -> None:
        self._show(is_running=False)
        self._say(why or "Cancelled. Begun again with the same labels, it goes on there.")
        if why:
            self._workbench.failed.emit(why)

    def _use(self) -> None:
        if self._made is not None:
            path, encoder = self._made
            base = EncoderName.parse(encoder).base
            self._workbench.choose_encoder(f"{base}+{path}")

    def _say(self, text: str) -> None:
        self.verdict.setText(text)
        self.verdict.setVisible(bool(text))
        if text:
            bring_into_view(self.verdict)

    def _show(self, is_running: bool) -> None:
        self.begin.setVisible(not is_running)
        self.bar.setVisible(is_running)
        self.cancel.setVisible(is_running)


def verdict_on(header: AdapterHeader, name: str) -> str:
    """A small table of frozen and adapted, and whether it is worth using, as rich text."""
    rows = "".join(
        f"<tr><td>{trial.label}</td><td align=right>{_best(trial.frozen, trial.usual):.2f}"
        f"</td><td align=right>{statistics.fmean(trial.adapted):.2f}</td></tr>"
        for trial in header.trials
        if trial.readout == "probe"
    )
    told = (
        f"{name} is better by {header.gain:.2f} in the median fold, more than folds differ "
        f"({header.spread:.2f})."
        if header.is_better
        else f"Not better: {header.gain:+.2f}, and folds differ by {header.spread:.2f}. "
        "Keep the frozen encoder; more labelled slices, far from each other, or another "
        "encoder may help."
    )
    return (
        f"<table cellspacing=6><tr><td>Dice, {header.held_out} not taught</td>"
        f"<td>frozen</td><td>adapted</td></tr>{rows}</table>{told}"
    )


def _best(*read: tuple[float, ...]) -> float:
    return max(statistics.fmean(folds) for folds in read if folds)

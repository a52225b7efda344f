"""Encoders side by side on this volume's own labels: a table with bars, and one to take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_dinomed.amounts import duration
from napari_dinomed.errors import DinomedError
from napari_dinomed.features.naming import EncoderName, known_as
from napari_dinomed.plugin.controls import button, told
from napari_dinomed.plugin.engines import end_of
from napari_dinomed.session.comparing import Comparing, Vary, trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QWidget

    from napari_dinomed.engine.messages import Progress
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.session.comparing import Row, Trial
    from napari_dinomed.session.session import Session

_COLUMNS = ("Encoder", "Seen", "Dice", "Linear probe", "k-NN", "Features")
_BAR = 2
_READOUTS = ("probe", "knn")
_ABOUT = (
    "One quarter of each label after another is hidden, with all around it, and read from "
    "the rest: Dice tells how much of it is found. Labels that one encoder found favour it "
    "a little: lock those that you checked, then only they count."
)
_VARIED: dict[Vary, tuple[str, str]] = {
    "sides": (
        "Also finer and coarser",
        "Half and twice the pixels too; twice takes four times as long, and often is not "
        "better",
    ),
    "planes": (
        "Also along other axes",
        "Slices along three axes where it is one, and one where it is three",
    ),
}
# Logical pixels: about seventy letters a line, and eight rows.
_SIZE = (720, 380)


class CompareDialog(QDialog):
    """Rows as they come; holds up nothing.

    Parameters
    ----------
    parent
        The window.
    comparing
        Who compares; begun here, and cancelled with the dialog.
    titles
        What encoders are called, by name.
    use
        Told what is taken.
    """

    def __init__(
        self,
        parent: QWidget,
        comparing: Comparing,
        titles: Mapping[str, str],
        use: Callable[[Trial], None],
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare encoders")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._comparing, self._titles, self._use = comparing, titles, use
        self._trials: list[Trial] = []
        self.table = told(QTableWidget(0, len(_COLUMNS)), "Encoders", "One row for each")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_BAR, QHeaderView.ResizeMode.Stretch)
        self.state = QLabel("Handing the volume over")
        self.vary: dict[Vary, QCheckBox] = {
            vary: told(QCheckBox(text), text, tip) for vary, (text, tip) in _VARIED.items()
        }
        self.use = button("Use this one", "Switch to what is chosen", self._take)
        self.stop = button("Stop", "Stop; what is computed is kept", self._stop)
        self._lay_out()
        self.use.setEnabled(False)
        self.table.itemSelectionChanged.connect(self._on_selected)
        for vary, box in self.vary.items():
            box.clicked.connect(lambda _, vary=vary: self._vary(vary))
        comparing.came.connect(self._add)
        comparing.progressed.connect(self._tell)
        comparing.ended.connect(self._end)

    def _lay_out(self) -> None:
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.state.setWordWrap(True)
        also = QHBoxLayout()
        for box in self.vary.values():
            also.addWidget(box)
        also.addStretch(1)
        foot = QHBoxLayout()
        # Buttons ask for no room of their own: without a share they are pushed outside.
        for widget, share in ((self.state, 4), (self.stop, 1), (self.use, 1)):
            foot.addWidget(widget, share)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(also)
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)
        self.resize(*_SIZE)

    def done(self, result: int) -> None:
        """Stop with the dialog."""
        self._comparing.cancel()
        super().done(result)

    def _vary(self, vary: Vary) -> None:
        # What is begun is stopped by *Stop*; a row that came is not worth losing.
        self.vary[vary].setEnabled(False)
        self.stop.setEnabled(True)
        self._comparing.vary(vary)

    def _title(self, trial: Trial) -> str:
        name = EncoderName.parse(trial.encoder)
        usual = replace(name, side=None).in_full
        return self._titles.get(trial.encoder, self._titles.get(usual, str(name)))

    def _tell(self, trial: Trial, progress: Progress) -> None:
        title = self._title(trial)
        amount = f"{progress.done} of {progress.total} " if progress.total else ""
        self.state.setText(f"{title}: {amount}{progress.text}")

    def _add(self, row: Row) -> None:
        """One more row, in its place: the best first."""
        place = sum(self._value(other) >= row.best for other in range(len(self._trials)))
        self._trials.insert(place, row.trial)
        self.table.insertRow(place)
        texts = [
            self._title(row.trial),
            row.seen,
            "",
            *(f"{row.dice[one]:.3f}" if one in row.dice else "–" for one in _READOUTS),
            duration(row.seconds) if row.slices else "were there",
        ]
        for column, text in enumerate(texts if row.dice else [*texts[:_BAR], row.why]):
            item = QTableWidgetItem(text)
            item.setToolTip(row.why or text)
            self.table.setItem(place, column, item)
        if row.dice:
            bar = QProgressBar()
            bar.setRange(0, 1000)
            bar.setValue(round(1000 * row.best))
            bar.setFormat(f"{row.best:.2f}")
            self.table.setCellWidget(place, _BAR, told(bar, "Dice", f"{row.best:.3f}"))

    def _value(self, place: int) -> float:
        bar = self.table.cellWidget(place, _BAR)
        return bar.value() / 1000 if isinstance(bar, QProgressBar) else -1.0

    def _end(self) -> None:
        self.state.setText("Done. Features of all of them are on disk now.")
        self.stop.setEnabled(False)
        if self._trials and not self.table.selectedItems():
            self.table.selectRow(0)

    def _on_selected(self) -> None:
        place = self.table.currentRow()
        self.use.setEnabled(place >= 0 and self._value(place) >= 0)

    def _take(self) -> None:
        self._use(self._trials[self.table.currentRow()])
        self.accept()

    def _stop(self) -> None:
        self._comparing.cancel()
        self._end()
        for box in self.vary.values():
            box.setEnabled(False)
        self.state.setText("Stopped.")


def open_comparison(
    parent: QWidget,
    session: Session,
    encoders: Mapping[str, str],
    make_engine: Callable[[], Asks],
    deliver: Deliver,
    use: Callable[[Trial], None],
) -> CompareDialog:
    """Compare encoders on a session's labels, and show what comes.

    Parameters
    ----------
    parent, session
        The window, and whose labels.
    encoders
        Titles by name of those that are here; the session's own is one of them.
    make_engine
        Makes an engine of its own, so that clicks are answered meanwhile.
    deliver
        Runs a function soon, on the window's thread.
    use
        Told what is taken.

    Raises
    ------
    DinomedError
        Where there is no label to compare by.
    """
    masks = trusted(session.document)
    if not masks:
        raise DinomedError(
            "There is no label to compare by yet: click on something, or go on from labels "
            "of a part."
        )
    own = session.document.choices.encoder
    titles = {own: known_as(own), **encoders}
    engine = make_engine()
    window = session.computing.window
    comparing = Comparing(session.volume, window, masks, list(titles), engine, deliver)
    dialog = CompareDialog(parent, comparing, titles, use)

    def leave() -> None:
        comparing.cancel()
        end_of(engine)

    # Closed, or gone with its window.
    dialog.destroyed.connect(leave)
    dialog.show()
    comparing.start()
    return dialog

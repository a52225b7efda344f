"""Encoders side by side on this volume's own labels: a table with bars, and one to take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
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
from napari_dinomed.plugin.controls import button, told
from napari_dinomed.plugin.engines import end_of
from napari_dinomed.session.comparing import Comparing, trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QWidget

    from napari_dinomed.engine.messages import Progress
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.session.comparing import Row
    from napari_dinomed.session.session import Session

_COLUMNS = ("Encoder", "Dice of what was hidden", "Linear probe", "k-NN", "Features")
_BAR = 1
_READOUTS = ("probe", "knn")
_ABOUT = (
    "One quarter of each label after another is hidden, with all around it, and read from "
    "the rest. Labels that one encoder found favour it a little: lock those that you "
    "checked, then only they count."
)
# Logical pixels: about sixty letters a line, and seven rows.
_SIZE = (620, 330)


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
        Told the name of the encoder that is taken.
    """

    def __init__(
        self,
        parent: QWidget,
        comparing: Comparing,
        titles: Mapping[str, str],
        use: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare encoders")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._comparing, self._titles, self._use = comparing, titles, use
        self._names: list[str] = []
        self.table = told(QTableWidget(0, len(_COLUMNS)), "Encoders", "One row for each")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_BAR, QHeaderView.ResizeMode.Stretch)
        self.state = QLabel("Handing the volume over")
        self.use = button("Use this one", "Switch to the chosen encoder", self._take)
        self.stop = button("Stop", "Stop; what is computed is kept", self._stop)
        self._lay_out()
        self.use.setEnabled(False)
        self.table.itemSelectionChanged.connect(self._on_selected)
        comparing.came.connect(self._add)
        comparing.progressed.connect(self._tell)
        comparing.ended.connect(self._end)

    def _lay_out(self) -> None:
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.state.setWordWrap(True)
        foot = QHBoxLayout()
        foot.addWidget(self.state, 1)
        foot.addWidget(self.stop)
        foot.addWidget(self.use)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)
        self.resize(*_SIZE)

    def done(self, result: int) -> None:
        """Stop with the dialog."""
        self._comparing.cancel()
        super().done(result)

    def _tell(self, name: str, progress: Progress) -> None:
        title = self._titles.get(name, name)
        amount = f"{progress.done} of {progress.total} " if progress.total else ""
        self.state.setText(f"{title}: {amount}{progress.text}")

    def _add(self, row: Row) -> None:
        """One more row, in its place: the best first."""
        place = sum(self._value(other) >= row.best for other in range(len(self._names)))
        self._names.insert(place, row.encoder)
        self.table.insertRow(place)
        texts = [
            self._titles.get(row.encoder, row.encoder),
            "",
            *(f"{row.dice[one]:.3f}" if one in row.dice else "–" for one in _READOUTS),
            duration(row.seconds) if row.slices else "were there",
        ]
        for column, text in enumerate(texts if row.dice else [texts[0], row.why]):
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
        if self._names and not self.table.selectedItems():
            self.table.selectRow(0)

    def _on_selected(self) -> None:
        place = self.table.currentRow()
        self.use.setEnabled(place >= 0 and self._value(place) >= 0)

    def _take(self) -> None:
        self._use(self._names[self.table.currentRow()])
        self.accept()

    def _stop(self) -> None:
        self._comparing.cancel()
        self._end()
        self.state.setText("Stopped.")


def open_comparison(
    parent: QWidget,
    session: Session,
    encoders: Mapping[str, str],
    make_engine: Callable[[], Asks],
    deliver: Deliver,
    use: Callable[[str], None],
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
        Told the name of the encoder that is taken.

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
    titles = {own: own.rpartition("/")[2], **encoders}
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

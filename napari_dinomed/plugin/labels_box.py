"""The list of labels: choose, name, colour, lock, merge, order and remove them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QPoint, QSize, Qt
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QStyledItemDelegate,
    QTableView,
    QVBoxLayout,
)

from napari_dinomed.plugin.controls import button, told
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.labels_table import MEANINGS, Column, LabelsModel, rows_of
from napari_dinomed.plugin.legend_menu import LegendButton

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.figures import Figures

# Rows that are seen without scrolling: few enough that the tools below stay in view on a
# screen of 720 lines.
_FEWEST_ROWS, _MOST_ROWS = 3, 6
# Between six buttons, in logical pixels: the panel is no wider for them.
_BUTTON_GAP = 2
# Between lines of text, in logical pixels.
_LINE_GAP = 6


class LabelsBox(QGroupBox):
    """The table of labels, and what is done with the one that is chosen."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Labels")
        self._workbench = workbench
        self._figures: Mapping[int, Figures] = {}
        self.model = LabelsModel(lambda n, name: workbench.labels.change(n, name=name))
        self.table = LabelsTable(self.model)
        key = KEYMAP[Action.NEW_LABEL]
        self.add = button("New", f"{key.does} ({key.shown})", workbench.labels.add)
        self.merge = button(
            "Merge…", "Give the label's voxels to another label", self._ask_merge
        )
        self.up = button("Up", "Move the label up the list (Alt+Up)", self._move_up)
        self.down = button(
            "Down", "Move the label down the list (Alt+Down)", self._move_down
        )
        self.remove = button(
            "Remove",
            "Remove the label, its prompts and its voxels (Delete, in the list)",
            self._remove,
        )
        self.legend = LegendButton(workbench)
        buttons = QHBoxLayout()
        buttons.setSpacing(_BUTTON_GAP)
        for each in (
            self.add,
            self.legend.button,
            self.merge,
            self.up,
            self.down,
            self.remove,
        ):
            buttons.addWidget(each)
        layout = QVBoxLayout(self)
        # Above the table: they stay where they are while it grows.
        layout.addLayout(buttons)
        layout.addWidget(self.table)
        self._connect()
        self.setEnabled(False)

    def _connect(self) -> None:
        workbench, table = self._workbench, self.table
        table.clicked.connect(self._act_on)
        table.selectionModel().currentRowChanged.connect(lambda new, _: self._aim_at(new))
        table.keys = {
            Qt.Key.Key_Space: lambda: self._act_on(table.currentIndex()),
            Qt.Key.Key_F2: table.rename,
            Qt.Key.Key_Delete: self._remove,
        }
        table.moves = {Qt.Key.Key_Up: self._move_up, Qt.Key.Key_Down: self._move_down}
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._show_menu)
        workbench.document_changed.connect(self._show)
        workbench.bound.connect(self._on_bound)
        workbench.hand.aim_changed.connect(lambda label, _: self._on_aim(label))
        workbench.measured.connect(self._on_measured)

    # Showing

    def _on_bound(self) -> None:
        session = self._workbench.session
        self.setEnabled(session is not None)
        self._figures = {}
        if session is None:
            self.model.show([])

    def _on_measured(self, figures: Mapping[int, Figures]) -> None:
        self._figures = figures
        if self._workbench.session is not None:
            self._show(self._workbench.session.document)

    def _show(self, document: Document) -> None:
        session = self._workbench.session
        if session is None:
            return
        hidden = self._workbench.labels.hidden
        geometry = session.volume.geometry
        self.model.show(rows_of(document, geometry, self._figures, hidden))
        self.table.updateGeometry()
        self._on_aim(self._workbench.hand.label)

    def _on_aim(self, label: int) -> None:
        place = self.model.place_of(label)
        if place < 0:
            return
        current = self.table.currentIndex()
        if current.row() != place:
            column = current.column() if current.isValid() else Column.NAME
            self.table.setCurrentIndex(self.model.index(place, column))
        is_done = self.model.rows[place].label.is_done
        is_one_of_several = len(self.model.rows) > 1
        self.remove.setEnabled(not is_done)
        self.merge.setEnabled(not is_done and is_one_of_several)
        for each in (self.up, self.down):
            each.setEnabled(is_one_of_several)

    # What is done

    @property
    def _label(self) -> int:
        return self._workbench.hand.label

    def _aim_at(self, index: QModelIndex) -> None:
        if index.isValid():
            number = self.model.rows[index.row()].label.id
            if number != self._workbench.hand.label:
                self._workbench.hand.aim(number)

    def _act_on(self, index: QModelIndex) -> None:
        """A click on a cell, or Space: what the cell is for."""
        if not index.isValid():
            return
        column = Column(index.column())
        if column is Column.SEEN:
            self._workbench.labels.toggle_seen(self._label)
        elif column is Column.COLOR:
            self._ask_color()
        elif column is Column.MEANING:
            self._ask_meaning()
        elif column is Column.STATE:
            self._workbench.labels.toggle_done(self._label)

    def _ask_color(self) -> None:
        label = self._workbench.require().document.find(self._label)
        chosen = QColorDialog.getColor(QColor.fromRgbF(*label.color), self.window())
        if chosen.isValid():
            color = (chosen.redF(), chosen.greenF(), chosen.blueF())
            self._workbench.labels.change(label.id, color=color)

    def _ask_meaning(self) -> None:
        menu = QMenu(self)
        self._fill_meanings(menu)
        self._pop_up(menu, Column.MEANING)

    def _ask_merge(self) -> None:
        menu = QMenu(self)
        self._fill_merge(menu)
        menu.exec(self.merge.mapToGlobal(self.merge.rect().bottomLeft()))

    def _pop_up(self, menu: QMenu, column: Column) -> None:
        place = self.model.index(self.model.place_of(self._label), column)
        corner = self.table.visualRect(place).bottomLeft()
        menu.exec(self.table.viewport().mapToGlobal(corner))

    def _fill_meanings(self, menu: QMenu) -> None:
        for meaning, text in MEANINGS.items():
            change = partial(self._workbench.labels.change, self._label, meaning=meaning)
            menu.addAction(text).triggered.connect(lambda _=False, change=change: change())

    def _fill_merge(self, menu: QMenu) -> None:
        for row in self.model.rows:
            if row.label.id != self._label:
                merge = partial(self._workbench.labels.merge, self._label, row.label.id)
                action = menu.addAction(f"Into {row.label.name}")
                action.setEnabled(not row.label.is_done)
                action.triggered.connect(lambda _=False, merge=merge: merge())

    def _show_menu(self, place: QPoint) -> None:
        """All that can be done with a label, where it stands."""
        menu = QMenu(self)
        menu.addAction("Rename (F2)").triggered.connect(lambda: self.table.rename())
        menu.addAction("Colour…").triggered.connect(lambda: self._ask_color())
        seen = menu.addAction("Hide, or show again")
        seen.triggered.connect(lambda: self._workbench.labels.toggle_seen(self._label))
        self._fill_meanings(menu.addMenu("A click is"))
        merge = menu.addMenu("Merge")
        merge.setEnabled(self.merge.isEnabled())
        self._fill_merge(merge)
        lock = menu.addAction("Lock, or open again")
        lock.triggered.connect(lambda: self._workbench.labels.toggle_done(self._label))
        remove = menu.addAction("Remove (Delete)")
        remove.setEnabled(self.remove.isEnabled())
        remove.triggered.connect(lambda: self._remove())
        menu.exec(self.table.viewport().mapToGlobal(place))

    def _move_up(self) -> None:
        self._workbench.labels.move(self._label, -1)

    def _move_down(self) -> None:
        self._workbench.labels.move(self._label, 1)

    def _remove(self) -> None:
        self._workbench.labels.remove(self._label)


class NameEdit(QLineEdit):
    """A field for a label's name that keeps its keys to itself.

    Keys that it has no use for, as Return, would go on to the canvas and mean something.
    """

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Type, and let nobody else have the key."""
        super().keyPressEvent(event)
        event.accept()


class _Names(QStyledItemDelegate):
    """Has names typed in a `NameEdit`."""

    def createEditor(self, parent: Any, option: Any, index: Any) -> QLineEdit:  # noqa: N802
        """The field."""
        del option, index
        edit = told(NameEdit(), "Name", "Return keeps the name, Escape the old one")
        edit.setParent(parent)
        return edit


class LabelsTable(QTableView):
    """A table that keeps to its keys and leaves all others to the canvas."""

    def __init__(self, model: LabelsModel) -> None:
        super().__init__()
        self.keys: dict[Any, Any] = {}
        self.moves: dict[Any, Any] = {}
        self.setModel(model)
        told(
            self,
            "Labels",
            "Prompts and the brush are for the chosen label (1 to 9 on the canvas)",
        )
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setItemDelegateForColumn(Column.NAME, _Names(self))
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        lines = self.fontMetrics().height() + _LINE_GAP
        self.verticalHeader().setDefaultSectionSize(lines)
        self.verticalHeader().setMinimumSectionSize(lines)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(self.fontMetrics().horizontalAdvance("m"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def rename(self) -> None:
        """Type over the name of the chosen label."""
        self.edit(self.currentIndex().siblingAtColumn(Column.NAME))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Move about, and do what the table's keys do; the canvas has all other keys."""
        is_alt = event.modifiers() == Qt.KeyboardModifier.AltModifier
        acts = self.moves if is_alt else self.keys
        if event.key() in acts:
            acts[event.key()]()
        elif event.key() in _MOVES and not is_alt:
            super().keyPressEvent(event)
        else:
            event.ignore()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as its rows, within limits."""
        rows = min(max(self.model().rowCount(), _FEWEST_ROWS), _MOST_ROWS)
        frame = 2 * self.frameWidth()
        height = rows * self.verticalHeader().defaultSectionSize()
        height += self.horizontalHeader().sizeHint().height() + frame
        wanted = [column for column in Column if column not in _COUNTS]
        return QSize(self._width_with(wanted) + _SPARE, height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high: what is chosen most is always seen; as narrow as columns give way."""
        kept = [column for column in Column if column not in _GIVING_WAY]
        return QSize(self._width_with(kept), self.sizeHint().height())

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Columns that matter less give way to the name where it is narrow."""
        super().resizeEvent(event)
        shown = list(Column)
        for column in _GIVING_WAY:
            is_wide = self._width_with(shown) <= self.width()
            self.setColumnHidden(column, not is_wide)
            if not is_wide:
                shown.remove(column)

    def _width_with(self, columns: Iterable[Column]) -> int:
        """Of the table where these columns are read whole."""
        letters = self.fontMetrics().horizontalAdvance
        texts = (letters(_WIDEST[column]) + _CELL_MARGINS for column in columns)
        return int(sum(texts) + 2 * self.frameWidth())


# Shown where there is room, which the canvas needs more than they.
_COUNTS = (Column.PROMPTS, Column.THINGS)
# The least needed first.
_GIVING_WAY = (*_COUNTS, Column.MEANING, Column.GREY)
# What usually stands there, header included.
_WIDEST = {
    Column.SEEN: "mm",
    Column.COLOR: "m 9",
    Column.NAME: "right kidney",
    Column.MEANING: "A click is",
    Column.VOLUME: "1234.5 ml",
    Column.GREY: "123 ± 45",
    Column.THINGS: "Parts",
    Column.PROMPTS: "Clicks",
    Column.STATE: "State",
}
# For a volume of four digits or a longer name, in logical pixels.
_SPARE = 24
# Of a cell, both sides, in logical pixels.
_CELL_MARGINS = 6
_MOVES = (
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
)

"""Labels as a table: what its cells say, and what editing them does to the document.

In: rows, one for each label. Out: cells that follow them one by one, so that what is being
typed in one stays whatever is answered meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import isnan
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor

from napari_dinomed.amounts import in_usual_unit
from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.plugin.keymap import KEYMAP, LABEL_KEYS, Action
from napari_dinomed.session.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.volume import Geometry

MEANINGS = {Meaning.OBJECT: "object", Meaning.ALL_LIKE_THIS: "all alike"}
_WAITS = "…"
_NONE = "–"
_Role = Qt.ItemDataRole
_NO_PARENT = QModelIndex()


class Column(IntEnum):
    """From left to right."""

    SEEN = 0
    COLOR = 1
    NAME = 2
    MEANING = 3
    VOLUME = 4
    GREY = 5
    THINGS = 6
    PROMPTS = 7
    STATE = 8


HEADERS = {
    Column.SEEN: ("", "Ticked labels are shown on the canvas"),
    Column.COLOR: ("", "Colour, and the key that chooses the label on the canvas"),
    Column.NAME: ("Name", "Double-click or press F2 to change it"),
    Column.MEANING: ("A click is", "This one object, or all that look like it"),
    Column.VOLUME: (
        "Volume",
        "Of the voxels that the label has; rest on it for their count",
    ),
    Column.GREY: ("Grey", "Mean and standard deviation of the image in the label"),
    Column.THINGS: ("Parts", "Connected parts: how many things it is"),
    Column.PROMPTS: ("Clicks", "Clicks and strokes on the label"),
    Column.STATE: ("State", "Open, or done and locked: nothing changes it then"),
}

_NUMBERS = (Column.VOLUME, Column.GREY, Column.THINGS, Column.PROMPTS)


@dataclass(frozen=True)
class Row:
    """A label as the table shows it.

    Parameters
    ----------
    label
        The label.
    voxels
        How many it has.
    volume
        Of them, in words; empty where there is none.
    prompts
        Clicks and strokes on it.
    waits
        Whether its last prompt is not answered yet.
    figures
        As measured last; None where they are not yet.
    is_seen
        Whether it is shown on the canvas.
    """

    label: Label
    voxels: int
    volume: str
    prompts: int
    waits: bool
    figures: Figures | None
    is_seen: bool

    @property
    def is_measured_otherwise(self) -> bool:
        """Whether the figures are those of other voxels than it has now."""
        return self.figures is not None and self.figures.voxels != self.voxels


def rows_of(
    document: Document,
    geometry: Geometry,
    figures: Mapping[int, Figures],
    hidden: Collection[int],
) -> list[Row]:
    """The rows of a document's labels, in their order."""
    rows = []
    for label in document.labels:
        voxels = document.mask(label.id).count
        rows.append(
            Row(
                label,
                voxels,
                readable(voxels * geometry.voxel_volume, geometry.unit),
                len(document.prompts.of(label.id)),
                label.id in document.waiting,
                figures.get(label.id),
                label.id not in hidden,
            )
        )
    return rows


class LabelsModel(QAbstractTableModel):
    """Rows for a table view.

    Parameters
    ----------
    rename
        Called with a label's number and its new name.
    """

    def __init__(self, rename: Callable[[int, str], None]) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._rename = rename

    def show(self, rows: Sequence[Row]) -> None:
        """Take other rows; only cells that differ are told of."""
        ids = [row.label.id for row in rows]
        for place in reversed(range(len(self.rows))):
            if self.rows[place].label.id not in ids:
                self.beginRemoveRows(QModelIndex(), place, place)
                self.rows.pop(place)
                self.endRemoveRows()
        known = [row.label.id for row in self.rows]
        if known != [number for number in ids if number in known]:
            self.beginResetModel()
            self.rows = list(rows)
            self.endResetModel()
            return
        for place, row in enumerate(rows):
            if place >= len(self.rows) or self.rows[place].label.id != row.label.id:
                self.beginInsertRows(QModelIndex(), place, place)
                self.rows.insert(place, row)
                self.endInsertRows()
                # Qt fits columns to cells that change, not to those that come.
                self.dataChanged.emit(
                    self.index(place, 0), self.index(place, len(Column) - 1)
                )
            else:
                self._update(place, row)

    def _update(self, place: int, row: Row) -> None:
        old, self.rows[place] = self.rows[place], row
        for column in Column:
            if _cell(old, place, column) != _cell(row, place, column):
                index = self.index(place, column)
                self.dataChanged.emit(index, index)

    def place_of(self, label: int) -> int:
        """The row of a label; -1 where there is none."""
        ids = [row.label.id for row in self.rows]
        return ids.index(label) if label in ids else -1

    # Qt's names

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802
        """How many labels."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802
        """How many columns."""
        return 0 if parent.isValid() else len(Column)

    def flags(self, index: QModelIndex) -> Any:
        """The name is what can be typed over."""
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        is_name = index.column() == Column.NAME
        return flags | Qt.ItemFlag.ItemIsEditable if is_name else flags

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802
        """What the columns are called, and what they say."""
        if orientation == Qt.Orientation.Horizontal:
            text, tip = HEADERS[Column(section)]
            return {_Role.DisplayRole: text, _Role.ToolTipRole: tip}.get(_Role(role))
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """What a cell shows."""
        row, column = self.rows[index.row()], Column(index.column())
        text, tip, color = _cell(row, index.row(), column)
        kind = _Role(role)
        if kind in (_Role.DisplayRole, _Role.EditRole):
            return text
        if kind in (_Role.ToolTipRole, _Role.AccessibleDescriptionRole):
            return tip
        if kind == _Role.CheckStateRole and column is Column.SEEN:
            return Qt.CheckState.Checked if row.is_seen else Qt.CheckState.Unchecked
        if kind == _Role.DecorationRole and color is not None:
            return QColor.fromRgbF(*color)
        if kind == _Role.TextAlignmentRole and column in _NUMBERS:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = 0) -> bool:  # noqa: N802
        """A name that was typed; an empty one is none."""
        label, name = self.rows[index.row()].label, str(value).strip()
        if role == _Role.EditRole and name and name != label.name:
            self._rename(label.id, name)
        return True


def _cell(row: Row, place: int, column: Column) -> tuple[str, str, Any]:
    """Text, tool tip and colour of a cell."""
    label = row.label
    if column is Column.SEEN:
        does = "hide it" if row.is_seen else "show it again"
        return "", f"Click to {does} on the canvas", None
    if column is Column.COLOR:
        key = LABEL_KEYS[place] if place < len(LABEL_KEYS) else ""
        return key, "Click to change the colour", label.color
    if column is Column.NAME:
        return label.name, f"{label.name}: double-click or press F2 to rename", None
    if column is Column.MEANING:
        return MEANINGS[label.meaning], "Click to choose what a click means", None
    if column is Column.VOLUME:
        return _WAITS if row.waits else row.volume, f"{row.voxels:,} voxels", None
    if column is Column.GREY:
        return *_grey(row), None
    if column is Column.THINGS:
        found = row.figures
        if row.is_measured_otherwise:
            return _WAITS, "Connected parts", None
        count = f"{found.things:,}" if found is not None and row.voxels else _NONE
        return count, "Connected parts", None
    if column is Column.PROMPTS:
        return str(row.prompts), "Clicks and strokes on the label", None
    key = KEYMAP[Action.DONE].shown
    if label.is_done:
        return "done", f"Locked: nothing changes it. Click to open it again ({key})", None
    return "open", f"Click to lock the label as it is ({key})", None


def _grey(row: Row) -> tuple[str, str]:
    """Mean and deviation, and the range."""
    found = row.figures
    if row.is_measured_otherwise:
        return _WAITS, "Being measured"
    if not row.voxels or found is None or isnan(found.mean):
        return _NONE, "Grey values of the image in the label"
    text = f"{_short(found.mean)} ± {_short(found.sd)}"
    mean = f"Mean {found.mean:.5g}, SD {found.sd:.5g}"
    return text, f"{mean}, from {found.low:g} to {found.high:g}"


def _short(value: float) -> str:
    """Two digits, or all before the point: what is compared at a glance."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def readable(volume: float, unit: str) -> str:
    """A volume in the unit that its users think in: ml for patients, µm³ for cells."""
    if not volume:
        return _NONE
    amount, name = in_usual_unit(volume, unit)
    # Of a small lesion, tenths of a millilitre say nothing.
    millilitres = f"{amount:.1f}" if amount >= 1 else f"{amount:.2g}"
    digits = {"ml": millilitres, "µm³": f"{amount:.3f}"}
    return f"{digits.get(name, f'{amount:.4g}')} {name}"

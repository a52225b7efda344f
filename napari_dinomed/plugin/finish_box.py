"""Finishing tools in the panel: which one, how much, a look at it, and done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinomed.finish import TOOLS
from napari_dinomed.finish.options import Amount, Choice, Measure
from napari_dinomed.finish.tools import Drawn
from napari_dinomed.plugin.controls import (
    bring_into_view,
    button,
    plain_numbers,
    told,
    unmoved,
)
from napari_dinomed.plugin.drawing import Drawing
from napari_dinomed.plugin.finishing import Finishing
from napari_dinomed.plugin.labels_table import readable

if TYPE_CHECKING:
    from napari_dinomed.finish import Tool
    from napari_dinomed.finish.options import Option, Scale
    from napari_dinomed.plugin.finishing import Draft
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver

# Decimals of an amount whose usual value has none: grey values, tenths of millimetres.
_DECIMALS = 2
_MOST = 1e9
_DRAW = {
    Drawn.OUTLINE: ("Draw…", "Draw round a part on the slice in view"),
    Drawn.CLICKS: ("Click on parts…", "Click on each part that is to stay"),
}


class FinishBox(QGroupBox):
    """A list of tools with an option or two, folded away until it is wanted.

    Parameters
    ----------
    workbench
        The workbench.
    deliver
        Runs a function soon, on the window's thread.
    """

    def __init__(self, workbench: Workbench, deliver: Deliver) -> None:
        super().__init__("Finish")
        self._workbench = workbench
        self.finishing = Finishing(workbench, deliver)
        self.drawing = Drawing(workbench)
        self.fold = _fold("Finishing tools")
        self.content = QWidget()
        self.tools = unmoved(QComboBox())
        self.options: dict[str, AmountBox | QComboBox] = {}
        self.draw = button("Draw…", "Draw on the canvas what the tool needs")
        self.preview = button("Preview", "Show what it would make of the label")
        self.apply = button("Apply", "Do it, as one step that undo takes back")
        self.cancel = button("Cancel", "Leave the label as it is")
        self.told = QLabel()
        self.teach = button(
            "Teach by what was painted",
            "What brush and eraser corrected becomes prompts: the rest is answered anew",
        )
        self._lay_out()
        self._connect()
        self._fill_tools()
        self.setEnabled(False)
        self._unfold(False)

    @property
    def tool(self) -> Tool[Any]:
        """The tool that is chosen."""
        return TOOLS[int(self.tools.currentIndex())]

    def values(self) -> dict[str, Any]:
        """What is chosen, typed and drawn for it."""
        found = {
            name: box.value() if isinstance(box, AmountBox) else box.currentData()
            for name, box in self.options.items()
        }
        return found | self.drawing.values()

    # Making

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        buttons = QHBoxLayout()
        for one in (self.preview, self.apply, self.cancel):
            buttons.addWidget(one)
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.tools)
        inside.addLayout(self._form)
        inside.addWidget(self.draw)
        inside.addLayout(buttons)
        self.told.setWordWrap(True)
        inside.addWidget(self.told)
        inside.addWidget(self.teach)
        layout = QVBoxLayout(self)
        layout.addWidget(self.fold)
        layout.addWidget(self.content)

    def _fill_tools(self) -> None:
        for tool in TOOLS:
            self.tools.addItem(tool.title)
            does = Qt.ItemDataRole.ToolTipRole
            self.tools.setItemData(self.tools.count() - 1, tool.does, does)

    def _connect(self) -> None:
        workbench, finishing = self._workbench, self.finishing
        self.fold.toggled.connect(lambda is_open: self._unfold(is_open))
        self.tools.currentIndexChanged.connect(lambda _: self._on_tool())
        self.draw.clicked.connect(lambda: workbench.attempt(self._begin_drawing))
        self.preview.clicked.connect(lambda: self._preview())
        self.apply.clicked.connect(lambda: finishing.apply(self.tool, self.values()))
        self.cancel.clicked.connect(lambda: self._cancel())
        self.teach.clicked.connect(lambda: finishing.teach())
        self.drawing.drawn.connect(self._preview)
        finishing.drafted.connect(self._on_draft)
        finishing.refused.connect(self._on_refused)
        finishing.ended.connect(self._on_ended)
        workbench.bound.connect(self._on_bound)

    # What the user does

    def _unfold(self, is_open: bool) -> None:
        self.content.setVisible(is_open)
        arrow = Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow
        self.fold.setArrowType(arrow)
        if is_open:
            bring_into_view(self.content)
        else:
            self._cancel()

    def _on_tool(self) -> None:
        """Show the tool's options, as they usually are on this volume."""
        self._cancel()
        told(self.tools, "Finishing tool", self.tool.does)
        while self._form.rowCount():
            self._form.removeRow(0)
        self.options = {}
        if self._workbench.session is None:
            return
        for option in self.tool.shown:
            self.options[option.name] = box = self._option(option, self.finishing.scale)
            self._form.addRow(option.kind.text, box)
        text, does = _DRAW.get(self.tool.drawn, ("", ""))
        self.draw.setVisible(bool(text))
        if text:
            self.draw.setText(text)
            told(self.draw, text.rstrip("…"), does)

    def _option(self, option: Option, scale: Scale) -> AmountBox | QComboBox:
        box: AmountBox | QComboBox
        if isinstance(option.kind, Amount):
            box = AmountBox(option.kind, scale)
            box.valueChanged.connect(lambda _: self._follow())
        else:
            box = _choices(option)
            box.currentIndexChanged.connect(lambda _: self._follow())
        return told(box, f"{self.tool.title}: {option.kind.text}", self.tool.does)

    def _begin_drawing(self) -> None:
        self._cancel()
        self.drawing.begin(self.tool.drawn)
        self.told.setText(_DRAW[self.tool.drawn][1] + ".")
        self.cancel.setEnabled(True)

    def _preview(self) -> None:
        if self.tool.is_drawn and not self.drawing.values():
            self._workbench.attempt(self._begin_drawing)
            return
        self.cancel.setEnabled(True)
        self.told.setText("…")
        self.finishing.draft(self.tool, self.values())

    def _follow(self) -> None:
        """An option was changed: a preview that is shown follows."""
        if self.finishing.is_live:
            self._preview()

    def _cancel(self) -> None:
        self.finishing.cancel()

    # What comes of it

    def _on_bound(self) -> None:
        self.setEnabled(self._workbench.session is not None)
        self._on_tool()

    def _on_draft(self, draft: Draft) -> None:
        session = self._workbench.session
        if session is None:
            return
        geometry = session.volume.geometry

        def volume(count: int) -> str:
            return readable(count * geometry.voxel_volume, geometry.unit)

        changes = (("+", draft.added), ("−", draft.removed))
        told = [f"{sign}{volume(count)}" for sign, count in changes if count]
        told += [f"a label of {volume(count)}" for count in draft.parts]
        self.told.setText(f"Preview: {', '.join(told)}")

    def _on_refused(self, reason: str) -> None:
        self.told.setText(reason)

    def _on_ended(self) -> None:
        self.drawing.end()
        self.told.setText("")
        self.cancel.setEnabled(False)


class AmountBox(QDoubleSpinBox):
    """A number with its unit, typed with a point or a comma, that keeps its keys to itself.

    Keys that it has no use for, as Enter, would go on to the canvas and mean something.
    """

    def __init__(self, amount: Amount, scale: Scale) -> None:
        super().__init__()
        self.setLocale(plain_numbers())
        unit, factor = scale.unit_of(amount.measure)
        usual = scale.usual(amount) / factor
        decimals = _DECIMALS if usual >= 1 or amount.measure is Measure.GREY else 4
        self.setDecimals(decimals)
        self.setRange(-_MOST if amount.measure is Measure.GREY else 10**-decimals, _MOST)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.setSuffix(f" {unit}" if unit else "")
        self.setKeyboardTracking(False)
        self.setValue(usual)
        unmoved(self)

    def validate(self, text: str, place: int) -> Any:
        """Whether it is a number, and how it is written."""
        return super().validate(text.replace(",", "."), place)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Type, and let nobody else have the key."""
        super().keyPressEvent(event)
        event.accept()


def _choices(option: Option) -> QComboBox:
    assert isinstance(option.kind, Choice)
    box = unmoved(QComboBox())
    for choice in option.choices:
        box.addItem(choice.text, choice)
    return box


def _fold(text: str) -> QToolButton:
    fold = told(
        QToolButton(), text, "Make a label better as a whole: fill, smooth, grow, cut …"
    )
    fold.setText(text)
    fold.setCheckable(True)
    fold.setAutoRaise(True)
    fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return fold

"""What the panel writes is read in napari's dark theme and in its light one."""

from __future__ import annotations

import numpy as np
import pytest
from napari._qt.utils import QImg2array
from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QPushButton,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
)

from napari_dinomed.plugin.labels_table import Column
from tests.fakes import FakeEngine
from tests.plugin.test_window import open_panel, pytestmark  # noqa: F401

# Of text, as WCAG 2 asks for (AA).
ENOUGH = 4.5
# Of a control, what may be its border or the frame of the focus.
BORDER = 4
KINDS = (QLabel, QPushButton, QComboBox, QAbstractSpinBox)
WRITTEN = set(Column) - {Column.SEEN, Column.COLOR}


def luminance(colors):
    """Of colours (…, 3) from 0 to 1, relative to white, as WCAG defines it."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(picture, rect):
    """Between what most of a part of a picture is, and what is told apart best in it."""
    ratio = round(picture.devicePixelRatio())
    part = QRect(rect.topLeft() * ratio, rect.size() * ratio)
    pixels = QImg2array(picture.toImage().copy(part))[..., :3].reshape(-1, 3)
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    light = luminance(colors / 255)
    ground = light[counts.argmax()]
    high, low = np.maximum(light, ground), np.minimum(light, ground)
    return ((high + 0.05) / (low + 0.05)).max()


def text_in(widget):
    """A control's text, and the part of it that has nothing but that."""
    inside = widget.rect().adjusted(BORDER, BORDER, -BORDER, -BORDER)
    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        field = widget.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            widget,
        )
        return widget.currentText(), inside & field
    if isinstance(widget, QAbstractSpinBox):
        return widget.text(), inside & widget.lineEdit().geometry()
    return widget.text(), widget.rect() if isinstance(widget, QLabel) else inside


def of_controls(within, controls):
    """The contrast of what enabled controls say."""
    picture = within.grab()
    for widget in controls:
        text, part = text_in(widget)
        if text and widget.isEnabled() and widget.isVisibleTo(within):
            place = widget.mapTo(within, QPoint(0, 0))
            yield text, contrast(picture, part.translated(place))


def of_cells(table):
    """The contrast of what cells say."""
    picture, model = table.viewport().grab(), table.model()
    for row in range(model.rowCount()):
        for column in WRITTEN:
            index = model.index(row, column)
            if model.data(index) and not table.visualRect(index).isEmpty():
                yield (row, column.name), contrast(picture, table.visualRect(index))


def of_headers(header):
    """The contrast of what headers say."""
    picture = header.viewport().grab()
    for column in WRITTEN:
        if not header.isSectionHidden(column):
            at, size = header.sectionViewportPosition(column), header.sectionSize(column)
            rect = QRect(at, 0, size, header.height()).adjusted(2, 2, -2, -2)
            yield column.name, contrast(picture, rect)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_text_stands_out(open_panel, qtbot, ball_volume, theme):  # noqa: F811
    viewer, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    table = panel.labels_box.table
    panel.labels_box.add.click()
    panel.workbench.sheet.prompts.layer.add(np.array([[8.0, 24, 30]]))
    panel.finish_box.fold.setChecked(True)
    viewer.theme = theme
    grey = table.model().index(1, Column.GREY)
    qtbot.waitUntil(lambda: "±" in table.model().data(grey))
    qtbot.wait(200)
    # All that scrolls is drawn here, seen or not.
    content = panel.findChild(QScrollArea).widget()
    boxes = [one for kind in KINDS for one in content.findChildren(kind)]
    found = [
        list(of_controls(content, boxes)),
        list(of_controls(panel, [panel._status, panel.help])),
        list(of_cells(table)),
        list(of_headers(table.horizontalHeader())),
    ]
    assert all(len(one) >= least for one, least in zip(found, (30, 2, 8, 4), strict=True))
    assert not [one for part in found for one in part if one[1] < ENOUGH]

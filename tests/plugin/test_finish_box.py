"""The box of finishing tools: real widgets, on a viewer without a window."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QDoubleSpinBox, QWidget

from napari_dinomed.finish import TOOLS
from napari_dinomed.plugin.bridge import Bridge
from napari_dinomed.plugin.finish_box import FinishBox
from tests.plugin.test_workbench import INSIDE, assert_shown, document, shown

pytestmark = [
    pytest.mark.display,
    pytest.mark.skipif(
        sys.platform.startswith("linux")
        and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
        reason="needs a display; run under xvfb-run",
    ),
]


@pytest.fixture
def box(bench, click, qtbot):
    """The box on a label of five voxels a side, unfolded; its thread is a real one."""
    bridge = Bridge()
    made = FinishBox(bench, bridge.deliver)
    made.bridge = bridge
    qtbot.addWidget(made)
    made.show()
    bench.bound.emit()
    click(bench, *INSIDE)
    press(made.fold)
    return made


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def choose(box, key):
    box.tools.setCurrentIndex([tool.key for tool in TOOLS].index(key))


def told(qtbot, box, part):
    qtbot.waitUntil(lambda: part in box.told.text(), timeout=10_000)


def test_it_is_folded_until_it_is_wanted(box):
    assert box.content.isVisible()
    press(box.fold)
    assert not box.content.isVisible()


def test_every_control_has_a_name_and_says_what_it_does(box):
    for tool in TOOLS:
        choose(box, tool.key)
        kinds = (QAbstractButton, QComboBox, QDoubleSpinBox)
        for widget in box.findChildren(QWidget):
            if isinstance(widget, kinds) and widget.isVisibleTo(box):
                assert widget.accessibleName() or widget.text(), tool.key
                assert widget.toolTip(), (tool.key, widget)


def test_a_preview_follows_the_number_and_is_applied(box, bench, qtbot, loop):
    before = document(bench)
    choose(box, "grow")
    assert box.options["distance"].suffix() == " mm"
    press(box.preview)
    told(qtbot, box, "Preview: +")
    small = np.count_nonzero(shown(bench))
    box.options["distance"].setValue(4)
    qtbot.waitUntil(lambda: np.count_nonzero(shown(bench)) > small, timeout=10_000)
    assert document(bench) is before
    press(box.apply)
    qtbot.waitUntil(lambda: document(bench) is not before, timeout=10_000)
    loop.run()
    assert_shown(bench)
    assert not box.cancel.isEnabled()
    assert bench.session.history.undoes == "grow Label 1"


def test_parts_are_told_before_they_are_labels(box, bench, click, qtbot):
    click(bench, 3, 8, 8)
    choose(box, "split")
    box.options["by"].setCurrentText("at gaps")
    box.options["volume"].setValue(0.05)
    press(box.preview)
    # Five voxels a side, 3 × 0.7 × 0.7 mm each, from slice 1 on.
    told(qtbot, box, "Preview: −0.18 ml, a label of 0.18 ml")
    box.options["volume"].setValue(0.5)
    told(qtbot, box, "all others are smaller")
    assert_shown(bench)


def test_enter_in_a_number_stays_there(box):
    choose(box, "grow")
    heard = []
    box.keyPressEvent = heard.append
    QTest.keyClick(box.options["distance"], Qt.Key.Key_Return)
    assert heard == []


def test_what_cannot_be_done_is_said_and_folding_ends_a_preview(box, bench, qtbot):
    choose(box, "fill-holes")
    press(box.preview)
    told(qtbot, box, "it has no hole that is free")
    choose(box, "grow")
    assert box.told.text() == ""
    press(box.preview)
    told(qtbot, box, "Preview: +")
    press(box.fold)
    assert_shown(bench)


def test_an_outline_is_previewed_as_soon_as_it_is_drawn(box, bench, qtbot, loop):
    choose(box, "cut")
    press(box.preview)
    loop.run()
    (layer,) = (one for one in bench.viewer.layers if one.name == "Lasso")
    assert "draw round" in box.told.text().lower()
    corners = [(8, 15, 30.5), (8, 35, 30.5), (8, 35, 50), (8, 15, 50)]
    layer.add(np.array(corners, dtype=float), shape_type="polygon")
    loop.run()
    told(qtbot, box, "Preview: −")
    assert not shown(bench)[8, 24, 31]
    press(box.cancel)
    loop.run()
    assert layer not in bench.viewer.layers
    assert_shown(bench)

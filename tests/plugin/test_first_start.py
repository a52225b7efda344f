"""From an empty window to a saved label by mouse and keyboard, on a small screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QTextBrowser

from napari_dinomed.plugin.keymap import KEYMAP
from napari_dinomed.plugin.labels_box import _GIVING_WAY
from napari_dinomed.plugin.labels_table import Column
from napari_dinomed.plugin.manual import controls_in
from napari_dinomed.plugin.opening import ask_for_files, ask_for_folder
from napari_dinomed.plugin.panel import Panel
from napari_dinomed.plugin.planes import Plane, plane_in
from tests.fakes import FakeEngine
from tests.io import made
from tests.plugin.test_window import AXIAL, SLICES, pytestmark  # noqa: F401

SMALL = (1280, 720)
# What may stand on a button and in a menu: letters, and punctuation that every font has.
PLAIN = set("…·±µ³×–?()[]/,.:;-' ")


@pytest.fixture
def window(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(panel, area="right")
    viewer.window.resize(*SMALL)
    qtbot.wait(300)
    yield viewer, panel
    panel.shut_down()


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def turn_wheel(native, notches) -> None:
    centre = QPointF(native.rect().center())
    event = QWheelEvent(
        centre,
        QPointF(native.mapToGlobal(native.rect().center())),
        QPoint(0, 0),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(native, event)


def used_most(panel):
    """What must be seen without scrolling."""
    return (
        panel.labels_box.table,
        panel.labels_box.add,
        *panel.view_box.planes.values(),
        panel.prompts_box.points,
        panel.prompts_box.include,
        panel.prompts_box.undo,
        panel.result_box.threshold,
        panel.result_box.save,
    )


def is_seen(panel, widget) -> bool:
    """Whether all of a widget is on the panel, without scrolling."""
    corner = widget.mapTo(panel, QPoint(0, 0))
    foot = panel.help.mapTo(panel, QPoint(0, 0)).y()
    fits = corner.x() >= 0 and corner.x() + widget.width() <= panel.width()
    return widget.isVisible() and fits and corner.y() + widget.height() <= foot


def test_from_an_empty_window_on_a_small_screen(window, qtbot, monkeypatch, tmp_path):
    viewer, panel = window
    main, native = viewer.window._qt_window, viewer.window._qt_viewer.canvas.native
    assert panel.start_box.isVisible()
    # Every control says what it is, in letters that every font has.
    controls = controls_in(panel)
    assert len(controls) > 30
    for widget in controls:
        about = (type(widget).__name__, widget.accessibleName(), widget.toolTip())
        assert all(about), about
        text = widget.text() if hasattr(widget, "text") else ""
        assert all(letter in PLAIN or letter.isalnum() for letter in text), text
    # A sample is one click away, and takes the place of the steps.
    press(panel.start_box.samples["ct"])
    qtbot.waitUntil(lambda: not panel.start_box.isVisible())
    qtbot.wait(100)
    assert panel.workbench.session is not None
    # What is used most is seen at once.
    assert (main.width(), main.height()) == SMALL
    assert main.minimumSizeHint().width() <= 960
    for widget in used_most(panel):
        assert is_seen(panel, widget), widget.accessibleName()
    assert panel.help.isVisible()
    # The first label's key is read whole.
    table = panel.labels_box.table
    wide = table.sizeHintForColumn(Column.COLOR)
    assert table.horizontalHeader().sectionSize(Column.COLOR) == wide
    # Where it is narrow, columns give way to the name.
    table.resize(table.minimumSizeHint())
    hidden = [table.isColumnHidden(column) for column in Column]
    assert hidden == [column in _GIVING_WAY for column in Column]
    # Tab goes from top to bottom, and where it is is seen.
    boxes = [panel.image_box, panel.labels_box, panel.prompts_box, panel.result_box]
    firsts = [
        next(n for n, widget in enumerate(controls) if box.isAncestorOf(widget))
        for box in boxes
    ]
    assert firsts == sorted(firsts)
    assert ":focus" in panel.styleSheet()
    # Planes, wheel and help, by real keys and a real wheel over the canvas.
    step = viewer.dims.current_step[0]
    turn_wheel(native, -1)
    assert viewer.dims.current_step[0] == step + 1
    QTest.keyClick(native, Qt.Key.Key_F6)
    assert plane_in(viewer) is Plane.CORONAL
    assert panel.view_box.planes[Plane.CORONAL].isChecked()
    press(panel.view_box.planes[Plane.AXIAL])
    assert plane_in(viewer) is Plane.AXIAL
    QTest.keyClick(native, Qt.Key.Key_F1)
    # Keys that the table has no use for are the canvas'.
    QTest.keyClick(panel.labels_box.table, Qt.Key.Key_T)
    assert not panel.workbench.hand.include
    page = main.findChild(QTextBrowser).toPlainText()
    for key in KEYMAP.values():
        assert key.does in page
    for widget in controls_in(panel):
        assert widget.accessibleName() in page
    # A wheel that scrolls the panel changes no choice that comes under it.
    for control in (panel.result_box.heads, panel.image_box.encoders):
        was = control.currentIndex()
        turn_wheel(control, -1)
        assert control.currentIndex() == was
    # What comes at the panel's end is seen without scrolling.
    press(panel.finish_box.fold)
    qtbot.waitUntil(lambda: is_seen(panel, panel.finish_box.apply))
    # A folder of DICOM slices opens without napari's question who reads it.
    folder = made.write_dicom(tmp_path / "study", SLICES, AXIAL)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    monkeypatch.setattr(QtReaderDialog, "exec_", lambda _: pytest.fail("a dialog came"))
    before = panel.workbench.session
    ask_for_folder(panel, panel.workbench)
    qtbot.waitUntil(lambda: panel.workbench.session not in (None, before))
    volume = panel.workbench.session.volume
    assert volume.array.shape == SLICES.shape
    assert sorted(np.unique(volume.array)) == sorted(np.unique(SLICES))
    monkeypatch.setattr(
        QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "no.nii.gz")], "")
    )
    ask_for_files(panel, panel.workbench)
    assert "no.nii.gz" in panel._status.text()


def test_the_menu_is_called_the_same_everywhere():
    root = Path(__file__).resolve().parents[2]
    manifest = (root / "napari_dinomed" / "napari.yaml").read_text()
    named = "Segment by clicking (DINOMed)"
    assert f"title: {named}" in manifest
    assert "display_name: Segment by clicking\n" in manifest
    for page in ("README.md", "docs/get-started.md"):
        assert f"*{named}*" in (root / page).read_text()

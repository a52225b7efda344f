"""A real napari window: real mouse clicks on the canvas, the real engine process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

import numpy as np
import psutil
import pytest
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from napari._qt.widgets.qt_viewer_dock_widget import QtViewerDockWidget
from napari.layers import Labels
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QLocale, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QColor, QDropEvent, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QColorDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QMenu,
    QMessageBox,
)

from napari_dinomed.annotation.continuing import continued_from
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.messages import EncodeVolume, Progress, SegmentVolume, Stage
from napari_dinomed.engine.place import Place
from napari_dinomed.io import read_labels
from napari_dinomed.plugin import orientation
from napari_dinomed.plugin.labels_table import Column
from napari_dinomed.plugin.panel import Panel
from napari_dinomed.session.activity import Phase
from tests.fakes import FakeEngine
from tests.io import made

pytestmark = [
    pytest.mark.display,
    pytest.mark.skipif(
        sys.platform.startswith("linux")
        and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
        reason="needs a display; run under xvfb-run",
    ),
]
TIMEOUT = 120_000
SPLEEN_BOUND = 0.5


@pytest.fixture
def open_panel(make_napari_viewer, qtbot):
    panels = []

    def open_on(path_or_layer, engine=None):
        viewer = make_napari_viewer(show=True)
        if isinstance(path_or_layer, dict):
            viewer.add_image(**path_or_layer)
        else:
            viewer.open(str(path_or_layer), plugin="napari-dinomed")
        panel = Panel(viewer, engine)
        panels.append(panel)
        viewer.window.add_dock_widget(panel, area="right")
        viewer.window.resize(1200, 800)
        qtbot.wait(300)
        return viewer, panel

    yield open_on
    for panel in panels:
        panel.shut_down()


def canvas_position(viewer, layer, voxel) -> QPoint:
    """Where on the canvas a voxel of the plane in view is drawn."""
    world = np.array(layer.data_to_world(voxel))[list(viewer.dims.displayed)]
    canvas = viewer.window._qt_viewer.canvas
    transform = canvas.view.scene.transform
    x, y = transform.map([world[1], world[0]])[:2]
    return QPoint(round(x), round(y))


def click_on(qtbot, viewer, layer, voxel, button=Qt.MouseButton.LeftButton) -> None:
    """A press and a release of a button on the canvas over a voxel."""
    (axis,) = viewer.dims.not_displayed
    viewer.dims.set_point(axis, layer.data_to_world(voxel)[axis])
    qtbot.wait(150)
    native = viewer.window._qt_viewer.canvas.native
    place = canvas_position(viewer, layer, voxel)
    QTest.mouseMove(native, place)
    qtbot.wait(30)
    for kind, buttons in (
        (QEvent.Type.MouseButtonPress, button),
        (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton),
    ):
        event = QMouseEvent(
            kind,
            QPointF(place),
            QPointF(native.mapToGlobal(place)),
            button,
            buttons,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(native, event)
        qtbot.wait(30)


def settled(qtbot, panel) -> None:
    """Wait until features are there and no answer is on its way."""

    def is_settled():
        session = panel.workbench.session
        return (
            session.computing.activity.phase is Phase.READY and not session.document.waiting
        )

    qtbot.waitUntil(is_settled, timeout=TIMEOUT)


def shown(panel) -> np.ndarray:
    return np.asarray(panel.workbench.sheet.result.layer.data)


def test_the_whole_job(open_panel, qtbot, shared_data, tmp_path):
    """Open a CT, click the spleen and the background, get the spleen, save it."""
    scan = shared_data / "ct_abdomen" / "example_ct_sm.nii.gz"
    viewer, panel = open_panel(shutil.copy(scan, tmp_path))
    workbench = panel.workbench
    expert, _ = read_labels(shared_data / "ct_abdomen" / "example_seg.nii.gz")
    spleen = expert == 1
    panel.image_box.compute.click()
    settled(qtbot, panel)
    inside = [tuple(np.argwhere(spleen)[i]) for i in _deepest(spleen)]
    for voxel in inside:
        click_on(qtbot, viewer, workbench.sheet.result.layer, voxel)
        settled(qtbot, panel)
    first, second = _around(spleen)
    right = Qt.MouseButton.RightButton
    click_on(qtbot, viewer, workbench.sheet.result.layer, first, right)
    settled(qtbot, panel)
    panel.prompts_box.exclude.click()
    click_on(qtbot, viewer, workbench.sheet.result.layer, second)
    settled(qtbot, panel)
    points = workbench.session.document.prompts.points
    assert [p.voxel for p in points[: len(inside)]] == inside
    assert [p.include for p in points] == [True] * len(inside) + [False] * 2
    reached = dice(spleen, shown(panel) == 1)
    assert reached > SPLEEN_BOUND, reached
    workbench.exchange.save_labels(tmp_path / "labels.nii.gz")
    qtbot.waitUntil((tmp_path / "labels.nii.gz").exists, timeout=TIMEOUT)
    saved, _ = read_labels(tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(saved, shown(panel))
    assert cell(panel, 0, Column.VOLUME)[1] == f"{(saved == 1).sum():,} voxels"
    for _ in range(9):
        panel.prompts_box.undo.click()
    assert not shown(panel).any()


def cell(panel, place, column) -> tuple[str, str]:
    """What a cell of the table of labels says, and its tool tip."""
    index = panel.labels_box.model.index(place, column)
    roles = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
    return tuple(panel.labels_box.model.data(index, role) for role in roles)


def names(panel) -> list[str]:
    """Of the labels, as the table shows them."""
    rows = range(panel.labels_box.model.rowCount())
    return [cell(panel, place, Column.NAME)[0] for place in rows]


def press_cell(panel, place, column, press=QTest.mouseClick) -> None:
    """A press of the left button on a cell of the table of labels."""
    table = panel.labels_box.table
    centre = table.visualRect(table.model().index(place, column)).center()
    press(table.viewport(), Qt.MouseButton.LeftButton, pos=centre)


def name_editor(panel):
    """The field in which a name is being typed; None where none is."""
    return panel.labels_box.table.viewport().findChild(QLineEdit)


def _deepest(mask) -> list[int]:
    """Indices of the deepest voxel, and of a deep one eight voxels or more from it."""
    from scipy import ndimage

    voxels = np.argwhere(mask)
    depth = ndimage.distance_transform_edt(mask)[tuple(voxels.T)]
    chosen: list[int] = []
    for _ in range(2):
        chosen.append(int(np.argmax(depth)))
        away = np.linalg.norm(voxels - voxels[chosen[-1]], axis=1)
        depth = np.where(away >= 8, depth, 0)
    return chosen


def _around(mask) -> list[tuple[int, ...]]:
    """Two voxels of the background, eight pixels from the mask, on its middle slice."""
    from scipy import ndimage

    middle = int(np.argmax(mask.sum((1, 2))))
    distance = ndimage.distance_transform_edt(~mask[middle])
    ring = np.argwhere((distance > 7.5) & (distance < 8.5))
    return [(middle, *map(int, ring[i])) for i in (0, len(ring) // 2)]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_a_click_lands_on_the_right_voxel_of_an_anisotropic_volume(
    open_panel, qtbot, order
):
    array = np.random.default_rng(0).integers(0, 255, (12, 60, 80)).astype(np.int16)
    options = {"data": array, "scale": (3, 0.7, 0.7), "units": ("mm",) * 3}
    options["translate"] = (-20.0, 5.0, 9.0)
    viewer, panel = open_panel(options, FakeEngine())
    viewer.dims.order = order
    viewer.reset_view()
    for voxel in ((7, 20, 30), (3, 41, 66)):
        click_on(qtbot, viewer, panel.workbench.sheet.result.layer, voxel)

    def points():
        return panel.workbench.session.document.prompts.points

    qtbot.waitUntil(lambda: len(points()) == 2)
    assert [p.voxel for p in points()] == [(7, 20, 30), (3, 41, 66)]


def test_the_panel_says_where_it_computes_and_where_voxels_go(
    open_panel, qtbot, ball_volume
):
    volume, _ = ball_volume
    where = "NVIDIA H100 on gpubox, 12 ms away"
    engine = FakeEngine(place=Place.of("ssh gpubox napari-dinomed engine"), where=where)
    _, panel = open_panel({"data": volume.array}, engine)
    assert "sent to gpubox" in panel._status.text()
    QTest.mouseClick(panel.image_box.compute, Qt.MouseButton.LeftButton)
    said = f"Features ready · {where}"
    qtbot.waitUntil(lambda: panel.image_box.state.text() == said)
    # The first is still open: the same volume could only be looked at.
    _, panel = open_panel({"data": volume.array + 1}, FakeEngine())
    assert "Nothing leaves this machine" in panel._status.text()


def test_the_panel_shows_and_changes_labels(open_panel, qtbot, ball_volume, monkeypatch):
    volume, _ = ball_volume
    _, panel = open_panel({"data": volume.array}, FakeEngine())
    box, document = panel.labels_box, lambda: panel.workbench.session.document
    assert names(panel) == ["Label 1"]
    QTest.mouseClick(box.add, Qt.MouseButton.LeftButton)
    assert names(panel) == ["Label 1", "Label 2"]
    assert box.table.currentIndex().row() == 1
    QTest.keyClick(box.table, Qt.Key.Key_F2)
    QTest.keyClicks(name_editor(panel), "tumour")
    QTest.keyClick(name_editor(panel), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: document().find(2).name == "tumour")
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor(255, 0, 0))
    press_cell(panel, 0, Column.COLOR)
    assert panel.workbench.hand.label == 1
    assert document().find(1).color == (1.0, 0.0, 0.0)
    press_cell(panel, 0, Column.STATE)
    assert document().find(1).is_done
    assert not box.remove.isEnabled()
    press_cell(panel, 0, Column.STATE)
    QTest.keyClick(box.table, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert names(panel) == ["tumour", "Label 1"]
    QTest.keyClick(box.table, Qt.Key.Key_Delete)
    assert names(panel) == ["tumour"]
    for _ in range(7):
        panel.prompts_box.undo.click()
    assert names(panel) == ["Label 1"]
    assert not panel.prompts_box.undo.isEnabled()


def test_figures_follow_the_hand_and_labels_merge(open_panel, qtbot, ball_volume, tmp_path):
    volume, _ = ball_volume
    _, panel = open_panel({"data": volume.array}, FakeEngine())
    workbench = panel.workbench
    layer = workbench.sheet.result.layer
    for label, rows in ((1, slice(5, 9)), (2, slice(20, 30))):
        if label == 2:
            workbench.labels.add()
        where = np.nonzero(np.ones((1, rows.stop - rows.start, 8), bool))
        layer.data_setitem((where[0] + 3, where[1] + rows.start, where[2] + 4), label)
        painted = volume.array[3, rows, 4:12]
        text = f"{painted.mean():.0f} ± "
        place = label - 1
        qtbot.waitUntil(
            lambda p=place, t=text: cell(panel, p, Column.GREY)[0].startswith(t)
        )
    workbench.exchange.save_statistics(tmp_path / "a.csv")
    qtbot.waitUntil((tmp_path / "a.csv").exists)
    assert (tmp_path / "a.csv").read_text().count("\n") == 3
    menu = QMenu()
    panel.labels_box._fill_merge(menu)
    (action,) = menu.actions()
    action.trigger()
    assert names(panel) == ["Label 1"]
    assert workbench.session.document.mask(1).count == 32 + 80
    panel.prompts_box.undo.click()
    assert workbench.session.document.mask(2).count == 80


def test_errors_are_messages_and_the_window_lives_on(open_panel, qtbot):
    flat = np.zeros((3, 20, 30), np.int16)
    _, panel = open_panel({"data": flat}, FakeEngine())
    assert "constant" in panel._status.text()
    assert panel.workbench.session is None
    assert not panel.prompts_box.isEnabled()


def escape(viewer):
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Escape)


@pytest.mark.parametrize("by", ["button", "key"])
def test_cancelling_gives_the_button_back(open_panel, ball_volume, by):
    volume, _ = ball_volume
    engine = FakeEngine(holds=(EncodeVolume,))
    viewer, panel = open_panel({"data": volume.array}, engine)
    panel.image_box.compute.click()
    assert panel.image_box.cancel.isVisible()
    assert not panel.image_box.compute.isEnabled()
    if by == "button":
        panel.image_box.cancel.click()
    else:
        escape(viewer)
    assert panel.image_box.compute.isEnabled()
    assert not panel.image_box.cancel.isVisible()


def test_esc_cancels_on_every_layer_but_drops_what_is_being_drawn_first(
    open_panel, ball_volume
):
    volume, _ = ball_volume
    engine = FakeEngine(holds=(EncodeVolume,))
    viewer, panel = open_panel({"data": volume.array}, engine)
    own = [layer for layer in panel.workbench.sheet.layers if layer in viewer.layers]
    assert any(isinstance(layer, Labels) for layer in own)
    for layer in own:
        panel.image_box.compute.click()
        viewer.layers.selection.active = layer
        if isinstance(layer, Labels):
            layer.mode = "polygon"
            layer._overlays["polygon"].points = [(3, 1, 1), (3, 9, 9)]
            escape(viewer)
            assert layer._overlays["polygon"].points == []
            assert not panel.image_box.compute.isEnabled()
            layer.mode = "pan_zoom"
            viewer.layers.selection.active = layer
        escape(viewer)
        assert panel.image_box.compute.isEnabled(), layer.name


def dock_of(viewer, panel):
    return next(
        dock
        for dock in viewer.window._qt_window.findChildren(QtViewerDockWidget)
        if dock.widget() is panel
    )


def engines() -> list[int]:
    """Engine processes of this one."""
    found = []
    for child in psutil.Process().children(recursive=True):
        # One that has just ended may still be listed.
        with contextlib.suppress(psutil.Error):
            if "napari_dinomed.engine" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def test_closing_the_viewer_with_an_image_open_returns(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    viewer, panel = open_panel({"data": volume.array}, FakeEngine())
    viewer.close()
    qtbot.waitUntil(lambda: panel.workbench.session is None)
    assert list(viewer.layers) == []


def test_deleting_all_layers_leaves_a_panel_that_works(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    viewer, panel = open_panel({"data": volume.array}, FakeEngine())
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    qtbot.waitUntil(lambda: not panel.prompts_box.isEnabled())
    assert list(viewer.layers) == []
    assert not panel.image_box.compute.isEnabled()
    viewer.add_image(volume.array, name="again")
    qtbot.waitUntil(panel.prompts_box.isEnabled)
    click_on(qtbot, viewer, panel.workbench.sheet.result.layer, (8, 24, 30))
    qtbot.waitUntil(lambda: shown(panel).any())


def test_an_image_opened_after_the_panel_takes_the_first_click(
    make_napari_viewer, qtbot, ball_volume
):
    volume, _ = ball_volume
    viewer = make_napari_viewer(show=True)
    panel = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(panel, area="right")
    viewer.add_image(volume.array)
    qtbot.wait(300)
    click_on(qtbot, viewer, panel.workbench.sheet.result.layer, (8, 24, 30))
    qtbot.waitUntil(lambda: shown(panel).any())
    panel.shut_down()


def test_closing_the_dock_leaves_nothing_behind(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    viewer, panel = open_panel({"data": volume.array, "name": "ct"}, FakeEngine())
    dock_of(viewer, panel).title.close_button.click()
    qtbot.waitUntil(lambda: panel.workbench.is_closed)
    assert [layer.name for layer in viewer.layers] == ["ct"]
    again = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(again, area="right")
    qtbot.waitUntil(lambda: again.workbench.session is not None)
    assert not again.workbench.session.is_read_only
    again.shut_down()


def test_viewers_share_one_engine_which_ends_with_the_last(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    _, one = open_panel({"data": volume.array})
    _, two = open_panel({"data": volume.array + 1})
    for panel in (one, two):
        panel.image_box.compute.click()
    for panel in (one, two):
        settled(qtbot, panel)
    # It, and maybe the spare one that takes its place if it dies.
    assert 1 <= len(engines()) <= 2
    one.shut_down()
    assert 1 <= len(engines()) <= 2
    two.shut_down()
    qtbot.waitUntil(lambda: not engines(), timeout=TIMEOUT)


def test_a_name_is_typed_to_its_end_while_answers_come(open_panel, qtbot, ball_volume):
    """Rows stay where they are, and so does what is being typed."""
    volume, _ = ball_volume
    engine = FakeEngine(holds=(SegmentVolume,))
    viewer, panel = open_panel({"data": volume.array}, engine)
    click_on(qtbot, viewer, panel.workbench.sheet.result.layer, (8, 24, 30))
    qtbot.waitUntil(lambda: bool(engine.of(SegmentVolume)))
    press_cell(panel, 0, Column.NAME)
    press_cell(panel, 0, Column.NAME, QTest.mouseDClick)
    editor = name_editor(panel)
    place = editor.mapToGlobal(QPoint(0, 0))
    QTest.keyClicks(editor, "Nie")
    engine.of(SegmentVolume)[-1].answer()
    qtbot.waitUntil(lambda: cell(panel, 0, Column.VOLUME)[0] != "…")
    assert name_editor(panel) is editor
    assert editor.mapToGlobal(QPoint(0, 0)) == place
    QTest.keyClicks(editor, "re 1")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: names(panel) == ["Niere 1"])
    document = panel.workbench.session.document
    assert [label.name for label in document.labels] == ["Niere 1"]
    assert not document.find(1).is_done
    # The table deletes the field, at once or a little later.
    qtbot.waitUntil(lambda: name_editor(panel) is None)


def test_progress_shows_and_goes_without_moving_anything(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    engine = FakeEngine(holds=(EncodeVolume,))
    _, panel = open_panel({"data": volume.array}, engine)
    row = panel.labels_box.table
    place = row.mapToGlobal(QPoint(0, 0))
    panel.image_box.compute.click()
    qtbot.waitUntil(panel.image_box.bar.isVisible)
    assert row.mapToGlobal(QPoint(0, 0)) == place
    panel.image_box.cancel.click()
    engine.of(EncodeVolume)[0].on_event(Progress(3, 16, Stage.SLICES))
    qtbot.waitUntil(panel.image_box.bar.isHidden)
    assert panel.image_box.compute.isEnabled()


def test_a_stroke_within_the_label_is_the_hands(open_panel, qtbot, ball_volume):
    """It changes no voxel, but none of it may go with a later answer."""
    volume, _ = ball_volume
    viewer, panel = open_panel({"data": volume.array}, FakeEngine())
    layer = panel.workbench.sheet.result.layer
    click_on(qtbot, viewer, layer, (8, 24, 30))
    qtbot.waitUntil(lambda: bool(shown(panel).any()))
    panel.prompts_box.brush.click()
    layer.brush_size = 3
    click_on(qtbot, viewer, layer, (8, 24, 30))
    qtbot.waitUntil(lambda: panel.prompts_box.undo.text() == "Undo: paint on Label 1")
    assert (8, 24, 30) in panel.workbench.session.document.hand


def test_many_labels_do_not_make_the_window_grow(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    viewer, panel = open_panel({"data": volume.array}, FakeEngine())
    height = panel.minimumSizeHint().height()
    labels = np.arange(volume.array.size).reshape(volume.array.shape) % 60
    session = panel.workbench.session
    session.change(continued_from(session.document, labels, ()), "labels")
    qtbot.waitUntil(lambda: len(names(panel)) == 59)
    qtbot.wait(100)
    assert panel.minimumSizeHint().height() == height < 400
    assert viewer.window._qt_window.height() <= 1000


def test_the_table_hides_labels_and_counts_their_parts(open_panel, qtbot, ball_volume):
    _, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    session = panel.workbench.session
    labels = np.zeros(ball_volume[0].array.shape, np.uint8)
    labels[2:4, 5:9, 5:9] = labels[10:12, 5:9, 5:9] = 1
    session.change(continued_from(session.document, labels, ()), "two parts")
    qtbot.waitUntil(lambda: cell(panel, 0, Column.THINGS)[0] == "2")
    model = panel.labels_box.model
    seen = model.index(0, Column.SEEN)
    assert model.data(seen, Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
    press_cell(panel, 0, Column.SEEN)
    assert panel.workbench.labels.hidden == {session.document.labels[0].id}
    assert model.data(seen, Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Unchecked
    press_cell(panel, 0, Column.SEEN)
    assert not panel.workbench.labels.hidden


def test_buttons_above_the_table_stay_where_they_are(open_panel, qtbot, ball_volume):
    _, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    add = panel.labels_box.add
    before = add.mapTo(panel, QPoint(0, 0))
    for _ in range(4):
        add.click()
    qtbot.wait(100)
    assert add.mapTo(panel, QPoint(0, 0)) == before
    assert len(names(panel)) == 5


def test_buttons_hold_their_words_in_a_larger_font(open_panel, qtbot, ball_volume):
    _, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    made = panel.result_box.statistics
    panel.setStyleSheet("QPushButton { font-size: 24pt }")
    qtbot.wait(100)
    assert made.width() > made.fontMetrics().horizontalAdvance(made.text())


def test_what_was_said_goes_with_a_later_act(open_panel, ball_volume, monkeypatch):
    _, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    now = [100.0]
    monkeypatch.setattr("napari_dinomed.plugin.panel.time.monotonic", lambda: now[0])
    panel.workbench.said.emit("Saved it")
    panel.labels_box.add.click()
    assert panel._status.text() == "Saved it"
    now[0] += 60
    panel.labels_box.add.click()
    assert "Saved" not in panel._status.text()


def test_an_image_is_listed_under_the_name_that_it_is_given(open_panel, qtbot, ball_volume):
    _, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    panel.workbench.image.name = "liver phase"
    images = panel.image_box.images
    qtbot.waitUntil(lambda: images.currentText() == "liver phase")
    assert images.count() == 1


def test_a_file_that_the_dialog_did_not_ask_about_is_asked_about(
    open_panel, qtbot, ball_volume, tmp_path, monkeypatch
):
    volume, _ = ball_volume
    (tmp_path / "keep.nii.gz").write_bytes(b"somebody's")
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "keep"), "NIfTI (*.nii)")
    )
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    _, panel = open_panel({"data": volume.array}, FakeEngine())
    panel.result_box.save.click()
    assert (tmp_path / "keep.nii.gz").read_bytes() == b"somebody's"


def test_undo_says_what_it_takes_back(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    viewer, panel = open_panel({"data": volume.array}, FakeEngine())
    assert not panel.prompts_box.undo.isEnabled()
    click_on(qtbot, viewer, panel.workbench.sheet.result.layer, (8, 24, 30))
    qtbot.waitUntil(panel.prompts_box.undo.isEnabled)
    assert panel.prompts_box.undo.text() == "Undo: 1st click on Label 1"
    panel.prompts_box.undo.click()
    assert panel.prompts_box.redo.text() == "Redo: 1st click on Label 1"


def test_several_steps_are_taken_back_and_made_again_at_once(open_panel, ball_volume):
    volume, _ = ball_volume
    _, panel = open_panel({"data": volume.array}, FakeEngine())
    for _ in range(3):
        panel.workbench.labels.add()
    menu, session = panel.prompts_box.steps.menu(), panel.workbench.session
    before = session.document

    def listed():
        menu.aboutToShow.emit()
        return [action for action in menu.actions() if action.text()]

    assert [action.text() for action in listed()] == ["Undo: new label"] * 3
    listed()[1].trigger()
    assert len(session.document.labels) == 2
    assert [one.text()[:4] for one in listed()] == ["Redo", "Redo", "Undo"]
    listed()[0].trigger()
    assert session.document == before


@pytest.mark.parametrize("language", ["de_DE", "en_US"])
@pytest.mark.parametrize("typed", ["2,5", "2.5"])
def test_a_comma_is_a_point_in_any_language(open_panel, ball_volume, language, typed):
    volume, _ = ball_volume
    usual = QLocale()
    QLocale.setDefault(QLocale(language))
    try:
        _, panel = open_panel({"data": volume.array}, FakeEngine())
        box = panel.finish_box
        box.fold.setChecked(True)
        box.tools.setCurrentText("Grow")
        (amount,) = box.options.values()
        amount.selectAll()
        QTest.keyClicks(amount, typed)
        amount.interpretText()
        assert amount.value() == 2.5
        threshold = panel.result_box.threshold
        (line,) = threshold.findChildren(QLineEdit)
        line.selectAll()
        QTest.keyClicks(line, typed.replace("2", "0"))
        QTest.keyClick(line, Qt.Key.Key_Return)
        assert threshold.value() == 0.5
    finally:
        QLocale.setDefault(usual)


def test_the_display_is_not_what_the_encoder_sees(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    engine = FakeEngine()
    _, panel = open_panel({"data": volume.array}, engine)
    panel.image_box.compute.click()
    qtbot.waitUntil(lambda: len(engine.of(EncodeVolume)) == 1)
    box = panel.sight_box.display
    box.setCurrentIndex(box.findData("bone"))
    box.activated.emit(box.currentIndex())
    session = panel.workbench.session
    qtbot.waitUntil(lambda: session.computing.is_encoded)
    assert tuple(panel.workbench.image.contrast_limits) == (-500, 1300)
    assert session.document.choices.window == ""


def test_weights_that_are_refused_do_not_stay_chosen(
    open_panel, qtbot, ball_volume, tmp_path, monkeypatch
):
    volume, _ = ball_volume
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "a.safetensors"), "")
    )
    _, panel = open_panel({"data": volume.array})
    box = panel.image_box.encoders
    qtbot.waitUntil(lambda: box.count() > 2, timeout=TIMEOUT)
    box.setCurrentIndex(box.count() - 1)
    box.activated.emit(box.currentIndex())
    panel.image_box.compute.click()
    qtbot.waitUntil(lambda: "a.safetensors" in panel._status.text(), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: box.currentData() == "filters")


def test_what_is_not_possible_now_is_no_fault_of_the_program(
    open_panel, ball_volume, tmp_path
):
    _, panel = open_panel({"data": ball_volume[0].array}, FakeEngine())
    panel.workbench.viewport.suggest()
    legend = panel.labels_box.legend
    panel.workbench.attempt(lambda: legend.read(tmp_path / "none.txt"))
    refusal, fault = notification_manager.records[-2:]
    assert (refusal.severity, fault.severity) == ("warning", "error")
    assert refusal.message.startswith("Click on Label 1 first")
    assert "none.txt" in panel._status.text()


def test_where_labels_would_be_saved(open_panel, qtbot, tmp_path, monkeypatch):
    affine = np.diag([1.0, 1, 1, 1])
    scan = made.write_nrrd(tmp_path / "DOE.1.nrrd", SLICES, affine)
    _, panel = open_panel(scan)
    offered = []

    def choose(_, __, suggested, formats):
        offered.append((suggested, formats))
        return str(tmp_path / "out.seg.nrrd"), "NRRD (*.seg.nrrd)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    session = panel.workbench.session
    painted = session.document.with_edit(Mask.of(np.ones((1, 2, 2), bool)), 1)
    session.change(painted, "paint")
    panel.result_box.save.click()
    # Only what went well is remembered.
    exchange = panel.workbench.exchange
    qtbot.waitUntil(lambda: exchange.usual_suffix == ".seg.nrrd", timeout=TIMEOUT)
    panel.result_box.save.click()
    assert offered[0][0] == str(tmp_path / "DOE.1-labels.nii.gz")
    assert offered[1][0] == str(tmp_path / "DOE.1-labels.seg.nrrd")
    qtbot.waitUntil((tmp_path / "out.seg.nrrd").exists, timeout=TIMEOUT)


def test_a_surface_is_named_after_its_label(open_panel, tmp_path, ball_volume):
    path = tmp_path / "scan.nrrd"
    made.write_nrrd(path, ball_volume[0].array, np.diag([1.0, 1, 1, 1]))
    _, panel = open_panel(path)
    exchange, labels = panel.workbench.exchange, panel.workbench.labels
    labels.change(1, name="left kidney / cyst?")
    suggested = exchange.suggested_path(".stl", exchange.label_mark)
    assert suggested == tmp_path / "scan-left-kidney-cyst.stl"


def test_learning_shows_how_far_it_is_until_labels_come(open_panel, qtbot, ball_volume):
    volume, _ = ball_volume
    engine = FakeEngine(holds=(SegmentVolume,))
    _, panel = open_panel({"data": volume.array}, engine)
    panel.workbench.sheet.prompts.layer.add(np.array([[5.0, 20.0, 30.0]]))
    qtbot.waitUntil(lambda: len(engine.of(SegmentVolume)) == 1)
    asked = engine.of(SegmentVolume)[-1]
    asked.on_event(Progress(3, 300, Stage.LESSONS))
    qtbot.waitUntil(lambda: "lessons" in panel.image_box.bar.format())
    assert panel.image_box.bar.isVisible()
    asked.answer()
    qtbot.waitUntil(panel.image_box.bar.isHidden)
    assert panel.image_box.compute.isEnabled()


def test_no_torch_in_the_windows_process():
    """The demo up to its first labels, in a process of its own."""
    code = (
        "import sys, time, napari\n"
        "from napari_dinomed import demo\n"
        "from qtpy.QtWidgets import QApplication\n"
        "viewer = napari.Viewer()\n"
        "panel = demo.fill(viewer, demo.find_sample('em'))\n"
        "document = lambda: panel.workbench.session.document\n"
        "done = lambda: document().prompts and not document().waiting\n"
        "end = time.monotonic() + 280\n"
        "while not done() and time.monotonic() < end:\n"
        "    QApplication.instance().processEvents(); time.sleep(0.01)\n"
        "assert document().masks\n"
        "panel.shut_down(); viewer.close()\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'timm' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_python_ends_with_a_window_open():
    """As a script does that fails: nothing is said on a canvas that is gone."""
    code = (
        "import napari\n"
        "from napari_dinomed import demo\n"
        "from qtpy.QtCore import QEventLoop, QTimer\n"
        "viewer = napari.Viewer()\n"
        "panel = demo.fill(viewer, demo.find_sample('em'))\n"
        "loop = QEventLoop()\n"
        "QTimer.singleShot(500, loop.quit)\n"
        "loop.exec()\n"
        "assert panel.workbench.session.document.prompts\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr


def drop(viewer, paths) -> None:
    """Drop files or folders on the window, as a file manager does."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    qt_viewer = viewer.window._qt_viewer
    event = QDropEvent(
        QPointF(50, 50),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    qt_viewer.dropEvent(event)


def answer_napari() -> None:
    """napari asks which plugin shall read a folder; the first choice is taken."""
    dialogs = [
        widget
        for widget in QApplication.topLevelWidgets()
        if isinstance(widget, QtReaderDialog) and widget.isVisible()
    ]
    for dialog in dialogs:
        assert dialog.reader_btn_group.checkedButton().text() == "DINOMed"
        button = dialog.btn_box.button(QDialogButtonBox.StandardButton.Ok)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)


SLICES = np.random.default_rng(0).integers(-900, 900, (6, 40, 44)).astype(np.int16)
AXIAL = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -9], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("what", ["folder", "zip", "all slices"])
def test_a_series_is_dropped_on_the_window(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, what
):
    """As a folder, as a zip, or as all its files, which napari opens one by one."""
    monkeypatch.setattr(orientation, "is_neurological", lambda: False)
    folder = made.write_dicom(tmp_path / "study", SLICES, AXIAL)
    paths = [folder]
    if what == "zip":
        paths = [shutil.make_archive(tmp_path / "study", "zip", folder)]
    elif what == "all slices":
        paths = sorted(folder.iterdir())
    viewer = make_napari_viewer(show=True)
    QTimer.singleShot(1000, answer_napari)
    drop(viewer, paths)
    qtbot.wait(300)
    (layer,) = viewer.layers
    assert layer.data.shape == (6, 40, 44)
    assert tuple(layer.scale) == pytest.approx((2.5, 0.8, 0.7))
    letters = {
        key.removeprefix("dinomed_"): overlay.text
        for key, overlay in viewer.canvas.overlays.items()
        if key.startswith("dinomed_") and overlay.visible
    }
    assert letters == {
        "top_center": "A",
        "bottom_center": "P",
        "middle_left": "R",
        "middle_right": "L",
    }
    assert viewer.canvas.overlays.scale_bar.visible

"""Two panels in one viewer: one works, the other looks until it takes over."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_dinomed.plugin.panel import Panel
from tests.fakes import FakeEngine
from tests.plugin.test_window import (  # noqa: F401
    click_on,
    dock_of,
    open_panel,
    pytestmark,
    shown,
)

INSIDE, OTHER = (8, 24, 30), (3, 10, 40)


def is_at_rest(panel):
    """Whether clicks were made, and the answers to all of them are on disk."""
    session = panel.workbench.session
    asked = session.document.prompts.points
    return asked and not session.document.waiting and session.keeping.is_saved


@pytest.fixture
def panels(open_panel, qtbot, ball_volume):  # noqa: F811
    volume, _ = ball_volume
    viewer, first = open_panel({"data": volume.array, "name": "ct"}, FakeEngine())
    click_on(qtbot, viewer, first.workbench.sheet.result.layer, INSIDE)
    qtbot.waitUntil(lambda: is_at_rest(first))
    second = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(second, area="right")
    qtbot.waitUntil(lambda: second.workbench.session is not None)
    yield viewer, first, second
    second.shut_down()


def points_of(panel):
    return [one.voxel for one in panel.workbench.session.document.prompts.points]


def take_over(qtbot, panel):
    QTest.mouseClick(panel.result_box.take_over, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.workbench.session.is_read_only)


def notice(qtbot, panel):
    """Have it come to know that another took over."""
    panel.labels_box.add.click()
    qtbot.waitUntil(lambda: panel.workbench.session.is_read_only)


def test_the_second_only_looks_and_says_so(panels, qtbot):
    viewer, first, second = panels
    assert second.workbench.session.is_read_only
    assert not first.workbench.session.is_read_only
    assert "another window" in second._status.text()
    assert second.result_box.take_over.isVisibleTo(second)
    assert not first.result_box.take_over.isVisibleTo(first)
    assert (shown(second) == shown(first)).all()
    click_on(qtbot, viewer, second.workbench.sheet.result.layer, OTHER)
    qtbot.waitUntil(lambda: "only looks" in second._status.text())
    assert points_of(first) == points_of(second) == [INSIDE]
    assert len(second.workbench.sheet.prompts.layer.data) == 1


def test_the_button_takes_over_and_the_first_only_looks(panels, qtbot):
    viewer, first, second = panels
    take_over(qtbot, second)
    assert not second.result_box.take_over.isVisibleTo(second)
    click_on(qtbot, viewer, second.workbench.sheet.result.layer, OTHER)
    qtbot.waitUntil(lambda: points_of(second) == [INSIDE, OTHER])
    notice(qtbot, first)
    assert "Another window" in first._status.text()
    assert first.result_box.take_over.isVisibleTo(first)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["first", "second"])
def test_both_close_cleanly(panels, qtbot, order):
    viewer, *both = panels
    take_over(qtbot, both[1])
    notice(qtbot, both[0])
    early, late = (both[n - 1] for n in order)
    dock_of(viewer, early).title.close_button.click()
    qtbot.waitUntil(lambda: early.workbench.is_closed)
    # What is left is the other's, and at work.
    assert late.workbench.sheet.result.layer in viewer.layers
    assert len(viewer.layers) == 3
    if late.workbench.session.is_read_only:
        take_over(qtbot, late)
    late.prompts_box.points.click()
    click_on(qtbot, viewer, late.workbench.sheet.result.layer, OTHER)
    qtbot.waitUntil(lambda: OTHER in points_of(late))
    dock_of(viewer, late).title.close_button.click()
    qtbot.waitUntil(lambda: late.workbench.is_closed)
    assert [layer.name for layer in viewer.layers] == ["ct"]
    again = Panel(viewer, FakeEngine())
    qtbot.waitUntil(lambda: again.workbench.session is not None)
    assert not again.workbench.session.is_read_only
    assert points_of(again) == [INSIDE, OTHER]
    again.shut_down()

"""The table of labels: what its menus do, and how it writes volumes."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QMenu

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.plugin.labels_box import LabelsBox, NameEdit
from napari_dinomed.plugin.labels_table import Column, readable
from tests.plugin.conftest import needs_display
from tests.plugin.test_workbench import document


@pytest.fixture
def box(bench, qtbot):
    """Two labels, the first of which is in use."""
    made = LabelsBox(bench)
    qtbot.addWidget(made)
    made.show()
    bench.bound.emit()
    bench.labels.add()
    bench.hand.aim(1)
    return made


@pytest.fixture
def choose(monkeypatch):
    """Have menus that come up answered by the entry of a name; what they offered."""

    def answer(*path):
        offered = []

        def take(menu, *_):
            for text in path:
                entries = {action.text(): action for action in menu.actions()}
                offered.append(
                    [text for text, entry in entries.items() if entry.isEnabled()]
                )
                menu = entries[text].menu()
            entries[path[-1]].trigger()

        monkeypatch.setattr(QMenu, "exec", take)
        return offered

    return answer


@needs_display
def test_a_click_on_what_a_click_is_changes_it(box, bench, choose):
    offered = choose("all alike")
    box.table.clicked.emit(box.model.index(0, Column.MEANING))
    assert offered == [["object", "all alike"]]
    assert document(bench).find(1).meaning is Meaning.ALL_LIKE_THIS
    assert document(bench).find(2).meaning is Meaning.OBJECT
    choose("object")
    box.table.clicked.emit(box.model.index(0, Column.MEANING))
    assert document(bench).find(1).meaning is Meaning.OBJECT


@needs_display
def test_a_menu_that_is_left_changes_nothing(box, bench, monkeypatch):
    before = document(bench)
    monkeypatch.setattr(QMenu, "exec", lambda *_: None)
    box.table.clicked.emit(box.model.index(0, Column.MEANING))
    box.table.customContextMenuRequested.emit(QPoint(5, 5))
    assert document(bench) == before


def ask_for_menu(box):
    box.table.customContextMenuRequested.emit(QPoint(5, 5))


@needs_display
def test_the_menu_has_all_that_can_be_done_with_a_label(box, choose):
    offered = choose("Merge", "Into Label 2")
    ask_for_menu(box)
    assert offered[0] == [
        "Rename (F2)",
        "Colour…",
        "Hide, or show again",
        "A click is",
        "Merge",
        "Lock, or open again",
        "Remove (Delete)",
    ]


@needs_display
def test_the_menu_renames(box, choose):
    choose("Rename (F2)")
    ask_for_menu(box)
    assert box.table.viewport().findChild(NameEdit).text() == "Label 1"


@needs_display
def test_the_menu_changes_the_colour(box, bench, choose, monkeypatch):
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor(255, 0, 0))
    choose("Colour…")
    ask_for_menu(box)
    assert document(bench).find(1).color == (1.0, 0.0, 0.0)


@needs_display
def test_the_menu_hides_and_shows_again(box, bench, choose):
    choose("Hide, or show again")
    ask_for_menu(box)
    assert bench.labels.hidden == {1}
    ask_for_menu(box)
    assert not bench.labels.hidden


@needs_display
def test_the_menu_says_what_a_click_is(box, bench, choose):
    choose("A click is", "all alike")
    ask_for_menu(box)
    assert document(bench).find(1).meaning is Meaning.ALL_LIKE_THIS


@needs_display
def test_the_menu_merges(box, bench, click, choose):
    click(bench, 8, 24, 30)
    choose("Merge", "Into Label 2")
    ask_for_menu(box)
    assert [label.id for label in document(bench).labels] == [2]
    assert document(bench).mask(2).count == 125


@needs_display
def test_the_menu_locks_and_opens_again(box, bench, choose):
    offered = choose("Lock, or open again")
    ask_for_menu(box)
    assert document(bench).find(1).is_done
    ask_for_menu(box)
    assert not document(bench).find(1).is_done
    # What is locked is neither merged nor removed.
    assert set(offered[0]) - set(offered[1]) == {"Merge", "Remove (Delete)"}


@needs_display
def test_the_menu_removes(box, bench, choose):
    choose("Remove (Delete)")
    ask_for_menu(box)
    assert [label.id for label in document(bench).labels] == [2]


@pytest.mark.parametrize(
    ("volume", "unit", "text"),
    [
        (123_456.0, "mm", "123.5 ml"),
        (240.0, "mm", "0.24 ml"),
        (40.0, "mm", "0.04 ml"),
        (2.5e9, "nm", "2.500 µm³"),
        (1.5, "µm", "1.500 µm³"),
        (125.0, "px", "125 voxels"),
        (0.0, "mm", "–"),
        (0.0, "px", "–"),
    ],
)
def test_volumes_are_in_the_unit_that_their_users_think_in(volume, unit, text):
    assert readable(volume, unit) == text

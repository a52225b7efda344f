"""The box of taught models: which are offered, and what its buttons ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from safetensors.numpy import save_file

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.engine.messages import (
    Proposed,
    ProposeLabels,
    Similar,
    Taught,
    TeachModel,
    TellVolume,
    ToldLabel,
    VolumeTold,
)
from napari_dinomed.plugin.model_box import ModelBox
from napari_dinomed.plugin.told_dialog import ToldDialog
from napari_dinomed.settings import load_settings, save_settings
from napari_dinomed.taught.header import KIND, Amount, Header, Lesson, Reading, Sight, Way
from napari_dinomed.volume import Window
from napari_dinomed.whole.model import Head, WholeModel
from napari_dinomed.whole.model import Header as WholeHeader
from napari_dinomed.whole.readout import Figures
from tests.fakes import FakeEngine
from tests.plugin.test_window import pytestmark  # noqa: F401
from tests.plugin.test_workbench import INSIDE, assert_shown, document, listen, shown

NEW = "New model…"


def header(modality="MR"):
    """Of a model that two volumes taught."""
    sight = Sight("filters", "f:1", (0,), Window(0.0, 1.0), modality, (3.0, 0.7, 0.7))
    reading = Reading(Way("knn", "looks"), 0.0, 1.0, (0.8, 0.9))
    amounts = {0: Amount(30, 30.0), 1: Amount(20, 20.0)}
    liver = replace(new_label(1), name="liver")
    lesson = Lesson(liver, amounts, (reading,), 0.0, (0.8, 0.9))
    return Header(sight, 40.0, (lesson,), ("a", "b"))


@dataclass
class TaughtEngine(FakeEngine):
    """Proposes one cube as liver, and writes models that know no number."""

    def result(self, request, on_event):
        if isinstance(request, ProposeLabels):
            cube = np.ones((3, 3, 3), np.uint8)
            (liver,) = header().labels
            return Proposed((2, 4, 6), cube, (liver,), {}, (), 0.01)
        if isinstance(request, TeachModel):
            write(request.model)
            return Taught(header())
        if isinstance(request, TellVolume):
            told = ToldLabel("ill", 0.75, 0.9, (Similar(7, 0.98, True),))
            return VolumeTold((told,), ())
        return super().result(request, on_event)


def write(path, modality="MR"):
    save_file({"none": np.zeros(1, np.float32)}, path, KIND.metadata(header(modality)))
    return path


@pytest.fixture
def engine():
    return TaughtEngine()


@pytest.fixture
def know(tmp_path):
    """Have models been used before, the last of them first; their files."""

    def known(**modalities):
        paths = [write(tmp_path / f"{n}.dinomed", kind) for n, kind in modalities.items()]
        save_settings(replace(load_settings(), models=tuple(map(str, paths))))
        return paths

    return known


@pytest.fixture
def box(bench, qtbot):
    made = ModelBox(bench)
    qtbot.addWidget(made)
    made.show()
    return made


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def listed(box):
    return [box.models.itemText(n) for n in range(box.models.count())]


def choose(box, name):
    """As the mouse does."""
    box.models.setCurrentText(name)
    box.models.activated.emit(box.models.currentIndex())


def test_without_a_model_there_is_a_new_one_which_proposes_nothing(box, bench):
    assert not box.isEnabled()
    bench.bound.emit()
    assert box.isEnabled()
    assert listed(box) == [NEW]
    assert box.path is None
    assert not box.propose.isEnabled()
    assert box.remember.isEnabled()
    bench.unbind()
    assert not box.isEnabled()


def test_the_one_for_this_kind_of_volume_is_chosen_and_all_are_listed(box, bench, know):
    know(abdomen="CT", head="MR", knee="MR")
    bench.bound.emit()
    assert listed(box) == ["abdomen", "head", "knee", NEW]
    assert box.path.stem == "head"
    assert box.propose.isEnabled()
    about = box.models.itemData(0, Qt.ItemDataRole.ToolTipRole)
    assert "2 volumes, CT, filters" in about
    assert "liver: Dice 0.85" in about


def test_a_model_of_whole_volumes_tells_and_neither_proposes_nor_remembers(
    box, bench, know, engine, loop, tmp_path
):
    figures = Figures("ill", "knn", 20, 8, 0.9, 0.8, 1.0, 0.8, 0.1, 0.5)
    whole = WholeHeader(header().sight, {"ill": Head("knn", 3, figures)}, False)
    WholeModel(whole, {}).write(tmp_path / "chest.dinowhole")
    know(head="MR")
    bench.bound.emit()
    box._open(tmp_path / "chest.dinowhole")
    assert box.models.currentText() == "chest"
    about = box.models.currentData(Qt.ItemDataRole.ToolTipRole)
    assert "ill: AUROC 0.90, 20 volumes" in about
    assert box.tell.isVisible()
    assert not box.propose.isVisible()
    assert not box.remember.isEnabled()
    press(box.tell)
    loop.run()
    assert engine.of(TellVolume)[0].request.model == str(tmp_path / "chest.dinowhole")
    (dialog,) = box.window().findChildren(ToldDialog)
    texts = [dialog.table.item(0, column).text() for column in range(4)]
    assert texts == ["ill", "0.75", "0.90", "row 7: yes (0.98)"]
    assert document(bench).masks == {}
    choose(box, "head")
    assert box.propose.isVisible()
    assert box.remember.isEnabled()


def test_where_none_is_for_this_kind_a_new_one_is_chosen(box, bench, know):
    know(abdomen="CT")
    bench.bound.emit()
    assert box.models.currentText() == NEW
    assert not box.propose.isEnabled()
    choose(box, "abdomen")
    assert box.propose.isEnabled()


def test_files_that_are_gone_or_no_models_are_not_listed(box, bench, know):
    gone, spoilt, _ = know(gone="MR", spoilt="MR", head="MR")
    gone.unlink()
    spoilt.write_bytes(b"nothing")
    bench.bound.emit()
    assert listed(box) == ["head", NEW]
    assert box.path.stem == "head"


def test_propose_asks_the_chosen_model_and_shows_what_it_finds(
    box, bench, know, engine, loop
):
    _, knee = know(head="MR", knee="MR")
    bench.bound.emit()
    choose(box, "knee")
    said = listen(bench.said)
    press(box.propose)
    loop.run()
    (asked,) = engine.of(ProposeLabels)
    assert asked.request.model == str(knee)
    assert "knee proposes liver" in said[-1]
    assert np.count_nonzero(shown(bench)) == 27
    assert shown(bench)[2:5, 4:7, 6:9].all()
    assert_shown(bench)
    bench.undo()
    assert document(bench).is_blank


def test_remember_teaches_the_chosen_model_what_is_labelled(
    box, bench, know, engine, click, loop
):
    head, knee = know(head="MR", knee="MR")
    bench.bound.emit()
    click(bench, *INSIDE)
    bench.labels.add()
    choose(box, "knee")
    said = listen(bench.said)
    press(box.remember)
    loop.run()
    (asked,) = engine.of(TeachModel)
    assert asked.request.model == str(knee)
    # A label without a voxel teaches nothing.
    assert [label.id for label in asked.request.labels] == [1]
    assert asked.request.masks == {1: document(bench).mask(1)}
    assert "knee has learnt from 2 volumes" in said[-1]
    # It is the first from now on.
    assert load_settings().models == (str(knee), str(head))
    assert listed(box) == ["knee", "head", NEW]
    assert box.path == knee


def test_a_new_model_is_named_and_is_offered_when_it_has_learnt(
    box, bench, engine, click, loop, tmp_path, monkeypatch
):
    bench.bound.emit()
    click(bench, *INSIDE)
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "liver"), "")
    )
    engine.holds = (TeachModel,)
    press(box.remember)
    loop.run()
    assert listed(box) == [NEW]
    (asked,) = engine.of(TeachModel)
    asked.answer()
    loop.run()
    assert box.path == tmp_path / "liver.dinomed"
    assert box.propose.isEnabled()
    assert listed(box) == ["liver", NEW]


def test_a_name_that_is_not_given_teaches_nothing(box, bench, engine, click, monkeypatch):
    bench.bound.emit()
    click(bench, *INSIDE)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: ("", ""))
    press(box.remember)
    assert not engine.of(TeachModel)


def test_nothing_to_remember_is_said(box, bench, know, engine):
    know(head="MR")
    bench.bound.emit()
    refused = listen(bench.refused)
    press(box.remember)
    assert "Expected a label to remember" in refused[-1]
    assert not engine.of(TeachModel)


def test_a_model_is_opened_and_what_is_none_is_said(box, bench, tmp_path, monkeypatch):
    bench.bound.emit()
    chosen = write(tmp_path / "knee.dinomed", "CT")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(chosen), ""))
    press(box.choose)
    assert box.path == chosen
    assert load_settings().models == (str(chosen),)
    told = listen(bench.refused)
    chosen.write_bytes(b"nothing")
    press(box.choose)
    assert "knee.dinomed" in told[-1]

"""Next case, recent volumes and legends on a workbench, with real files."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QMenu, QMessageBox

from napari_dinomed.annotation.legends import preset
from napari_dinomed.io import read_labels, read_volume, write_image
from napari_dinomed.plugin import opening
from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.legend_menu import LegendButton
from napari_dinomed.plugin.next_case import NextCase
from napari_dinomed.plugin.recent import fill_recent, forget_recent, recent, remember_recent
from napari_dinomed.plugin.workbench import Workbench
from napari_dinomed.session.cases import TABLE
from napari_dinomed.session.file import load_document
from tests.fakes import FakeEngine
from tests.plugin.conftest import needs_display


@pytest.fixture
def folder(ball_volume, tmp_path):
    volume, _ = ball_volume
    for number in (1, 2, 10):
        array = volume.array + np.int16(number)
        write_image(tmp_path / f"case{number}.nrrd", array, volume)
    return tmp_path


@pytest.fixture
def begun(folder, loop, monkeypatch):
    """A workbench on the first file; files open without a window."""
    viewer, said = ViewerModel(), []
    workbench = Workbench(viewer, FakeEngine(), loop.deliver)
    remember_recent(workbench)
    workbench.said.connect(said.append)
    workbench.failed.connect(said.append)

    def open_paths(bench, paths):
        def read():
            volume = read_volume(paths[0])
            layer = Image(volume.array, **image_options(volume, "case"))
            bench.viewer.layers.append(layer)
            bench.bind(layer)

        bench.attempt(read)

    monkeypatch.setattr("napari_dinomed.plugin.next_case.open_paths", open_paths)
    open_paths(workbench, [str(folder / "case1.nrrd")])
    loop.run()
    yield workbench, said
    workbench.close()


def label_and_go(workbench, loop):
    workbench.sheet.prompts.layer.add([(5, 20, 9)])
    loop.run()
    old = workbench.session
    NextCase(workbench, loop.deliver).go()
    loop.wait(lambda: workbench.session is not old)


def test_it_saves_measures_and_opens_the_next(begun, folder, loop):
    workbench, said = begun
    label_and_go(workbench, loop)
    label_and_go(workbench, loop)
    labels, _ = read_labels(folder / "case1-labels.nii.gz")
    assert (labels == 1).sum() == 5**3
    how = load_document(folder / "case1-labels.nii.gz.dinomed.json")
    assert how.document.mask(1).count == 5**3
    with (folder / TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["case1", "case2"]
    assert float(rows[1]["mean"]) == pytest.approx(float(rows[0]["mean"]) + 1, abs=0.01)
    assert workbench.images == [workbench.image]
    assert said[-1] == "Saved case2-labels.nii.gz. Next: case10.nrrd."
    NextCase(workbench, loop.deliver).go()
    loop.run()
    assert said[-1].endswith("It was the last volume of " + folder.name + ".")
    assert workbench.image is not None


def test_what_cannot_be_saved_is_not_left(begun, folder, loop):
    workbench, said = begun
    (folder / TABLE).write_text("x,y\n")
    workbench.sheet.prompts.layer.add([(5, 20, 9)])
    loop.run()
    session = workbench.session
    NextCase(workbench, loop.deliver).go()
    loop.wait(lambda: said and "other columns" in said[-1])
    assert workbench.session is session


def test_a_damaged_case_is_passed_by_and_the_one_before_stays(begun, folder, loop):
    workbench, said = begun
    (folder / "case2.nrrd").write_bytes(b"NRRD0004\n")
    cases = NextCase(workbench, loop.deliver)
    cases.go()
    loop.run()
    assert any("case2.nrrd" in text and "open" not in text for text in said)
    assert said[-1].endswith(
        "case2.nrrd cannot be opened; once more, for the one after it."
    )
    assert cases.target.name.startswith("case1")
    cases.go()
    loop.run()
    assert said[-1].endswith("Next: case10.nrrd.")


def test_an_image_of_no_file_has_no_next(bench, loop):
    said = []
    bench.refused.connect(said.append)
    NextCase(bench, loop.deliver).go()
    assert "came from none" in said[-1]


@needs_display
def test_volumes_worked_on_are_offered_again(begun, folder, qtbot):
    assert recent() == [folder / "case1.nrrd"]
    opened, menu = [], QMenu()
    qtbot.addWidget(menu)
    fill_recent(menu, opened.append)
    menu.actions()[0].trigger()
    assert opened == [folder / "case1.nrrd"]
    (folder / "case1.nrrd").unlink()
    assert recent() == []
    forget_recent()


@needs_display
def test_the_menu_of_open_has_them(begun, qtbot):
    menu = opening.opening_menu(None, begun[0])
    qtbot.addWidget(menu)
    texts = [action.text() for action in menu.actions()]
    assert "Recent" in texts


@needs_display
def test_a_legend_goes_out_and_comes_in_again(bench, loop, tmp_path, qtbot):
    legend = LegendButton(bench)
    qtbot.addWidget(legend.button)
    legend.take(preset("Abdomen"), "Abdomen")
    loop.run()
    assert bench.session.document.find(bench.hand.label).name == "spleen"
    legend.write(tmp_path / "abdomen.csv")
    bench.undo()
    assert len(bench.session.document.labels) == 1
    legend.read(tmp_path / "abdomen.csv")
    # A list's file may be named after a patient.
    assert bench.session.history.undoes == "legend abdomen"
    *_, last = bench.session.history.made
    assert last.name == "legend"
    names = [one.name for one in bench.session.document.labels]
    assert names == [one.name for one in preset("Abdomen")]


@needs_display
def test_a_legend_that_is_there_is_replaced_only_if_asked(
    bench, tmp_path, qtbot, monkeypatch
):
    legend = LegendButton(bench)
    qtbot.addWidget(legend.button)
    (tmp_path / "expert.csv").write_text("mine")
    named = (str(tmp_path / "expert"), "")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: named)
    asked = []

    def answer(_, __, question):
        asked.append(question)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", answer)
    legend.menu().actions()[-1].trigger()
    assert "expert.csv is there already" in asked[0]
    assert (tmp_path / "expert.csv").read_text() == "mine"

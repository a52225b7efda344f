"""Before features are computed: what they take, what can be fetched, which suits best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QMessageBox, QPushButton

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.messages import (
    EncoderInfo,
    EncodeVolume,
    Estimated,
    EstimateEncoding,
    FetchWeights,
)
from napari_dinomed.plugin.costs import in_full, in_short
from napari_dinomed.plugin.image_box import ImageBox
from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.offer import offer_of
from napari_dinomed.plugin.sight_box import SightBox
from napari_dinomed.plugin.start_box import StartBox
from napari_dinomed.settings import load_settings
from tests.fakes import FakeEngine
from tests.plugin.conftest import needs_display

DINO = EncoderInfo("dinov3-s", "DINOv3 S", 1536, 21, "DINOv3 License", False, None)


def test_costs_are_said_in_units_that_one_waits_and_pays_in():
    found = Estimated("e", "CPU", 30, 95, 2 * 10**9, 3 * 10**8, 10**9, 10**11)
    said = in_short(found)
    assert said == "Features first: about 2 min, 2.0 GB of memory!, 300 MB on disk"
    assert "1.0 GB are free" in in_full(found)
    assert "open a coarser level" in in_full(found)
    there = Estimated("e", "CPU", 0, 0, 1, 0, 10**9, 10**11)
    assert "on disk already" in in_short(there)


def test_an_offer_says_size_place_licence_and_use():
    said = offer_of(DINO)
    for part in ("84 MB", "huggingface.co", "DINOv3 License", "weights", "Compare"):
        assert part in said


@pytest.fixture
def box(bench, loop, qtbot):
    made = ImageBox(bench, bench._engine, loop.deliver, FakeEngine)
    qtbot.addWidget(made)
    made.show()
    loop.run()
    return made


@needs_display
def test_the_image_that_is_chosen_is_the_one_that_is_seen(box, bench, loop, ball_volume):
    volume, _ = ball_volume
    moved = replace(volume, array=volume.array + 1)
    bench.viewer.layers.append(Image(moved.array, **image_options(moved, "other")))
    loop.run()
    for name, lower in (("other", "ball"), ("ball", "other"), ("ball", "other")):
        bench.viewer.layers[name].visible = False
        place = box.images.findText(name)
        box.images.setCurrentIndex(place)
        box.images.activated.emit(place)
        loop.run()
        assert bench.image.name == name
        assert bench.image.visible
        own = [bench.sheet.result.layer.name, bench.sheet.prompts.layer.name]
        assert [layer.name for layer in bench.viewer.layers] == [lower, name, *own]


@needs_display
def test_while_an_image_comes_it_is_named_and_no_other_is_asked_for(
    box, bench, loop, qtbot, ball_volume
):
    start = StartBox(bench)
    qtbot.addWidget(start)
    start.show()
    bench.bound.emit()
    volume, _ = ball_volume
    moved = replace(volume, array=volume.array + 1)
    bench.viewer.layers.append(Image(moved.array, **image_options(moved, "other")))
    loop.run()
    place = box.images.findText("other")
    box.images.setCurrentIndex(place)
    box.images.activated.emit(place)
    seen = []
    while bench.is_beginning:
        seen.append((box.images.currentText(), start.isHidden(), box.state.text()))
        loop.waiting.popleft()()
    assert {(name, hidden) for name, hidden, _ in seen} == {("other", True)}
    assert seen[-1][2] == "Going to other …"
    loop.run()
    assert box.state.text() == "Click to begin"
    bench.viewer.layers.clear()
    loop.run()
    assert not start.isHidden()
    assert box.state.text() == "Open an image to begin"
    bench.viewer.layers.append(Image(moved.array, **image_options(moved, "first")))
    while not bench.is_beginning:
        loop.waiting.popleft()()
    assert box.state.text() == "Going to first …"


def choose(box, loop, name):
    place = box.encoders.findData(name)
    box.encoders.setCurrentIndex(place)
    box.encoders.activated.emit(place)
    loop.run()


@needs_display
def test_choosing_an_encoder_foretells_what_it_takes(box, engine, loop):
    choose(box, loop, "filters")
    assert len(engine.of(EstimateEncoding)) == 1
    assert box.state.text().startswith("Features first: about 2 min")
    assert not engine.of(EncodeVolume)


@needs_display
def test_weights_are_fetched_only_when_that_is_agreed_to(box, engine, loop, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    said, answer = [], [QMessageBox.StandardButton.No]
    monkeypatch.setattr(
        QMessageBox, "question", lambda *about: said.append(about[2]) or answer[0]
    )
    assert box.offer.isVisible()
    box.offer.click()
    loop.run()
    assert not engine.of(FetchWeights)
    assert "84 MB" in said[0]
    assert load_settings().accepted_licences == ()
    engine.holds = (FetchWeights,)
    answer[0] = QMessageBox.StandardButton.Yes
    box.offer.click()
    assert engine.of(FetchWeights)[0].request.encoder == "dinov3-s"


@needs_display
def test_offline_it_is_said_how_they_come_by_hand(box, engine, loop, monkeypatch):
    said = []
    monkeypatch.setattr(QMessageBox, "information", lambda *about: said.append(about[2]))
    box.offer.click()
    loop.run()
    assert not engine.of(FetchWeights)
    assert "weights add FILE --as dinov3-s" in said[0]


@needs_display
def test_encoders_are_compared_on_labels_and_one_is_taken(box, bench, loop):
    said = []
    bench.refused.connect(said.append)
    box.compare.click()
    assert "There is no label to compare by" in said[0]
    document = bench.session.document
    bench.session.change(document.with_edit(Mask.of(np.ones((2, 2, 2), bool)), 1), "paint")
    loop.run()
    dialog = box._open_comparison(bench.session)
    loop.run()
    assert dialog.table.rowCount() == 1
    assert [dialog.table.item(0, column).text() for column in (3, 4)] == ["0.800", "0.700"]
    assert dialog.table.cellWidget(0, 2).text() == "0.80"
    bench.choose_encoder("dinov3-s")
    dialog.findChildren(QPushButton)[-1].click()
    assert bench.session.document.choices.encoder == "filters"


@needs_display
def test_finer_and_along_other_axes_are_compared_where_asked(box, bench, loop):
    document = bench.session.document
    bench.session.change(document.with_edit(Mask.of(np.ones((2, 2, 2), bool)), 1), "paint")
    bench.choose_encoder("file:/a/vit.safetensors")
    dialog = box._open_comparison(bench.session)
    loop.run()
    for control in (dialog.stop, dialog.use, *dialog.vary.values()):
        assert dialog.rect().contains(control.geometry()), control.text()
        assert control.width() >= control.minimumWidth()
    assert dialog.table.rowCount() == 2
    for vary in dialog.vary.values():
        vary.click()
        loop.run()
        assert not vary.isEnabled()
    rows = [
        tuple(dialog.table.item(row, column).text() for column in (0, 1))
        for row in range(dialog.table.rowCount())
    ]
    assert rows == [
        ("vit", "448 pixels, one axis"),
        ("Filters", "every voxel, one axis"),
        ("vit", "224 pixels, one axis"),
        ("vit", "896 pixels, one axis"),
        ("vit", "448 pixels, three axes"),
    ]
    dialog.table.selectRow(4)
    dialog.use.click()
    assert bench.session.document.choices.encoder == "file:/a/vit.safetensors"
    assert bench.session.document.choices.planes == "three"
    bench.undo()
    assert bench.session.document.choices.planes == "auto"


@needs_display
def test_along_how_many_axes_is_chosen_in_the_panel(bench, loop, qtbot):
    sight = SightBox(bench)
    qtbot.addWidget(sight)
    place = sight.planes.findText("along one axis")
    sight.planes.setCurrentIndex(place)
    sight.planes.activated.emit(place)
    loop.run()
    assert bench.session.document.choices.planes == "one"
    bench.undo()
    assert sight.planes.currentText() == "by the spacing"


@needs_display
def test_of_what_cannot_be_chosen_is_told_only_where_nothing_can(box, bench, image, loop):
    said = []
    bench.failed.connect(said.append)
    bench.viewer.layers.clear()
    loop.run()
    flat = Image(np.zeros((6, 8, 8)), name="constant")
    with bench.turns.held():
        bench.viewer.layers.extend([flat, image])
        loop.run()
    loop.run()
    assert bench.image is image
    assert not said
    bench.viewer.layers.remove(image)
    loop.run()
    assert [text for text in said if "constant volume" in text]
    assert bench.image is None

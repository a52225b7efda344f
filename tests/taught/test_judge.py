"""Encoders compared and their cost foretold, on the engine itself and by the command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import State
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.cli import app
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import (
    EncodeVolume,
    EstimateEncoding,
    JudgeEncoding,
    OpenVolume,
)
from napari_dinomed.io import write_image, write_labels
from napari_dinomed.session.comparing import Comparing, Row, Trial, trusted, varied
from napari_dinomed.volume import choose_window
from tests.fakes import FakeEngine


@pytest.fixture
def opened(ball_volume):
    volume, mask = ball_volume
    engine = Engine()
    engine.run(OpenVolume("v", volume.array, volume.geometry, volume.modality))
    return engine, volume, Mask.of(mask)


def test_it_is_foretold_what_features_take_and_nothing_is_kept(opened, home):
    engine, volume, _ = opened
    window = choose_window(volume)
    said = engine.run(EstimateEncoding("v", "filters", window))
    assert said.slices == volume.array.shape[0]
    assert said.seconds > 0
    assert not list((home / "cache").rglob("tokens"))
    engine.run(EncodeVolume("v", "filters", window))
    (bank,) = engine.banks("v")
    assert said.disk == bank.tokens.numel() * 2
    assert said.memory > said.disk
    again = engine.run(EstimateEncoding("v", "filters", window))
    assert (again.slices, again.seconds, again.disk) == (0, 0.0, 0)
    # What is being answered from stays.
    engine.run(JudgeEncoding("v", {}))


def test_features_that_tell_a_label_apart_are_told_from_those_that_do_not(opened):
    engine, volume, mask = opened
    engine.run(EncodeVolume("v", "filters", choose_window(volume)))
    nothing = np.random.default_rng(0).random(volume.array.shape) < 0.3
    found = engine.run(JudgeEncoding("v", {1: mask, 2: Mask.of(nothing)})).dice
    assert min(found[1].values()) > 0.9
    assert max(found[2].values()) < 0.6


def test_a_label_that_cannot_be_parted_is_left_out(opened):
    engine, volume, _ = opened
    engine.run(EncodeVolume("v", "filters", choose_window(volume)))
    one = Mask.of_voxels(np.array([[5, 5, 5]]))
    assert engine.run(JudgeEncoding("v", {1: one})).dice == {}


def test_the_command_tells_the_same(ball_volume, tmp_path):
    volume, mask = ball_volume
    image, labels = tmp_path / "image.nrrd", tmp_path / "labels.nrrd"
    write_image(image, volume.array, volume)
    write_labels(labels, mask.astype(np.uint8), volume, ())
    out = tmp_path / "found.json"
    arguments = ["compare", str(image), str(labels), "--json", str(out)]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    found = json.loads(out.read_text())
    assert found["encoder"] == "filters"
    assert found["dice"]["probe"] > 0.9


class Compared:
    def __init__(self, volume, engine, names=("filters", "dinov3-s")):
        masks = {1: Mask.of(np.ones((2, 2, 2), bool))}
        self.rows, self.ended = [], []
        self.comparing = Comparing(
            volume, choose_window(volume), masks, names, engine, lambda work: work()
        )
        self.comparing.came.connect(self.rows.append)
        self.comparing.ended.connect(lambda: self.ended.append(True))
        self.comparing.start()


def test_each_encoder_has_its_row(ball_volume):
    found = Compared(ball_volume[0], FakeEngine())
    assert [row.trial.encoder for row in found.rows] == ["filters", "dinov3-s"]
    assert found.rows[0].dice == {"probe": 0.8, "knn": 0.7}
    assert found.rows[0].best == 0.8
    assert found.ended == [True]


def test_one_that_fails_does_not_stop_the_others(ball_volume):
    engine = Engine()

    class Failing(FakeEngine):
        def result(self, request, on_event):
            if isinstance(request, EncodeVolume) and request.encoder != "filters":
                return engine.run(EncodeVolume("no", request.encoder, request.window))
            return super().result(request, on_event)

    found = Compared(ball_volume[0], Failing(), ("dinov3-s", "filters"))
    assert found.rows[0] == Row(Trial("dinov3-s"), {}, why=found.rows[0].why)
    assert "has forgotten this volume" in found.rows[0].why
    assert found.rows[1].best == 0.8


def test_asked_for_each_is_tried_finer_coarser_and_along_other_axes(ball_volume):
    engine = FakeEngine()
    found = Compared(ball_volume[0], engine)
    found.comparing.vary("sides")
    found.comparing.vary("planes")
    found.comparing.vary("planes")
    assert [row.trial for row in found.rows] == [
        Trial("filters"),
        Trial("dinov3-s"),
        Trial("dinov3-s@224"),
        Trial("dinov3-s@896"),
        Trial("dinov3-s", "three"),
    ]
    assert found.rows[1].seen == "448 pixels, one axis"
    assert found.rows[0].seen == "every voxel, one axis"
    assert found.ended == [True] * 3
    assert [asked.request.planes for asked in engine.of(EncodeVolume)][-1] == "three"


def test_what_is_asked_for_early_waits_for_the_usual(ball_volume):
    engine = FakeEngine(holds=(EncodeVolume,))
    found = Compared(ball_volume[0], engine, ("dinov3-s",))
    found.comparing.vary("planes")
    assert len(engine.of(EncodeVolume)) == 1
    engine.of(EncodeVolume)[0].answer()
    assert engine.of(EncodeVolume)[1].request.planes == "three"
    assert found.ended == []
    engine.of(EncodeVolume)[1].answer()
    assert found.ended == [True]


def test_only_what_is_a_choice_is_varied():
    own = Row(Trial("file:/a/vit.safetensors@448x2"), {}, side=448, axes=1)
    finer = [trial.encoder for trial in varied(own, "sides", 9)]
    assert finer == [f"file:/a/vit.safetensors@{side}x2" for side in (224, 896)]
    assert varied(own, "planes", 9) == [replace(own.trial, planes="three")]
    assert varied(replace(own, axes=3), "planes", 9)[0].planes == "one"
    assert varied(own, "planes", 1) == []
    coarse, fine = replace(own, side=100), replace(own, side=4000)
    assert len(varied(coarse, "sides", 9)) == len(varied(fine, "sides", 9)) == 1
    adapted = replace(own, trial=Trial("dinov3-s+/b/mine.dinoadapt"))
    assert varied(adapted, "sides", 9) == []
    filters = Row(Trial("filters"), {}, side=0, axes=1)
    assert varied(filters, "sides", 9) == varied(filters, "planes", 9) == []


def test_cancelled_it_says_no_more(ball_volume):
    engine = FakeEngine(holds=(EncodeVolume,))
    found = Compared(ball_volume[0], engine)
    asked = engine.of(EncodeVolume)[0]
    found.comparing.cancel()
    assert asked.future.done()
    assert found.rows == found.ended == []
    assert len(engine.of(EncodeVolume)) == 1


def test_labels_that_are_done_are_trusted_before_others():
    document = Document.begun().with_new_label()
    for number in (1, 2):
        part = np.zeros((2, 2, 2), bool)
        part[number - 1] = True
        document = document.with_edit(Mask.of(part), number)
    assert set(trusted(document)) == {1, 2}
    done = replace(document.find(2), state=State.DONE)
    assert set(trusted(document.with_label(done))) == {2}

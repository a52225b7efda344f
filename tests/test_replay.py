"""What lies beside saved labels makes the same voxels again, and names nobody."""

from __future__ import annotations

import json
import queue
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_dinomed.annotation.arranging import merged
from napari_dinomed.annotation.by_hand import reshaped
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.making import BLANK, NOTHING, Answer, Made
from napari_dinomed.annotation.mask import Mask, union
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.cli import app
from napari_dinomed.engine.asked import Call
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.place import HERE
from napari_dinomed.errors import DocumentError
from napari_dinomed.finish import Subject, find_tool, finished
from napari_dinomed.finish.split import By
from napari_dinomed.io import read_labels, read_volume, write_image
from napari_dinomed.replay import Replay, differing
from napari_dinomed.session.file import load_document, save_document
from napari_dinomed.session.provenance import beside, save_beside
from napari_dinomed.session.session import Session


class InProcess:
    """A real engine that answers at once, in the place of a client."""

    place = HERE
    where = "CPU on this machine"

    def __init__(self):
        self.engine = Engine()

    def submit(self, request, on_event=None):
        future = Future()
        future.set_result(self.engine.run(request, on_event))
        return Call(future, lambda: None)

    def recover(self):
        """It never hangs."""


def worked_on(volume, inside, outside, bright):
    """A session with two labels, contested, painted, undone and with other choices."""
    session = Session(volume, InProcess())
    session.add(Point(inside, 1))
    session.add(Point(outside, 1, include=False))
    session.change(session.document.with_new_label(), "new label")
    z, y, x = inside
    session.add(Point((z, y, x + 3), 2))
    session.undo()
    session.add(Stroke(Mask.of(np.ones((1, 3, 3), bool), bright), 2))
    dab = Mask.of(np.ones((1, 5, 4), bool), (z, y - 2, x - 9))
    session.change(session.document.with_edit(dab, 1), "brush")
    session.choose(1, "threshold", threshold=0.6)
    wanted = session.document.mask(1) - Mask.of(np.ones((1, 500, 500), bool), (z + 1, 0, 0))
    session.change(reshaped(session.document, 1, wanted), "shrink")
    session.add(Point((z + 1, y, x - 2), 1))
    session.choose(2, "window", window="auto")
    session.choose(2, "slices", planes="one")
    return session


def replayed_elsewhere(path, volume, tmp_path, monkeypatch):
    """Made again with nothing on disk but the file; its own voxels are not looked at."""
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path / "elsewhere"))
    saved = load_document(path)
    told = replace(saved, document=replace(BLANK, choices=saved.document.choices))
    assert sum(isinstance(deed, Answer) for deed in told.made) >= 4
    return saved, Replay(told, volume).run()


def test_a_session_is_made_again_to_the_voxel(ball_volume, tmp_path, monkeypatch):
    volume, _ = ball_volume
    session = worked_on(volume, (8, 24, 30), (2, 4, 4), (8, 24, 20))
    labels = tmp_path / "labels.nii.gz"
    save_beside(labels, session.to_save())
    saved, made = replayed_elsewhere(beside(labels), volume, tmp_path, monkeypatch)
    assert made == session.document == saved.document
    assert made.mask(1)
    assert made.mask(2)
    assert saved.versions["napari-dinomed"]
    assert saved.encoder_signature.startswith("filters")


def test_what_was_answered_while_features_came_is_made_again(ball_volume):
    """The first click of nearly every session: it is answered before all is told."""
    volume, _ = ball_volume
    turns, client = queue.SimpleQueue(), EngineClient()
    try:
        session = Session(volume, client, deliver=turns.put)
        session.add(Point((8, 24, 30), 1))
        while session.document.waiting:
            turns.get(timeout=120)()
        saved = session.to_save()
    finally:
        client.close()
    assert saved.document.mask(1)
    assert Replay(saved, volume).run() == saved.document


def test_a_split_is_made_again_and_so_is_a_merge(ball_volume, tmp_path):
    """Labels that were made of parts, one of which was taken back and made anew."""
    session = Session(ball_volume[0], InProcess())
    session.add(Point((8, 24, 30), 1))
    for place in ((2, 4, 4), (12, 40, 6)):
        dab = Mask.of(np.ones((2, 3, 3), bool), place)
        session.change(session.document.with_edit(dab, 1), "brush")
    split_up(session)
    parted = session.document
    session.undo()
    assert session.document.mask(1) == union(parted.masks.values())
    session.redo()
    session.change(merged(session.document, 3, 1), "merge")
    split_up(session)
    session.add(Point((3, 5, 5), 2))
    labels = tmp_path / "labels.nii.gz"
    save_beside(labels, session.to_save())
    saved = load_document(beside(labels))
    made = Replay(replace(saved, document=BLANK), session.volume).run()
    assert made == session.document
    assert [one.id for one in made.labels] == [1, 2, 4]


def split_up(session):
    document, geometry = session.document, session.volume.geometry
    tool, own = find_tool("split"), document.mask(1)
    subject = Subject("a", own, (), geometry.shape, geometry.spacing)
    wanted, *parts = finished(tool, tool.options(By.GAPS, 1.0), subject)
    session.change(reshaped(document, 1, wanted, parts), "split")


def test_a_real_scan_is_labelled_again_to_the_voxel(shared_data, tmp_path, monkeypatch):
    volume = read_volume(shared_data / "ct_abdomen" / "example_ct_sm.nii.gz")
    session = worked_on(volume, (15, 40, 26), (15, 60, 61), (15, 60, 80))
    assert session.document.mask(1).count > 5000
    save_beside(tmp_path / "labels.nii.gz", session.to_save())
    path = beside(tmp_path / "labels.nii.gz")
    _, made = replayed_elsewhere(path, volume, tmp_path, monkeypatch)
    assert made == session.document


def test_what_differs_is_told(ball_volume):
    volume, _ = ball_volume
    area = np.zeros(volume.array.shape, bool)
    area[2:4] = True
    one = Document.begun().with_edit(Mask.of(area), 1)
    other = one.with_erasure(Mask.of(area[:3]), 1)
    assert differing(one, one) == []
    (found,) = differing(one, other)
    assert (found.saved, found.made, found.common) == (5376, 2688, 2688)
    assert found.dice == pytest.approx(2 / 3)


def test_another_encoder_is_not_taken_for_the_same(ball_volume):
    volume, _ = ball_volume
    session = Session(volume, InProcess())
    session.add(Point((8, 24, 30), 1))
    saved = session.to_save()
    *before, last = saved.made
    answer = replace(last, features=replace(last.features, encoder="filters-0"))
    with pytest.raises(DocumentError, match=r"filters-0.*filters-"):
        Replay(replace(saved, made=Made.of([*before, answer])), volume).run()
    with pytest.raises(DocumentError, match="not kept"):
        Replay(replace(saved, made=NOTHING), volume).run()


def test_a_step_that_cannot_be_is_one_line(ball_volume):
    volume, _ = ball_volume
    saved = Session(volume, InProcess()).to_save()
    made = NOTHING.with_text('{"kind":"theft"}')
    with pytest.raises(DocumentError, match="cannot be done again"):
        Replay(replace(saved, made=made), volume).run()


@pytest.fixture
def scan(ball_volume, tmp_path):
    (tmp_path / "Doe").mkdir()
    path = tmp_path / "Doe" / "Doe.nii.gz"
    write_image(path, ball_volume[0].array, ball_volume[0])
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_segment_and_replay(scan):
    out, again = scan.with_name("labels.nii.gz"), scan.with_name("again.nii.gz")
    done = run("segment", scan, "--point", "8,24,30=3", "--threshold", 0.6, "--out", out)
    assert done.exit_code == 0, done.output
    text = beside(out).read_text()
    assert "Doe" not in text
    assert str(scan.parent) not in text
    told = run("replay", beside(out), "--out", again)
    assert told.exit_code == 0, told.output
    assert "The same voxels" in told.output
    np.testing.assert_array_equal(read_labels(again)[0], read_labels(out)[0])
    assert read_labels(out)[0].max() == 3

    saved = load_document(beside(out))
    missing = replace(saved.document, masks={3: Mask.of(np.ones((1, 2, 2), bool))})
    save_document(beside(out), replace(saved, document=missing))
    told = run("replay", beside(out), "--image", scan)
    assert told.exit_code == 1
    assert "differs: 4 voxels" in told.output


def test_what_was_cut_off_an_answer_is_cut_off_again(scan):
    out = scan.with_name("hot.nii.gz")
    point = ("--point", "8,24,30=1")
    assert run("segment", scan, *point, "--out", out).exit_code == 0
    all_of_it = (read_labels(out)[0] > 0).sum()
    floor = float(np.median(read_volume(scan).array[read_labels(out)[0] > 0]))
    done = run("segment", scan, *point, "--floor", floor, "--out", out)
    assert done.exit_code == 0, done.output
    assert 0 < (read_labels(out)[0] > 0).sum() < all_of_it
    told = run("replay", beside(out), "--image", scan)
    assert told.exit_code == 0, told.output
    assert "The same voxels" in told.output


def test_a_file_of_weights_is_named_without_its_folder(ball_volume, tmp_path):
    session = Session(ball_volume[0], InProcess())
    document = session.document.with_edit(Mask.of(np.ones((1, 2, 2), bool)), 1)
    for place in ("file:/home/doe/vit.safetensors+mito", r"file:C:\Doe\vit.safetensors"):
        choices = replace(document.choices, encoder=place)
        session.change(replace(document, choices=choices), "encoder")
    save_beside(tmp_path / "l.nii", session.to_save())
    text = (tmp_path / "l.nii.dinomed.json").read_text().lower()
    assert "doe" not in text
    assert "file:vit.safetensors+mito" in text
    assert json.loads(text)["document"]["choices"]["encoder"] == "file:vit.safetensors"

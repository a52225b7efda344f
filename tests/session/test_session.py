from __future__ import annotations

import json
import os

import pytest

from napari_dinomed.engine.messages import EncodeVolume, SegmentVolume
from napari_dinomed.errors import DinomedError, EngineError, ReadError
from napari_dinomed.segment.prompts import Meaning, Point
from napari_dinomed.session.file import load_session, save_session
from napari_dinomed.session.session import Session, View
from tests.fakes import FakeEngine

POINT = Point((8, 24, 30), 1)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def session(ball_volume, engine):
    session = Session(ball_volume[0], engine)
    session.change(session.annotation.with_new_label(Meaning.OBJECT))
    return session


def _click(session, *points):
    session.change(
        session.annotation.with_points((*session.annotation.prompts.points, *points))
    )


def _listen(signal):
    heard = []
    signal.connect(lambda *values: heard.append(values[0] if values else None))
    return heard


def test_the_first_click_computes_features_and_gives_labels(session, engine):
    slices, volumes = _listen(session.slice_labelled), _listen(session.volume_labelled)
    session.look_at(View(0, 8))
    _click(session, POINT)
    assert len(engine.of(EncodeVolume)) == 1
    assert slices[-1].labels[24, 30] == 1
    assert volumes[-1].labels[POINT.voxel] == 1


def test_the_slice_in_view_is_encoded_first(session, engine):
    session.look_at(View(0, 11))
    session.encode()
    assert engine.of(EncodeVolume)[0].request.first == 11


def test_a_stale_answer_is_dropped(session, engine):
    session.encode()
    engine.holds = (SegmentVolume,)
    volumes = _listen(session.volume_labelled)
    _click(session, POINT)
    _click(session, Point((2, 2, 2), 1))
    first, second = engine.of(SegmentVolume)[-2:]
    second.answer()
    first.answer()
    assert [v.generation for v in volumes] == [second.request.generation]


def test_undo_takes_back_a_prompt_and_asks_anew(session, engine):
    session.encode()
    _click(session, POINT)
    _click(session, Point((2, 2, 2), 1))
    session.undo()
    assert session.annotation.prompts.points == (POINT,)
    assert engine.of(SegmentVolume)[-1].request.prompts.points == (POINT,)
    session.redo()
    assert len(session.annotation.prompts.points) == 2


def test_undoing_the_last_include_clears_the_labels(session):
    cleared = _listen(session.labels_cleared)
    _click(session, POINT)
    session.undo()
    assert cleared


def test_another_encoder_needs_new_features(session, engine):
    session.encode()
    assert session.is_encoded
    session.choose(encoder="dinov3-s")
    assert not session.is_encoded
    _click(session, POINT)
    assert engine.of(EncodeVolume)[-1].request.encoder == "dinov3-s"


def test_another_threshold_does_not(session, engine):
    _click(session, POINT)
    session.choose(threshold=0.3)
    assert len(engine.of(EncodeVolume)) == 1
    assert engine.of(SegmentVolume)[-1].request.threshold == 0.3


def test_cancelling_leaves_nothing_under_way(session, engine):
    engine.holds = (EncodeVolume,)
    stopped = _listen(session.stopped)
    session.encode()
    assert session.is_encoding
    session.cancel_encoding()
    assert not session.is_encoding
    assert engine.of(EncodeVolume)[0].future.done()
    assert not _listen(session.failed)
    assert stopped == []


def test_taking_the_last_prompt_back_gives_up_its_labels(session, engine):
    _click(session, POINT)
    engine.holds = (SegmentVolume,)
    session.request_labels()
    session.undo()
    assert engine.of(SegmentVolume)[-1].future.done()


def test_an_error_is_said_once_and_nothing_is_lost(session, engine):
    engine.holds = (SegmentVolume,)
    session.encode()
    failed = _listen(session.failed)
    _click(session, POINT)
    engine.of(SegmentVolume)[-1].future.set_exception(EngineError("out of order"))
    assert failed == ["out of order"]
    assert session.annotation.prompts.points == (POINT,)
    assert session.path.exists()


def test_every_change_is_on_disk_at_once_and_taken_up_again(session, ball_volume):
    _click(session, POINT)
    later = Session(ball_volume[0], FakeEngine())
    later.resume_autosave()
    assert later.annotation == session.annotation


def test_it_is_kept_beside_the_file_where_that_can_be_written(ball_volume, tmp_path):
    source = tmp_path / "scan.nii.gz"
    assert (
        Session(ball_volume[0], FakeEngine(), source).path == tmp_path / "scan.dinomed.json"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(ball_volume, tmp_path):
    tmp_path.chmod(0o500)
    path = Session(ball_volume[0], FakeEngine(), tmp_path / "scan.nii.gz").path
    assert path.parent != tmp_path


def test_saving_and_opening(session, ball_volume, tmp_path):
    _click(session, POINT)
    session.choose(head="knn", threshold=0.4, window="auto")
    session.save(tmp_path / "mine.dinomed.json")
    stored = load_session(tmp_path / "mine.dinomed.json")
    assert stored.geometry == ball_volume[0].geometry
    assert stored.volume == ball_volume[0].fingerprint
    other = Session(ball_volume[0], FakeEngine())
    other.resume(tmp_path / "mine.dinomed.json")
    assert other.annotation == session.annotation
    assert other.choices == session.choices


def test_the_weights_are_in_the_session(session):
    session.encode()
    stored = session.to_file()
    assert stored.encoder_signature == "signature"
    assert stored.window == session.window


def test_no_file_name_is_in_the_session(ball_volume, tmp_path):
    session = Session(ball_volume[0], FakeEngine(), tmp_path / "DOE^JANE.nii.gz")
    session.change(session.annotation.with_new_label(Meaning.OBJECT))
    assert "DOE" not in session.path.read_text()


def test_another_volumes_session_is_refused(session, ball_volume, tmp_path):
    session.save(tmp_path / "a.dinomed.json")
    values = json.loads((tmp_path / "a.dinomed.json").read_text())
    values["volume"] = "0" * 32
    (tmp_path / "a.dinomed.json").write_text(json.dumps(values))
    with pytest.raises(DinomedError, match="another volume"):
        session.resume(tmp_path / "a.dinomed.json")


def test_a_damaged_autosave_is_left_alone(session, ball_volume):
    _click(session, POINT)
    session.path.write_text('{"volume": ')
    later = Session(ball_volume[0], FakeEngine(), session.path.parent / "x")
    later.path = session.path
    later.resume_autosave()
    assert not later.annotation.labels
    later.change(later.annotation.with_new_label(Meaning.OBJECT))
    assert session.path.read_text() == '{"volume": '


@pytest.mark.parametrize(
    "damage",
    [
        lambda v: v.pop("geometry"),
        lambda v: v.update(version=2),
        lambda v: v["annotation"]["labels"].clear(),
        lambda v: v["annotation"]["prompts"]["points"][0].update(voxel=[99, 0, 0]),
        lambda v: v["annotation"]["prompts"]["points"][0].update(label=0),
    ],
    ids=["part missing", "other version", "unknown label", "outside", "label 0"],
)
def test_sessions_that_contradict_themselves(session, tmp_path, damage):
    _click(session, POINT)
    path = tmp_path / "s.dinomed.json"
    save_session(path, session.to_file())
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    with pytest.raises(ReadError, match=r"s\.dinomed\.json"):
        load_session(path)


def test_a_session_that_is_not_there(tmp_path):
    with pytest.raises(ReadError, match="Cannot read"):
        load_session(tmp_path / "none.dinomed.json")

"""What the user does, and the answers that complete it, with an engine that is made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.making import Answer
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.engine.messages import (
    CloseVolume,
    EncodeVolume,
    OpenVolume,
    Progress,
    SegmentVolume,
    Stage,
)
from napari_dinomed.errors import (
    DocumentError,
    EngineError,
    ForgottenError,
    VolumeError,
    WeightsError,
)
from napari_dinomed.session.activity import Phase, View
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.deferred import Deferred
from napari_dinomed.session.file import load_document
from napari_dinomed.session.session import Session
from napari_dinomed.volume import Volume
from tests.conftest import LONG
from tests.fakes import FakeEngine

POINT = Point((8, 24, 30), 1)
OTHER = Point((2, 2, 2), 1)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def autosave(ball_volume):
    return Autosave(ball_volume[0].fingerprint)


@pytest.fixture
def session(ball_volume, engine, autosave):
    made = Session(ball_volume[0], engine, autosave)
    made.open()
    yield made
    made.close()


def again(session, engine=None):
    """The same volume, opened after the session was closed."""
    session.close()
    later = Session(session.volume, engine or FakeEngine(), Autosave(session.fingerprint))
    later.open()
    return later


def listen(signal_):
    heard = []
    signal_.connect(lambda *values: heard.append(values[0] if len(values) == 1 else values))
    return heard


# Clicks and answers


def test_the_first_click_computes_features_then_labels(session, engine):
    slices = listen(session.computing.slice_labelled)
    session.computing.look_at(View(0, 8))
    session.add(POINT)
    assert len(engine.of(EncodeVolume)) == 1
    assert slices[-1].labels[24, 30] == 1
    assert session.document.mask(1).count == 125
    assert session.document.waiting == ()
    assert session.computing.activity.phase is Phase.READY


def test_the_slice_in_view_is_encoded_first(session, engine):
    session.computing.look_at(View(0, 11))
    session.computing.encode()
    assert engine.of(EncodeVolume)[0].request.first == 11


def test_a_stale_answer_is_dropped(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    session.add(POINT)
    session.add(OTHER)
    first, second = engine.of(SegmentVolume)[-2:]
    first.answer()
    assert session.document.waiting == (1,)
    second.answer()
    assert session.document.waiting == ()
    assert session.document.mask(1).count > 125


def test_an_answer_for_another_window_is_dropped(session, engine):
    engine.holds = (EncodeVolume,)
    session.computing.encode()
    session.choose(1, "window", window="auto")
    session.computing.encode()
    first, second = engine.of(EncodeVolume)
    first.answer()
    assert not session.computing.is_encoded
    second.answer()
    assert session.computing.is_encoded


def test_along_how_many_axes_is_asked_for_and_kept_with_the_answer(session, engine):
    session.add(POINT)
    assert engine.of(EncodeVolume)[-1].request.planes == "auto"
    session.choose(1, "slices", planes="three")
    assert engine.of(EncodeVolume)[-1].request.planes == "three"
    answers = [deed for deed in session.to_save().made if isinstance(deed, Answer)]
    assert [answer.features.planes for answer in answers] == ["auto", "three"]
    session.undo()
    assert engine.of(EncodeVolume)[-1].request.planes == "three"
    session.add(OTHER)
    assert engine.of(EncodeVolume)[-1].request.planes == "auto"


def test_an_answer_concerns_its_label_alone(session, engine):
    session.add(POINT)
    one = session.document.mask(1)
    session.change(session.document.with_new_label(), "new label")
    session.add(Point((8, 24, 33), 2))
    assert engine.of(SegmentVolume)[-1].request.wanted == (2,)
    assert session.document.mask(1) is one


def test_what_is_asked_is_what_had_been_said_by_then(session, engine):
    """A later click on another label does not change what this one's answer heeds."""
    session.change(session.document.with_new_label(), "new label")
    session.add(POINT)
    engine.holds = (SegmentVolume,)
    session.add(Point((8, 30, 30), 1))
    session.add(Point((2, 2, 2), 2))
    engine.holds = ()
    for asked in engine.of(SegmentVolume):
        asked.answer()
    last = engine.of(SegmentVolume)[-1].request
    assert last.wanted == (1,)
    assert {prompt.label for prompt in last.prompts.all} == {1}


def test_renaming_and_locking_compute_nothing(session, engine):
    session.add(POINT)
    count = len(engine.asked)
    spleen = replace(session.document.find(1), name="spleen")
    session.change(session.document.with_label(spleen), "name")
    session.finish(1)
    session.reopen(1)
    assert len(engine.asked) == count


# Steps


def test_undo_takes_back_a_click_and_its_answer_without_computing(session, engine):
    session.add(POINT)
    before = session.document
    session.add(OTHER)
    count = len(engine.of(SegmentVolume))
    after = session.document
    session.undo()
    assert session.document == before
    session.redo()
    assert session.document == after
    assert len(engine.of(SegmentVolume)) == count


def test_undo_of_a_click_not_answered_yet_drops_its_answer(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    blank = session.document
    session.add(POINT)
    session.undo()
    engine.of(SegmentVolume)[-1].answer()
    assert session.document == blank
    session.redo()
    engine.of(SegmentVolume)[-1].answer()
    assert session.document.mask(1).count == 125


def test_steps_are_named(session):
    session.add(POINT)
    session.add(Point((8, 30, 30), 1))
    session.add(replace(OTHER, include=False))
    assert session.history.undoes == "1st excluding click on Label 1"
    session.undo()
    assert session.history.undoes == "2nd click on Label 1"
    assert session.history.redoes == "1st excluding click on Label 1"


def test_opening_is_the_floor(session):
    session.add(POINT)
    later = again(session)
    assert later.document == session.document
    later.undo()
    assert later.document == session.document
    later.close()


def test_taking_back_the_last_label_leaves_one(session):
    while session.history.undoes:
        session.undo()
    session.undo()
    assert len(session.document.labels) == 1
    session.add(POINT)
    assert session.document.mask(1)


# Choices


def test_another_encoder_needs_new_features(session, engine):
    session.add(POINT)
    session.choose(1, "encoder", encoder="dinov3-s")
    assert engine.of(EncodeVolume)[-1].request.encoder == "dinov3-s"
    assert session.document.waiting == ()
    session.undo()
    assert session.document.choices.encoder == "filters"
    assert not session.computing.is_encoded


def test_a_choice_changes_the_label_in_work_alone(session, engine):
    session.add(POINT)
    session.change(session.document.with_new_label(), "new label")
    session.add(Point((2, 2, 2), 2))
    count = len(engine.of(EncodeVolume))
    session.choose(2, "threshold 0.30", threshold=0.3)
    assert len(engine.of(EncodeVolume)) == count
    assert engine.of(SegmentVolume)[-1].request.wanted == (2,)
    assert engine.of(SegmentVolume)[-1].request.threshold == 0.3


def test_images_seen_together_are_kept_with_the_document(session, ball_volume, engine):
    volume = ball_volume[0]
    other = replace(volume, array=volume.array[::-1].copy())
    session.see_with(1, (other,))
    session.add(POINT)
    assert len(engine.of(OpenVolume)[-1].request.others) == 1
    later_engine = FakeEngine()
    later = again(session, later_engine)
    failed = listen(later.failed)
    later.add(OTHER)
    assert "not open" in failed[-1]
    later.computing.know((other,))
    later.computing.encode()
    assert len(later_engine.of(OpenVolume)[-1].request.others) == 1
    assert later.document.waiting == ()
    later.close()


def test_images_of_another_grid_are_refused(session, ball_volume):
    volume = ball_volume[0]
    flat = Volume(
        volume.array[:4],
        type(volume.geometry).from_spacing((4, 48, 56), (3, 0.7, 0.7), "mm"),
    )
    with pytest.raises(VolumeError, match="same grid"):
        session.see_with(1, (flat,))
    assert session.document.choices.others == ()


# Computing


def test_cancelling_leaves_nothing_under_way(session, engine):
    engine.holds = (EncodeVolume,)
    session.computing.encode()
    assert session.computing.activity.phase is Phase.ENCODING
    session.computing.cancel()
    assert session.computing.activity.phase is Phase.BARE
    assert engine.of(EncodeVolume)[0].future.done()


def test_progress_after_cancelling_is_not_heard(session, engine):
    engine.holds = (EncodeVolume,)
    session.computing.encode()
    session.computing.cancel()
    heard = listen(session.computing.acted)
    engine.of(EncodeVolume)[0].on_event(Progress(3, 16, Stage.SLICES))
    assert heard == []


def test_a_click_kept_from_being_answered_is_answered_later(session, engine):
    engine.holds = (EncodeVolume, SegmentVolume)
    session.add(POINT)
    session.computing.cancel()
    assert session.document.waiting == (1,)
    engine.holds = ()
    session.computing.encode()
    assert session.document.waiting == ()


def test_an_error_is_said_once_and_nothing_is_lost(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    failed = listen(session.failed)
    session.add(POINT)
    engine.of(SegmentVolume)[-1].future.set_exception(EngineError("out of order"))
    assert failed == ["out of order"]
    assert session.document.prompts.points == (POINT,)
    assert session.computing.activity.phase is Phase.READY
    engine.holds = ()
    session.add(OTHER)
    assert session.document.waiting == ()


def test_after_a_failed_start_the_next_click_starts_again(session, engine):
    engine.holds = (OpenVolume, EncodeVolume, SegmentVolume)
    failed = listen(session.failed)
    session.add(POINT)
    engine.of(OpenVolume)[-1].future.set_exception(EngineError("cannot be started"))
    for asked in (*engine.of(EncodeVolume), *engine.of(SegmentVolume)):
        if not asked.future.done():
            asked.future.set_exception(EngineError("Open the volume first"))
    assert failed == ["cannot be started"]
    engine.holds = ()
    session.add(OTHER)
    assert len(engine.of(OpenVolume)) == 2
    assert session.document.waiting == ()


def test_what_the_engine_has_forgotten_the_next_click_hands_over_again(session, engine):
    session.add(POINT)
    engine.holds = (SegmentVolume,)
    session.add(OTHER)
    engine.of(SegmentVolume)[-1].future.set_exception(ForgottenError("Open the volume"))
    engine.holds = ()
    session.add(Point((3, 3, 3), 1))
    assert (len(engine.of(OpenVolume)), len(engine.of(EncodeVolume))) == (2, 2)
    assert session.document.waiting == ()


def test_done_waits_for_the_answer(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    said = listen(session.noticed)
    session.add(POINT)
    session.finish(1)
    assert not session.document.find(1).is_done
    assert "still being answered" in said[-1]
    engine.of(SegmentVolume)[-1].answer()
    assert session.document.find(1).is_done
    assert session.document.mask(1).count == 125


def test_saving_waits_for_the_answer(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    session.add(POINT)
    counts = []
    session.after_answers(
        Deferred("saving", lambda: counts.append(session.document.mask(1).count))
    )
    assert counts == []
    engine.of(SegmentVolume)[-1].answer()
    assert counts == [125]


def test_an_encoder_that_cannot_be_had_does_not_stay_chosen(session, engine):
    session.add(POINT)
    engine.holds = (EncodeVolume,)
    session.choose(1, "encoder", encoder="file:broken")
    engine.of(EncodeVolume)[-1].future.set_exception(WeightsError("no weights"))
    assert session.document.choices.encoder == "filters"
    assert session.document.mask(1).count == 125


def test_an_engine_that_dies_changes_no_choice(session, engine):
    session.add(POINT)
    engine.holds = (EncodeVolume,)
    session.choose(1, "encoder", encoder="dinov3-s")
    engine.of(EncodeVolume)[-1].future.set_exception(EngineError("it died"))
    assert session.document.choices.encoder == "dinov3-s"


def test_what_waits_for_an_answer_is_withdrawn_with_it(session, engine):
    """Nothing is saved or locked of which the last click is not a part, without a word."""
    for end in ("cancel", "fail", "undo"):
        engine.holds = (SegmentVolume,)
        said, done = listen(session.noticed), []
        session.add(Point((1, 2, len(session.document.prompts.all)), 1))
        session.after_answers(Deferred("saving to a.nii.gz", lambda: done.append(1)))  # noqa: B023
        session.finish(1)
        if end == "cancel":
            session.computing.cancel()
        elif end == "undo":
            session.undo()
        else:
            engine.of(SegmentVolume)[-1].future.set_exception(EngineError("out of order"))
        engine.of(SegmentVolume)[-1].answer()
        assert done == []
        assert not session.document.find(1).is_done
        withdrawn = [text for text in said if text.startswith("Withdrawn")]
        assert ["saving to a" in text for text in withdrawn] == [True, False]


def test_what_must_be_saved_is_saved_when_the_volume_goes(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    session.add(POINT)
    done, said = [], listen(session.noticed)
    act = Deferred("saving to a.nii.gz", lambda: done.append(1), survives_closing=True)
    session.after_answers(act)
    session.close()
    assert done == [1]
    assert "before the last click was answered" in said[-1]


def test_locking_waits_for_its_own_label_only(session, engine):
    session.add(POINT)
    session.change(session.document.with_new_label(), "new label")
    engine.holds = (SegmentVolume,)
    session.add(Point((2, 2, 2), 2))
    session.finish(1)
    assert session.document.find(1).is_done


def test_undo_of_something_else_keeps_an_answer(session, engine):
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    session.add(POINT)
    named = replace(session.document.find(1), name="spleen")
    session.change(session.document.with_label(named), "name")
    engine.of(SegmentVolume)[-1].answer()
    count = len(engine.of(SegmentVolume))
    session.undo()
    assert session.document.mask(1).count == 125
    assert len(engine.of(SegmentVolume)) == count


# On disk


def test_opening_writes_nothing(session, home):
    assert list(home.rglob("*.json")) == []
    session.computing.encode()
    assert list(home.rglob("*.json")) == []
    later = again(session)
    assert list(home.rglob("*.json")) == []
    later.close()


def test_one_change_is_one_save(session, monkeypatch):
    writes = []
    kept = Autosave.write
    monkeypatch.setattr(
        Autosave, "write", lambda self, saved: (writes.append(saved), kept(self, saved))
    )
    session.change(session.document.with_new_label(), "new label")
    assert len(writes) == 1
    session.computing.encode()
    assert len(writes) == 1


def test_every_change_is_on_disk_at_once_and_taken_up_again(session, autosave):
    session.add(POINT)
    assert load_document(autosave.path).document == session.document
    session.change(session.document.with_erasure(session.document.mask(1), 1), "eraser")
    session.choose(1, "threshold", threshold=0.4)
    later = again(session)
    assert later.document == session.document
    later.close()


def test_a_kill_loses_nothing_that_was_said(home, tmp_path):
    """Killed at any moment of taking up and going on, what was saved before is there."""
    script = textwrap.dedent("""
        import sys, numpy as np
        from napari_dinomed.annotation.prompts import Point
        from napari_dinomed.session.autosave import Autosave
        from napari_dinomed.session.session import Session
        from napari_dinomed.volume import Geometry, Volume
        from tests.fakes import FakeEngine
        array = np.arange(8 * 8 * 8, dtype=np.int16).reshape(8, 8, 8)
        volume = Volume(array, Geometry.from_spacing((8, 8, 8), (1, 1, 1), "mm"), "MR")
        session = Session(volume, FakeEngine(), Autosave(volume.fingerprint))
        session.open()
        first = len(session.document.prompts.points)
        print(first, flush=True)
        for number in range(first, 5000):
            session.add(Point((number % 8, number // 8 % 8, 3), 1))
            print(number + 1, flush=True)
    """)
    said = 0
    for turn in range(100 if LONG else 8):
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert int(child.stdout.readline()) >= said
        for _ in range(5 * (turn % 8)):
            said = int(child.stdout.readline() or said)
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        said = int(rest[-1]) if rest and rest[-1].isdigit() else said
        child.wait()
    (kept,) = (home / "documents").glob("*.dinomed.json")
    assert len(load_document(kept).document.prompts.points) >= said > 50


def test_two_files_of_one_stem_never_meet(ball_volume, tmp_path):
    volume = ball_volume[0]
    other = replace(volume, array=volume.array + 1)
    one = Autosave(volume.fingerprint, tmp_path / "scan.1.nii.gz", is_beside=True)
    two = Autosave(other.fingerprint, tmp_path / "scan.2.nii.gz", is_beside=True)
    assert one.path != two.path
    assert one.path.parent == two.path.parent == tmp_path
    assert one.path.name.startswith("scan.")


def test_it_is_kept_in_the_users_folder_unless_told_otherwise(autosave, home):
    assert home in autosave.path.parents


def test_it_is_found_where_it_was_kept_whatever_is_preferred_now(ball_volume, tmp_path):
    volume, image = ball_volume[0], tmp_path / "scan.nii.gz"
    session = Session(
        volume, FakeEngine(), Autosave(volume.fingerprint, image, is_beside=True)
    )
    session.open()
    session.add(POINT)
    session.close()
    assert Autosave(volume.fingerprint, image).path.parent == tmp_path
    assert Autosave(volume.fingerprint).path.parent != tmp_path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_beside_an_image_that_cannot_be_written_to(ball_volume, tmp_path, home):
    tmp_path.chmod(0o500)
    image = tmp_path / "scan.nii.gz"
    place = Autosave(ball_volume[0].fingerprint, image, is_beside=True).path
    assert home in place.parents


def test_a_second_window_is_told_and_only_looks(session, ball_volume):
    session.add(POINT)
    second = Session(ball_volume[0], FakeEngine(), Autosave(session.fingerprint))
    said = listen(second.noticed)
    second.open()
    assert "another window" in said[0]
    assert second.document == session.document
    with pytest.raises(DocumentError, match="only looks"):
        second.add(OTHER)
    assert second.document == session.document
    second.close()


def test_taking_over_leaves_the_first_window_looking(session, ball_volume):
    session.add(POINT)
    second = Session(ball_volume[0], FakeEngine(), Autosave(session.fingerprint))
    second.open()
    second.take_over()
    second.add(OTHER)
    said = listen(session.noticed)
    session.change(session.document.with_new_label(), "new label")
    assert "Another window" in said[-1]
    assert session.is_read_only
    second.close()
    assert load_document(Autosave(session.fingerprint).path).document == second.document
    session.take_over()
    assert session.document == second.document
    session.undo()
    assert len(session.document.labels) == 2


def test_taking_over_with_an_answer_on_its_way(session, engine, ball_volume):
    session.change(session.document.with_new_label(), "new label")
    session.computing.encode()
    engine.holds = (SegmentVolume,)
    session.add(Point((2, 2, 2), 2))
    second = Session(ball_volume[0], FakeEngine(), Autosave(session.fingerprint))
    second.open()
    second.take_over()
    second.change(second.document.without_label(2), "remove")
    second.close()
    session.change(session.document.with_new_label(), "new label")
    session.take_over()
    for asked in engine.of(SegmentVolume):
        asked.answer()
    later = again(session)
    assert [label.id for label in later.document.labels] == [1]
    later.close()


def test_a_document_deleted_underneath_is_written_again(session, autosave):
    session.add(POINT)
    autosave.path.unlink()
    session.add(OTHER)
    assert not session.is_read_only
    later = again(session)
    assert len(later.document.prompts.points) == 2
    later.close()


def test_what_another_window_kept_from_being_saved_is_kept_aside(session, ball_volume):
    session.add(POINT)
    second = Session(ball_volume[0], FakeEngine(), Autosave(session.fingerprint))
    second.open()
    second.take_over()
    session.add(OTHER)
    said = listen(session.noticed)
    session.close()
    assert "kept-1" in said[-1]
    (kept,) = Autosave(session.fingerprint).path.parent.glob("*.kept-1.*json")
    assert len(load_document(kept).document.prompts.points) == 2
    second.close()


def test_without_a_lock_one_goes_on(ball_volume, monkeypatch, tmp_path):
    (tmp_path / f"napari-dinomed-{os.getuid()}").write_text("in the way")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    session = Session(ball_volume[0], FakeEngine(), Autosave(ball_volume[0].fingerprint))
    session.open()
    session.add(POINT)
    assert not session.is_read_only
    session.close()


def test_a_document_that_says_another_shape(session, autosave):
    session.add(POINT)
    session.close()
    values = json.loads(autosave.path.read_text())
    values["geometry"]["shape"] = [99, 99, 99]
    autosave.path.write_text(json.dumps(values))
    later = Session(session.volume, FakeEngine(), Autosave(session.fingerprint))
    said = listen(later.noticed)
    later.open()
    assert "damaged" in said[0]
    assert later.document.is_blank
    later.close()


def test_no_room_to_save(session, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    failed = listen(session.failed)
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        session.add(POINT)
        assert "tried again" in failed[-1]
        assert "No space left" in failed[-1]
    assert session.document.mask(1).count == 125
    assert not session.keeping.is_saved
    session.add(OTHER)
    assert session.keeping.is_saved
    later = again(session)
    assert later.document == session.document
    later.close()


def test_a_home_that_cannot_be_written(session, home, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    failed = listen(session.failed)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.mkdir", refused)
        session.add(POINT)
    assert "Permission denied" in failed[-1]
    assert session.document.mask(1).count == 125


def test_a_damaged_document_is_left_and_kept(session, autosave):
    session.add(POINT)
    session.close()
    autosave.path.write_text('{"volume": ')
    later = Session(session.volume, FakeEngine(), Autosave(session.fingerprint))
    said = listen(later.noticed)
    later.open()
    assert "damaged" in said[0]
    assert later.document.is_blank
    assert autosave.path.read_text() == '{"volume": '
    later.add(OTHER)
    (kept,) = autosave.path.parent.glob("*.kept-1.*json")
    assert kept.read_text() == '{"volume": '
    assert kept.name in said[1]
    assert load_document(autosave.path).document == later.document
    later.close()


def test_a_copy_of_ones_own(session, tmp_path):
    session.add(POINT)
    path = tmp_path / "mine.dinomed.json"
    session.save(path)
    saved = session.document
    session.add(OTHER)
    session.resume(path)
    assert session.document == saved
    assert session.history.undoes == "open mine.dinomed.json"


def test_another_volumes_document_is_refused(session, ball_volume, tmp_path):
    session.add(POINT)
    path = tmp_path / "a.dinomed.json"
    session.save(path)
    other = Session(replace(ball_volume[0], array=ball_volume[0].array + 1), FakeEngine())
    with pytest.raises(DocumentError, match="another volume"):
        other.resume(path)


def test_no_file_name_is_in_the_document(ball_volume, tmp_path):
    source = tmp_path / "DOE^JANE.nii.gz"
    session = Session(ball_volume[0], FakeEngine(), Autosave(ball_volume[0].fingerprint))
    session.open()
    session.add(POINT)
    path = Autosave(session.fingerprint, source).path
    assert path.exists()
    assert "DOE" not in path.read_text()
    session.close()


def test_closing_lets_the_engine_forget(session, engine):
    session.add(POINT)
    session.close()
    assert len(engine.of(CloseVolume)) == 1


def test_the_meaning_of_the_first_label(ball_volume):
    session = Session(ball_volume[0], FakeEngine(), meaning=Meaning.ALL_LIKE_THIS)
    assert session.document.labels[0].meaning is Meaning.ALL_LIKE_THIS


def test_what_is_saved_is_what_the_masks_say(session):
    session.add(POINT)
    labels = session.document.labels_of(session.volume.geometry.shape)
    assert labels.dtype == np.uint8
    assert (labels == 1).sum() == session.document.mask(1).count

"""What is loaded into the model is the user's choice, never a document's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.making import BLANK, Change
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.engine.messages import EncodeVolume
from napari_dinomed.errors import WeightsError
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.file import SavedDocument, save_document
from napari_dinomed.session.session import Session
from napari_dinomed.settings import load_settings
from napari_dinomed.volume import choose_window
from tests.fakes import FakeEngine

THEIRS = "file:\\\\somewhere\\share\\weights.pth"


@pytest.fixture
def theirs(ball_volume):
    """A document that names a file of weights, as a colleague or a stranger sends it."""
    volume, _ = ball_volume
    document = Document.begun().with_prompt(Point((8, 24, 30), 1))
    document = replace(document, choices=replace(document.choices, encoder=THEIRS))
    window = choose_window(volume)
    return SavedDocument(volume.fingerprint, volume.geometry, window, "", document)


def _session(volume, engine):
    session = Session(volume, engine, Autosave(volume.fingerprint))
    said = []
    session.noticed.connect(said.append)
    session.open()
    return session, said


def _encoders(engine):
    return {asked.request.encoder for asked in engine.of(EncodeVolume)}


@pytest.mark.parametrize("way", ["lay there", "was opened"])
def test_a_document_does_not_choose_a_file_to_load(ball_volume, theirs, tmp_path, way):
    volume, engine = ball_volume[0], FakeEngine()
    path = Autosave(volume.fingerprint).path if way == "lay there" else tmp_path / "a.json"
    path.parent.mkdir(exist_ok=True)
    save_document(path, theirs)
    session, said = _session(volume, engine)
    if way == "was opened":
        session.resume(path)
    assert session.document.choices.encoder == "filters"
    assert len(session.document.prompts.all) == 1
    session.add(Point((9, 24, 30), 1))
    # How it came to be tells of that, too.
    document = BLANK
    for deed in session.history.made:
        if isinstance(deed, Change):
            document = deed.done_to(document)
    assert document.choices == session.document.choices
    assert _encoders(engine) == {"filters"}
    assert ["weights.pth" in text and "built-in filters" in text for text in said] == [True]


def test_the_user_chooses_it_once(ball_volume, theirs, tmp_path):
    volume, engine = ball_volume[0], FakeEngine()
    session, _ = _session(volume, engine)
    session.choose(1, "encoder", encoder=THEIRS)
    session.add(Point((8, 24, 30), 1))
    session.close()
    again, said = _session(volume, FakeEngine())
    assert again.document.choices.encoder == THEIRS
    save_document(tmp_path / "a.json", theirs)
    again.resume(tmp_path / "a.json")
    assert again.document.choices.encoder == THEIRS
    assert said == []


def test_a_path_that_is_no_text_is_refused_and_nothing_is_changed(ball_volume):
    session, _ = _session(ball_volume[0], FakeEngine())
    session.add(Point((8, 24, 30), 1))
    before = session.document
    with pytest.raises(WeightsError, match="Rename the file"):
        session.choose(1, "encoder", encoder="file:weights-\udce9.pth")
    assert session.document is before
    assert load_settings().weight_files == ()


def test_settings_that_cannot_be_read_or_kept_stop_nothing(ball_volume, theirs, home):
    volume, engine = ball_volume[0], FakeEngine()
    (home / "settings.json").write_text("[")
    session, _ = _session(volume, engine)
    session.choose(1, "encoder", encoder=THEIRS)
    session.add(Point((8, 24, 30), 1))
    assert _encoders(engine) == {THEIRS}
    session.close()
    again, said = _session(volume, FakeEngine())
    assert again.document.choices.encoder == "filters"
    assert len(said) == 1


def test_only_so_many_are_remembered(ball_volume):
    session, _ = _session(ball_volume[0], FakeEngine())
    for number in range(30):
        session.choose(1, "encoder", encoder=f"file:{number}.pth")
    assert load_settings().weight_files[0] == "file:29.pth"
    assert len(load_settings().weight_files) == 20

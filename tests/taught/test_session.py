"""A model in a session: remember, propose, correct, take back; through a real engine."""

from __future__ import annotations

import re
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.continuing import continued_from
from napari_dinomed.annotation.labels import Effort
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.asked import Call
from napari_dinomed.engine.messages import TeachModel
from napari_dinomed.errors import DocumentError
from napari_dinomed.session.session import Session
from napari_dinomed.taught.header import Lesson, read_header
from tests.taught.conftest import InProcess, scan


def _session(seed):
    volume, truth = scan(seed)
    session, said = Session(volume, InProcess()), []
    session.noticed.connect(said.append)
    session.failed.connect(said.append)
    return session, truth, said


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that two sessions were remembered in."""
    path = tmp_path_factory.mktemp("models") / "balls.dinomed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        for seed in (5, 6):
            session, truth, said = _session(seed)
            session.change(continued_from(session.document, truth, ()), "continue")
            session.models.remember(path, (1, 2))
            assert "has learnt from" in said[-1]
            session.close()
    assert read_header(path).volumes == 2
    return path


def test_what_users_did_for_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    path = tmp_path / "m.dinomed"
    for seed in (5, 6):
        session, truth, _ = _session(seed)
        session.add(Point(tuple(int(v) for v in np.argwhere(truth == 1).mean(0)), 1))
        session.add(Stroke(Mask.of_voxels(np.argwhere(truth == 1)[:7]), 1))
        dab = Mask.of_voxels(np.argwhere(truth == 1)[:30])
        session.change(session.document.with_edit(dab, 1), "brush")
        session.models.remember(path, (1,))
        session.close()
    (lesson,) = read_header(path).lessons
    assert lesson.effort == Effort(2, 2 * 37)
    assert Lesson(lesson.label, {0: replace(lesson.amounts[0], effort=None)}).effort is None


def test_what_was_remembered_is_proposed_in_the_next_volume(model):
    session, truth, said = _session(7)
    session.models.propose(model)
    document = session.document
    assert [label.name for label in document.labels] == ["Label 1", "Label 2"]
    labels = document.labels_of(truth.shape)
    assert dice(truth == 1, labels == 1) > 0.75
    assert dice(truth == 2, labels == 2) > 0.75
    assert not document.hand
    found = re.search(r"balls proposes Label 1 \(Dice (\S+) elsewhere\), Label 2", said[-1])
    assert float(found[1]) == round(read_header(model).lessons[0].mean_dice, 2)


def test_a_click_corrects_a_proposal_and_undo_brings_it_back(model):
    session, truth, _ = _session(7)
    session.models.propose(model)
    proposed = session.document
    inside = np.argwhere(truth == 1)
    session.add(Point(tuple(inside[len(inside) // 2].tolist()), 1))
    corrected = session.document
    assert dice(truth == 1, corrected.labels_of(truth.shape) == 1) > 0.75
    session.undo()
    assert session.document == proposed
    assert session.history.undoes == "propose from balls"
    session.redo()
    session.change(
        session.document.with_prompts(session.document.prompts.without_label(1)),
        "remove clicks",
    )
    assert session.document.mask(1) == proposed.mask(1)


def test_excluding_all_that_was_clicked_keeps_the_proposal(model):
    session, truth, _ = _session(7)
    session.models.propose(model)
    edge = np.argwhere(session.document.labels_of(truth.shape) == 1)[0]
    session.add(Point(tuple(edge.tolist()), 1, include=False))
    found = session.document.labels_of(truth.shape) == 1
    assert not found[tuple(edge)]
    assert dice(truth == 1, found) > 0.7


def test_a_proposal_leaves_alone_what_the_user_made(model):
    session, truth, _ = _session(7)
    inside = np.argwhere(truth == 1)
    session.add(Point(tuple(inside[len(inside) // 2].tolist()), 1))
    mine = session.document.mask(1)
    session.models.propose(model)
    assert session.document.mask(1) == mine
    assert session.document.mask(2)
    assert 1 not in session.document.starts


def test_nothing_to_remember_is_said(model):
    session, _, _ = _session(8)
    with pytest.raises(DocumentError, match="a label to remember"):
        session.models.remember(model, (1,))


def test_a_damaged_model_is_refused_and_nothing_changes(model, tmp_path):
    session, _, said = _session(8)
    damaged = tmp_path / "damaged.dinomed"
    damaged.write_bytes(model.read_bytes()[:1000])
    before = session.document
    session.models.propose(damaged)
    assert "cannot be read" in said[-1]
    assert session.document == before
    assert not session.computing.is_answering


def test_who_closes_a_volume_that_is_being_learnt_is_told_and_the_model_stays(
    model, tmp_path
):
    class Slow(InProcess):
        """It learns for ever."""

        def submit(self, request, on_event=None):
            if isinstance(request, TeachModel):
                return Call(Future(), lambda: withdrawn.append(request))
            return super().submit(request, on_event)

    path = tmp_path / "copy.dinomed"
    path.write_bytes(model.read_bytes())
    withdrawn, said = [], []
    volume, truth = scan(8)
    session = Session(volume, Slow())
    session.noticed.connect(said.append)
    session.change(continued_from(session.document, truth, ()), "continue")
    assert not session.models.parting
    session.models.remember(path, (1, 2))
    assert "had not learnt this volume yet" in session.models.parting
    session.close()
    assert "copy had not learnt this volume yet" in said[-1]
    assert len(withdrawn) == 1
    assert path.read_bytes() == model.read_bytes()

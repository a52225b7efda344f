"""How probable a label is in the plane in view, with an engine that is made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.engine.messages import EncodeVolume, ReadProbability, SegmentVolume
from napari_dinomed.errors import EngineError
from napari_dinomed.session.activity import View
from napari_dinomed.session.session import Session
from tests.fakes import FakeEngine

POINT = Point((8, 24, 30), 1)
OTHER = Point((2, 9, 9), 2)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def session(ball_volume, engine):
    made = Session(ball_volume[0], engine)
    made.open()
    made.computing.look_at(View(0, 8))
    made.add(POINT)
    yield made
    made.close()


@pytest.fixture
def probing(session):
    return session.computing.probing


@pytest.fixture
def found(probing):
    heard = []
    probing.found.connect(heard.append)
    return heard


def asked(engine):
    """Label, axis and index of what was asked."""
    answers = [one.request.answer for one in engine.of(ReadProbability)]
    return [(one.wanted[0], one.view_axis, one.view_index) for one in answers]


def with_label(session):
    session.change(session.document.with_new_label(), "new label")


def test_it_follows_plane_label_and_answer_until_it_is_over(
    session, engine, probing, found
):
    probing.look_for(1)
    assert probing.is_on
    assert (found[-1].axis, found[-1].index) == (0, 8)
    assert found[-1].parts[24, 30] == 204
    session.computing.look_at(View(1, 24))
    assert (found[-1].axis, found[-1].index) == (1, 24)
    session.add(Point((4, 24, 5), 1))
    assert found[-1].parts[4, 5] == 204
    session.undo()
    assert found[-1].parts[4, 5] == 0
    with_label(session)
    session.add(OTHER)
    probing.look_for(2)
    assert None in found
    assert asked(engine)[-1] == (2, 1, 24)
    probing.end()
    assert found[-1] is None
    heard = len(found)
    session.computing.look_at(View(0, 3))
    session.add(Point((4, 24, 5), 2))
    assert len(found) == heard


def test_what_is_seen_already_is_not_asked_again(session, engine, probing, found):
    probing.look_for(1)
    probing.look_for(1)
    session.computing.look_at(View(0, 8))
    painted = Mask.of_voxels(np.array([(1, 1, 1)]))
    session.change(session.document.with_edit(painted, 1), "brush")
    assert asked(engine) == [(1, 0, 8)]
    assert found[-1] is not None


def test_while_scrolling_one_plane_is_asked_for_and_then_the_last(
    session, engine, probing, found
):
    engine.holds = (ReadProbability,)
    probing.look_for(1)
    for index in range(9, 14):
        session.computing.look_at(View(0, index))
    assert asked(engine) == [(1, 0, 8)]
    engine.of(ReadProbability)[0].answer()
    assert asked(engine) == [(1, 0, 8), (1, 0, 13)]
    engine.of(ReadProbability)[1].answer()
    assert found[-1].index == 13
    assert len(asked(engine)) == 2


def test_another_answer_does_not_wait_for_the_one_before(session, engine, probing, found):
    engine.holds = (ReadProbability,)
    probing.look_for(1)
    session.add(Point((8, 24, 40), 1))
    first, second = engine.of(ReadProbability)
    assert first.future.exception() is not None
    second.answer()
    assert found[-1].parts[24, 40] == 204


def test_a_label_that_waits_is_asked_about_once_it_is_answered(
    session, engine, probing, found
):
    probing.look_for(1)
    engine.holds = (SegmentVolume,)
    session.add(Point((8, 24, 40), 1))
    assert len(asked(engine)) == 1
    assert found[-1].parts[24, 40] == 0
    engine.of(SegmentVolume)[-1].answer()
    assert found[-1].parts[24, 40] == 204


def test_what_has_no_answer_is_said_once(session, engine, probing, found):
    said = []
    session.noticed.connect(said.append)
    with_label(session)
    painted = Mask.of_voxels(np.array([(1, 1, 1)]))
    session.change(session.document.with_edit(painted, 2), "brush")
    starts = {**session.document.starts, 2: painted}
    session.change(replace(session.document, starts=starts), "proposal")
    probing.look_for(2)
    for index in range(4):
        session.computing.look_at(View(0, index))
    assert said == [
        "Label 2 has no probability to see before a click on it is answered: what is "
        "painted or proposed has none."
    ]
    assert found[-1] is None
    assert not asked(engine)
    session.add(OTHER)
    assert asked(engine) == [(2, 0, 3)]
    assert probing.is_on


def test_without_features_it_comes_when_they_do(ball_volume, engine, session):
    said = []
    later = Session(ball_volume[0], engine)
    later.open()
    later.change(session.document, "as it was")
    later.noticed.connect(said.append)
    later.computing.probing.look_for(1)
    assert "once features are computed" in said[-1]
    later.computing.encode()
    assert len(asked(engine)) == 1
    later.close()


def test_what_fails_is_said_once_and_is_over(session, engine, probing, monkeypatch):
    failed = []
    session.failed.connect(failed.append)

    def refuse(answer):
        raise EngineError("not today")

    monkeypatch.setattr(engine, "_read_probability", refuse)
    switched = []
    probing.switched.connect(switched.append)
    probing.look_for(1)
    session.computing.look_at(View(0, 3))
    assert failed == ["not today"]
    assert switched == [True, False]


def test_cancelling_gives_up_a_plane_that_is_on_its_way(session, engine, probing):
    probing.look_for(1)
    session.computing.cancel()
    assert probing.is_on
    engine.holds = (ReadProbability,)
    session.computing.look_at(View(0, 3))
    session.computing.cancel()
    assert not probing.is_on
    assert engine.of(ReadProbability)[-1].future.exception() is not None


def test_it_is_no_part_of_the_document(session, engine, probing):
    before, steps = session.document, session.history.past
    probing.look_for(1)
    session.computing.look_at(View(2, 30))
    probing.end()
    assert session.document == before
    assert session.history.past == steps
    assert len(engine.of(EncodeVolume)) == 1
    assert len(engine.of(SegmentVolume)) == 1

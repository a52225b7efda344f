"""Adapting an encoder to a document: what teaches, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.annotation.choices import Choices
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import State
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.messages import (
    Adapted,
    AdaptEncoder,
    CloseVolume,
    Notice,
    OpenVolume,
    Progress,
    Stage,
)
from napari_dinomed.errors import DocumentError, ModelError
from napari_dinomed.session.adapting import Adapting, taught_by
from napari_dinomed.volume import Geometry, Volume
from tests.fakes import FakeEngine
from tests.features.test_adapter import HEADER

SHAPE = (6, 8, 8)
VOLUME = Volume(
    np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE),
    Geometry.from_spacing(SHAPE, (50.0, 4.0, 4.0), "nm"),
    "EM",
)


def _block(first: int, last: int) -> Mask:
    return Mask.of(np.ones((last - first, 3, 3), bool), (first, 2, 2))


def _painted(encoder: str = "dinov3-s") -> Document:
    """An answer on all slices, of which two were touched by a brush."""
    document = Document.begun()
    return replace(
        document,
        masks={1: _block(0, 6)},
        hand=_block(1, 2) | _block(4, 5),
        choices=Choices(encoder),
    )


def test_slices_that_a_hand_touched_teach_and_others_do_not():
    labels = taught_by(_painted(), SHAPE)
    assert np.flatnonzero(labels.any((1, 2))).tolist() == [1, 4]
    assert labels[1].sum() == 9


def test_all_slices_of_what_is_done_teach():
    document = _painted()
    done = replace(document, labels=(replace(document.labels[0], state=State.DONE),))
    assert taught_by(done, SHAPE).any((1, 2)).all()


def test_answers_that_nobody_looked_at_do_not_teach():
    with pytest.raises(DocumentError, match="at least two slices"):
        taught_by(replace(_painted(), hand=_block(1, 2)), SHAPE)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [("filters", "nothing to adapt"), ("dinov3-s+mito", "has an adapter already")],
)
def test_only_a_transformer_without_an_adapter_is_adapted(encoder, said):
    engine = FakeEngine()
    with pytest.raises(DocumentError, match=said):
        Adapting(engine, lambda work: work()).start(VOLUME, _painted(encoder), Path("a"))
    assert not engine.asked


class _Run:
    """A run whose answer is held back, and all that was told of it."""

    def __init__(self):
        self.engine = FakeEngine(holds=(AdaptEncoder,))
        self.adapting = Adapting(self.engine, lambda work: work())
        self.told = []
        self.adapting.progressed.connect(self.told.append)
        self.adapting.said.connect(self.told.append)
        self.adapting.ended.connect(lambda *result: self.told.append(result))
        self.adapting.failed.connect(self.told.append)
        self.adapting.start(VOLUME, _painted(), Path("mito.dinoadapt"))
        (self.asked,) = self.engine.of(AdaptEncoder)


def test_it_has_the_volume_open_until_it_ends():
    run = _Run()
    request = run.asked.request
    (opened,) = run.engine.of(OpenVolume)
    assert opened.request.volume == request.volume
    assert (request.encoder, request.out) == ("dinov3-s", "mito.dinoadapt")
    assert run.adapting.is_running
    run.asked.on_event(Notice("4 labelled slices"))
    progress = Progress(3, 9, Stage.ADAPTING, "about 2 min left")
    run.asked.on_event(progress)
    run.asked.future.set_result(Adapted(HEADER))
    assert run.told == ["4 labelled slices", progress, (Path("mito.dinoadapt"), HEADER)]
    (closed,) = run.engine.of(CloseVolume)
    assert closed.request.volume == request.volume
    assert not run.adapting.is_running


def test_one_at_a_time_and_cancelled_without_a_complaint():
    run = _Run()
    with pytest.raises(DocumentError, match="being adapted"):
        run.adapting.start(VOLUME, _painted(), Path("other"))
    run.adapting.cancel()
    assert run.told == [""]
    assert not run.adapting.is_running


def test_why_it_failed_is_told():
    run = _Run()
    run.asked.future.set_exception(ModelError("too few"))
    assert run.told == ["too few"]

"""The box that adapts an encoder: real widgets, an engine that answers when told to."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_dinomed.engine.messages import (
    Adapted,
    AdaptEncoder,
    Notice,
    Progress,
    Stage,
)
from napari_dinomed.plugin import exchange
from napari_dinomed.plugin.adapt_box import AdaptBox
from tests.fakes import FakeEngine
from tests.features.test_adapter import HEADER, TRIAL

pytestmark = [
    pytest.mark.display,
    pytest.mark.skipif(
        sys.platform.startswith("linux")
        and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
        reason="needs a display; run under xvfb-run",
    ),
]


@pytest.fixture
def engine():
    return FakeEngine(holds=(AdaptEncoder,))


@pytest.fixture
def box(bench, engine, loop, brush, qtbot, tmp_path, monkeypatch):
    """The box on a volume of which two slices were painted for a transformer."""
    made = AdaptBox(bench, engine, loop.deliver)
    qtbot.addWidget(made)
    made.resize(330, 200)
    made.show()
    bench.bound.emit()
    for index in (3, 8):
        brush(bench, ((index, index + 1), (2, 6), (2, 6)), 1)
    bench.choose("encoder", encoder="dinov3-s")
    loop.run()
    path = tmp_path / "mito"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
    return made


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def begun(box, engine):
    press(box.begin)
    (asked,) = engine.of(AdaptEncoder)
    return asked


def test_while_it_runs_there_is_a_bar_with_the_time_left(box, engine, loop):
    asked = begun(box, engine)
    assert asked.request.out.endswith("mito.dinoadapt")
    assert box.bar.isVisible()
    assert not box.begin.isVisible()
    asked.on_event(Notice("2 labelled slices, 2 folds; 9 lessons: about 3 min on CPU."))
    asked.on_event(Progress(4, 9, Stage.ADAPTING, "about 2 min left"))
    loop.run()
    assert box.bar.value() == 4
    assert "about 2 min left" in box.bar.format()
    assert "about 3 min on CPU" in box.verdict.text()
    press(box.cancel)
    loop.run()
    assert box.begin.isVisible()
    assert "Cancelled" in box.verdict.text()
    assert not box.use.isVisible()


def test_what_is_better_can_be_used(box, bench, engine, loop):
    asked = begun(box, engine)
    asked.future.set_result(Adapted(HEADER))
    loop.run()
    assert "is better by 0.15" in box.verdict.text()
    press(box.use)
    loop.run()
    chosen = bench.session.document.choices.encoder
    assert chosen == f"dinov3-s+{asked.request.out}"


def test_what_is_not_better_is_not_offered(box, engine, loop):
    worse = replace(HEADER, trials=(replace(TRIAL, adapted=(0.4, 0.6, 0.5)),))
    begun(box, engine).future.set_result(Adapted(worse))
    loop.run()
    assert "Not better" in box.verdict.text()
    assert not box.use.isVisible()


def test_an_adapter_is_offered_the_images_name(box, bench, monkeypatch, tmp_path):
    asked = []

    def ask(parent, title, suggested, kinds):
        asked.append(suggested)
        return "", ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    monkeypatch.setattr(exchange, "file_of", lambda image, volume: tmp_path / "a.nii.gz")
    press(box.begin)
    assert asked == [str(tmp_path / "a.dinoadapt")]


def test_filters_are_told_to_be_none(box, bench, engine, loop, monkeypatch):
    """Before a file is chosen for what cannot be made."""
    said, asked = [], []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (asked.append(1), ("", ""))[1]
    )
    bench.refused.connect(said.append)
    bench.choose("encoder", encoder="filters")
    loop.run()
    press(box.begin)
    assert not asked
    assert "nothing to adapt" in said[-1]
    assert not engine.of(AdaptEncoder)
    assert box.begin.isVisible()

"""Any acts in any order, on layers and document: the layers equal the document.

`ViewerModel` behaves as napari's window does; the engine answers when it likes.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from napari.components import ViewerModel
from napari.layers import Image

from napari_dinomed.annotation.fitting import require_fits
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import (
    CloseVolume,
    EncodeVolume,
    OpenVolume,
    SegmentVolume,
    SliceLabels,
)
from napari_dinomed.errors import EngineError
from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.workbench import Workbench
from napari_dinomed.session.activity import View
from napari_dinomed.session.answering import answer_request
from napari_dinomed.session.file import load_document
from napari_dinomed.volume import Geometry, Volume, choose_window
from tests.conftest import LONG
from tests.fakes import FakeEngine
from tests.plugin.conftest import Loop

# Ten times as many acts where tests may take long.
pytestmark = pytest.mark.timeout(1800)

SHAPE = (4, 10, 12)
BOX = tuple(slice(0, n) for n in SHAPE)
OWN = {"Segmentation", "Scribbles", "Regions", "Prompts"}
voxels = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
places = st.integers(0, 3)


def volume_number(number: int) -> Volume:
    array = np.random.default_rng(number).normal(100, 20, SHAPE).astype(np.int16)
    return Volume(array, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), "mm"), "MR")


VOLUMES = tuple(volume_number(number) for number in range(2))


class Acts(RuleBasedStateMachine):
    """What a user does, whoever answers."""

    encoders = ("filters", "b")
    others: ClassVar[frozenset[threading.Thread]] = frozenset()

    def begin_engine(self):
        raise NotImplementedError

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        os.environ["NAPARI_DINOMED_HOME"] = self.folder.name
        self.engine, self.loop, self.viewer = self.begin_engine(), Loop(), ViewerModel()
        # Those of the engine, and of other tests in this process, are none of its.
        Acts.others = Acts.others or frozenset(threading.enumerate())
        self.bench = Workbench(self.viewer, self.engine, self.loop.deliver)
        self.images = [
            Image(volume.array, **image_options(volume, f"image {number}"))
            for number, volume in enumerate(VOLUMES)
        ]
        self.saved = {}
        self.acted = self.awaited = False
        self.viewer.layers.append(self.images[0])
        self.bench.bind(self.images[0])
        self.loop.run()

    def teardown(self):
        if hasattr(self, "bench"):
            self.bench.close()
            self.loop.run()
            assert not OWN & {layer.name for layer in self.viewer.layers}
            self.folder.cleanup()

    @property
    def is_bound(self):
        return self.bench.session is not None

    @property
    def document(self):
        return self.bench.session.document

    def act(self):
        """What the user did is over; the event loop runs."""
        self.acted = True
        self.loop.run()

    # On the canvas

    @precondition(lambda self: self.is_bound)
    @rule(voxel=voxels, include=st.booleans())
    def click(self, voxel, include):
        self.bench.hand.aim(include=include)
        self.bench.sheet.prompts.layer.add(np.array([voxel], dtype=float))
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(in_3d=st.booleans())
    def click_that_is_refused(self, in_3d):
        self.viewer.dims.ndisplay = 3 if in_3d else 2
        voxel = (0, 0, 0) if in_3d else (99, 0, 0)
        before = self.document
        self.bench.sheet.prompts.layer.add(np.array([voxel], dtype=float))
        self.act()
        self.viewer.dims.ndisplay = 2
        assert self.document.prompts == before.prompts
        # An answer may have come.
        assert before.waiting or self.document == before

    @precondition(lambda self: self.is_bound)
    @rule(voxel=voxels, value=places, size=st.integers(1, 4))
    def brush(self, voxel, value, size):
        layer = self.bench.sheet.result.layer
        layer.brush_size = size
        layer.paint(voxel, value)
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(voxel=voxels, size=st.integers(1, 4), erase=st.booleans())
    def scribble(self, voxel, size, erase):
        layer = self.bench.sheet.scribbles.layer
        layer.brush_size = size
        layer.paint(voxel, 0 if erase else layer.selected_label)
        self.act()

    @precondition(lambda self: self.is_bound and len(self.bench.sheet.prompts.layer.data))
    @rule(number=places)
    def delete_point(self, number):
        layer = self.bench.sheet.prompts.layer
        layer.selected_data = {number % len(layer.data)}
        layer.remove_selected()
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(corner=voxels, size=st.integers(2, 5))
    def box(self, corner, size):
        z, y, x = corner
        sides = np.array([[z, y, x], [z, y, x + size], [z, y + size, x + size]])
        self.bench.hand.box()
        layer = self.bench.sheet.regions.layer
        layer.add(np.vstack([sides, [[z, y + size, x]]]), shape_type="rectangle")
        self.act()

    # In the panel

    @precondition(lambda self: self.is_bound)
    @rule(tool=st.sampled_from(["point", "scribble", "lasso", "brush", "erase"]))
    def take_up(self, tool):
        getattr(self.bench.hand, tool)()
        self.act()
        what = {"point": "Prompts", "scribble": "Scribbles", "lasso": "Regions"}
        active = self.viewer.layers.selection.active
        assert active.name == what.get(tool, "Segmentation")

    @precondition(lambda self: self.is_bound)
    @rule(steps=st.integers(1, 6))
    def there_and_back(self, steps):
        if self.document.waiting:
            return
        before, labels = self.document, self.bench.sheet.result.layer.data.copy()
        taken = 0
        while taken < steps and self.bench.session.history.past:
            self.bench.undo()
            taken += 1
        for _ in range(taken):
            self.bench.redo()
        # Before any answer comes: what was cancelled before is asked for again.
        assert replace(self.document, waiting=()) == before
        if not self.document.waiting:
            np.testing.assert_array_equal(self.bench.sheet.result.layer.data, labels)
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(what=st.sampled_from(["undo", "redo", "labels.add"]))
    def step(self, what):
        attrgetter(what)(self.bench)()
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(
        number=places,
        what=st.sampled_from(["labels.remove", "labels.toggle_done", "hand.aim"]),
    )
    def on_label(self, number, what):
        labels = self.document.labels
        attrgetter(what)(self.bench)(labels[number % len(labels)].id)
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(number=places, name=st.sampled_from(["liver", "spleen"]))
    def rename(self, number, name):
        labels = self.document.labels
        self.bench.labels.change(labels[number % len(labels)].id, name=name)
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(threshold=st.sampled_from([0.3, 0.5]), number=st.integers(0, 1))
    def choose(self, threshold, number):
        encoder = self.encoders[number]
        self.bench.choose("choice", threshold=threshold, encoder=encoder)
        self.act()

    @precondition(lambda self: self.is_bound)
    @rule(what=st.sampled_from(["encode", "cancel"]))
    def compute(self, what):
        getattr(self.bench.session.computing, what)()
        self.loop.run()

    # Layers

    @rule(number=st.integers(0, 1))
    def switch(self, number):
        image = self.images[number]
        if image not in self.viewer.layers:
            self.viewer.layers.append(image)
        self.loop.run()
        self.bench.bind(image)
        self.loop.run()

    @precondition(lambda self: len(self.viewer.layers))
    @rule(number=st.integers(0, 9))
    def remove_layer(self, number):
        layers = self.viewer.layers
        layers.remove(layers[number % len(layers)])
        self.loop.run()

    @rule()
    def clear(self):
        self.viewer.layers.clear()
        self.loop.run()

    @precondition(lambda self: self.is_bound)
    @rule()
    def reopen(self):
        image, before = self.bench.image, self.document
        self.bench.unbind()
        self.loop.run()
        self.bench.bind(image)
        self.loop.run()
        if before.is_blank and before.choices == self.document.choices:
            return
        assert self.document == before

    # What always holds

    @invariant()
    def layers_equal_the_document(self):
        if not self.is_bound:
            return
        sheet, document = self.bench.sheet, self.document
        if self.bench.session.computing.is_answering:
            # A plane may show the answer to come; all that counts is put right with it.
            return
        np.testing.assert_array_equal(sheet.result.layer.data, document.labels_of(SHAPE))
        assert [one.point for one in sheet.prompts.points()] == list(
            document.prompts.points
        )
        strokes = [stroke.mask.array(BOX) for stroke in document.prompts.strokes]
        painted = np.any([np.zeros(SHAPE, bool), *strokes], axis=0)
        np.testing.assert_array_equal(sheet.scribbles.layer.data > 0, painted)
        numbers = set(np.unique(sheet.result.layer.data)) - {0}
        assert numbers <= {label.id for label in document.labels}
        assert document.has(self.bench.hand.label)
        require_fits(document, SHAPE)

    @invariant()
    def no_layer_is_an_orphan(self):
        if not hasattr(self, "viewer"):
            return
        own = [layer.name for layer in self.viewer.layers if layer not in self.images]
        assert len(own) == len(set(own))
        if not self.is_bound:
            assert own == []
            return
        prompts = self.bench.session.document.prompts
        has = {"Scribbles": prompts.strokes, "Regions": prompts.regions}
        assert set(own) >= {"Segmentation", "Prompts", *(name for name in has if has[name])}
        assert set(own) <= OWN
        kinds = [layer in self.images for layer in self.viewer.layers]
        assert kinds == sorted(kinds, reverse=True)

    @invariant()
    def nothing_saved_changes_without_an_act(self):
        if not hasattr(self, "folder"):
            return
        files = {p: p.read_bytes() for p in Path(self.folder.name).rglob("*.dinomed.json")}
        if not (self.acted or self.awaited) and files != self.saved:
            answered = self.is_bound and not self.document.is_blank
            assert answered, "a file changed, and nobody had said anything"
        self.saved, self.acted = files, False
        # An answer may come before the next act is over.
        self.awaited = self.is_bound and bool(self.document.waiting)
        if self.is_bound and self.bench.session.history.past:
            kept = [load_document(path).document for path in files]
            assert self.document in kept

    @invariant()
    def no_thread_is_left(self):
        assert len({*threading.enumerate()} - Acts.others) < 20


class Window(Acts):
    """With an engine that answers when it likes."""

    def begin_engine(self):
        return FakeEngine()

    def teardown(self):
        super().teardown()
        if hasattr(self, "bench"):
            opened = {asked.request.volume for asked in self.engine.of(OpenVolume)}
            closed = {asked.request.volume for asked in self.engine.of(CloseVolume)}
            assert opened == closed

    @rule(held=st.sets(st.sampled_from([OpenVolume, EncodeVolume, SegmentVolume])))
    def hold(self, held):
        self.engine.holds = tuple(held)

    @rule(data=st.data())
    def answer(self, data):
        open_calls = [asked for asked in self.engine.asked if not asked.future.done()]
        if open_calls:
            data.draw(st.sampled_from(open_calls)).answer()
            self.loop.run()

    @rule(data=st.data())
    def fail(self, data):
        open_calls = [asked for asked in self.engine.asked if not asked.future.done()]
        if open_calls:
            asked = data.draw(st.sampled_from(open_calls))
            asked.future.set_exception(EngineError("out of order"))
            self.loop.run()

    @rule(plane=st.integers(0, SHAPE[0] - 1))
    def tell_early(self, plane):
        for asked in self.engine.of(SegmentVolume):
            if not asked.future.done() and asked.on_event is not None:
                label = asked.request.wanted[0]
                early = np.full(SHAPE[1:], label, np.uint16)
                told = SliceLabels(0, plane, early, asked.request.generation)
                asked.on_event(told)
                self.loop.run()


class RealWindow(Acts):
    """With the real engine, which answers when it can."""

    encoders = ("filters", "filters")
    client: ClassVar[EngineClient | None] = None

    def begin_engine(self):
        RealWindow.client = RealWindow.client or EngineClient()
        return RealWindow.client

    def teardown(self):
        if hasattr(self, "bench") and self.is_bound:
            self.settle()
        super().teardown()

    @precondition(lambda self: self.is_bound)
    @rule()
    def settle(self):
        """What is seen is what another engine finds that knows nothing of before."""
        session = self.bench.session
        self.loop.wait(lambda: not session.computing.is_answering)
        document = session.document
        # What was cancelled waits until it is asked for again.
        (first, *others) = document.labels
        is_by_hand = document.hand or document.erased or first.is_done
        if others or is_by_hand or document.waiting or first.id not in document.masks:
            return
        assert document.mask(first.id) == self.found_anew(document, first.id)

    def found_anew(self, document, label):
        engine, volume = Engine(), self.bench.session.volume
        engine.run(OpenVolume("v", volume.array, volume.geometry, volume.modality))
        engine.run(EncodeVolume("v", document.choices.encoder, choose_window(volume)))
        request = answer_request("v", document, label, View(0, 0), 0, 0)
        return document.prompts.allowed(engine.run(request).mask(label), label)


@pytest.fixture(scope="module", autouse=True)
def real_engine():
    """One for all that is done in this module; it ends with it."""
    yield
    if RealWindow.client is not None:
        RealWindow.client.close()
        RealWindow.client = None


def _acts(examples: int, steps: int) -> settings:
    return settings(
        max_examples=10 * examples if LONG else examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# A thousand acts, and fewer where each has to be waited for.
Window.TestCase.settings = _acts(25, 40)
RealWindow.TestCase.settings = _acts(12, 25)
TestWindow = Window.TestCase
TestRealWindow = RealWindow.TestCase

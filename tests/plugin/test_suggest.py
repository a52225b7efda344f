"""Where to click next, and clicks on labels in 3-D, on a viewer without a window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_dinomed.engine.messages import SegmentVolume, SuggestClick
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.planes import Plane, show_plane
from napari_dinomed.plugin.surface import first_under


def names(bench):
    return [layer.name for layer in bench.viewer.layers]


def press(bench, action):
    layer = bench.sheet.prompts.layer
    (keys,) = KEYMAP[action].keys
    {str(key): act for key, act in layer.keymap.items()}[keys](layer)


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL])
def test_one_key_goes_there_and_marks_it_until_something_is_said(
    bench, click, loop, engine, plane
):
    click(bench, 8, 24, 30)
    show_plane(bench.viewer, plane)
    active = bench.viewer.layers.selection.active
    press(bench, Action.SUGGEST)
    loop.run()
    z, y, x = engine.suggests
    assert bench.viewer.dims.current_step == (z, y, x)
    np.testing.assert_array_equal(bench.viewer.layers["Next click"].data, [[z, y, x]])
    assert bench.viewer.layers.selection.active == active
    camera = bench.viewer.scene.camera.center
    world = bench.sheet.result.layer.data_to_world((z, y, x))
    assert camera[1:] == pytest.approx([world[n] for n in bench.viewer.dims.displayed])
    click(bench, z, y, x)
    assert "Next click" not in names(bench)
    bench.viewport.suggest()
    loop.run()
    assert names(bench).count("Next click") == 1
    bench.unbind()
    assert "Next click" not in names(bench)


def test_it_is_asked_of_what_was_answered(bench, click, loop, engine):
    said = []
    bench.refused.connect(said.append)
    bench.viewport.suggest()
    assert "Click on Label 1 first" in said[-1]
    engine.holds = (SegmentVolume,)
    click(bench, 8, 24, 30)
    bench.viewport.suggest()
    assert "wait for the answer" in said[-1]
    assert not engine.of(SuggestClick)


def test_a_place_that_comes_too_late_is_not_shown(bench, click, loop, engine):
    click(bench, 8, 24, 30)
    engine.holds = (SuggestClick,)
    bench.viewport.suggest()
    click(bench, 8, 24, 33)
    engine.of(SuggestClick)[0].answer()
    loop.run()
    assert "Next click" not in names(bench)


def test_where_nothing_is_in_doubt_it_is_said(bench, click, loop, engine):
    engine.suggests = None
    click(bench, 8, 24, 30)
    said = []
    bench.said.connect(said.append)
    bench.viewport.suggest()
    loop.run()
    assert said == ["Nothing of Label 1 is in doubt."]
    assert "Next click" not in names(bench)


def test_the_first_voxel_of_a_label_under_the_mouse_in_3d(bench, click):
    click(bench, 8, 24, 30)
    show_plane(bench.viewer, Plane.SOLID)
    layer = bench.sheet.result.layer
    event = SimpleNamespace(
        position=tuple(np.array(layer.data_to_world((-20, 25, 31)))),
        view_direction=np.array([1.0, 0, 0]),
        dims_displayed=list(bench.viewer.dims.displayed),
    )
    assert first_under(layer, event) == (6, 25, 31)
    layer.visible = False
    assert first_under(layer, event) is None

"""The probability of a label over the plane in view, on a viewer without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.messages import ReadProbability
from napari_dinomed.plugin.four_up import FourUp
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.panel import Panel
from napari_dinomed.plugin.planes import Plane
from tests.fakes import FakeEngine
from tests.plugin.conftest import needs_display

NAME = "Probability"


@pytest.fixture
def press(bench, loop):
    def toggle():
        (keys,) = KEYMAP[Action.PROBABILITY].keys
        keymap = {str(key): act for key, act in bench.viewer.keymap.items()}
        keymap[keys](bench.viewer)
        loop.run()

    return toggle


@pytest.fixture
def seen(press, bench, click, loop):
    """A label that is answered, and how probable it is."""
    click(bench, 8, 24, 30)
    bench.viewer.dims.set_current_step(0, 8)
    press()
    return bench.viewer.layers[NAME]


def names(bench):
    return [layer.name for layer in bench.viewer.layers]


def value_at(bench, *voxel):
    """What the layer says of a voxel of the plane in view; None where it is not there."""
    layer = bench.viewer.layers[NAME]
    return layer.get_value(bench.sheet.result.layer.data_to_world(voxel), world=True)


def test_one_key_shows_it_above_the_segmentation_and_the_next_takes_it_away(
    seen, press, bench
):
    assert names(bench) == ["ball", "Segmentation", NAME, "Prompts"]
    assert bench.viewer.layers.selection.active is bench.sheet.prompts.layer
    assert tuple(seen.contrast_limits) == (0, 1)
    assert value_at(bench, 8, 24, 30) == pytest.approx(0.8)
    assert value_at(bench, 8, 10, 10) == 0
    assert seen.colormap.map(np.array([0.0, 0.01]))[:, 3].max() == 0
    press()
    assert names(bench) == ["ball", "Segmentation", "Prompts"]


@pytest.mark.parametrize(
    ("plane", "axis"), [(Plane.AXIAL, 0), (Plane.CORONAL, 1), (Plane.SAGITTAL, 2)]
)
def test_it_follows_the_plane_in_view(seen, bench, loop, plane, axis):
    bench.viewport.show_plane(plane)
    loop.run()
    for index in (23, 31, 24, 30):
        bench.viewer.dims.set_current_step(axis, index % 16 if axis == 0 else index)
        loop.run()
        assert bench.sheet.view.axis == axis
        assert seen.data.shape[axis] == 1
        z, y, x = (int(n) for n in np.rint(seen.data_to_world((0, 0, 0)) / seen.scale))
        assert (z, y, x)[axis] == bench.sheet.view.index
        assert seen.visible


def test_while_a_plane_is_awaited_none_is_seen(seen, bench, loop, engine):
    engine.holds = (ReadProbability,)
    bench.viewer.dims.set_current_step(0, 9)
    loop.run()
    assert value_at(bench, 9, 24, 30) is None
    bench.viewport.show_plane(Plane.CORONAL)
    assert not seen.visible
    for _ in range(2):
        engine.of(ReadProbability)[-1].answer()
        loop.run()
    assert seen.visible
    assert seen.data.shape == (16, 1, 56)


def test_it_follows_the_label_and_each_answer(seen, bench, click, loop):
    click(bench, 8, 24, 40)
    assert value_at(bench, 8, 24, 40) == pytest.approx(0.8)
    bench.undo()
    loop.run()
    assert value_at(bench, 8, 24, 40) == 0
    bench.labels.add()
    loop.run()
    assert value_at(bench, 8, 24, 30) is None
    click(bench, 8, 10, 10)
    assert value_at(bench, 8, 10, 10) == pytest.approx(0.8)
    assert value_at(bench, 8, 24, 30) == 0
    bench.hand.aim(1)
    loop.run()
    assert value_at(bench, 8, 24, 30) == pytest.approx(0.8)


def test_it_is_no_image_and_nothing_of_the_document(seen, press, bench, image, loop):
    document, steps = bench.session.document, bench.session.history.past
    assert bench.images == [image]
    told = []
    bench.images_changed.connect(lambda: told.append(bench.images))
    bench.viewer.layers.append(Image(image.data, name="other", scale=image.scale))
    loop.run()
    assert names(bench) == ["ball", "other", "Segmentation", NAME, "Prompts"]
    press()
    press()
    other = bench.viewer.layers["other"]
    assert told
    assert all(images == [image, other] for images in told)
    assert bench.session.document == document
    assert bench.session.history.past == steps


def test_in_3d_it_is_neither_seen_nor_begun(seen, press, bench, loop):
    bench.viewport.show_plane(Plane.SOLID)
    assert not seen.visible
    bench.viewport.show_plane(Plane.AXIAL)
    assert seen.visible
    press()
    bench.viewport.show_plane(Plane.SOLID)
    said = []
    bench.refused.connect(said.append)
    press()
    assert "Press F5" in said[-1]
    assert NAME not in names(bench)
    assert not bench.session.computing.probing.is_on


def test_where_there_is_no_answer_it_is_said(press, bench, loop):
    said = []
    bench.said.connect(said.append)
    painted = Mask.of_voxels(np.array([(1, 1, 1)]))
    bench.act(lambda one: one.change(one.document.with_edit(painted, 1), "brush"))
    press()
    assert "no probability to see" in said[-1]
    assert NAME not in names(bench)


def test_it_goes_with_the_image_and_another_begins_without(seen, bench, image, loop):
    bench.unbind()
    assert names(bench) == ["ball"]
    bench.bind(image)
    loop.run()
    assert NAME not in names(bench)
    assert not bench.session.computing.probing.is_on


def test_what_comes_after_it_was_turned_off_is_not_shown(bench, press, click, loop, engine):
    click(bench, 8, 24, 30)
    engine.holds = (ReadProbability,)
    press()
    press()
    engine.of(ReadProbability)[0].answer()
    loop.run()
    assert NAME not in names(bench)


def test_the_tool_stays_in_hand_where_its_layer_was_selected(seen, press, bench):
    bench.viewer.layers.selection.active = seen
    press()
    assert bench.viewer.layers.selection.active is bench.sheet.prompts.layer


def test_it_lies_over_an_image_that_is_moved(seen, bench, image, loop):
    image.translate = (5.0, 6.0, 7.0)
    image.rotate = np.array([[1.0, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    loop.run()
    voxel = (bench.sheet.view.index, 24, 30)
    there = bench.sheet.result.layer.data_to_world(voxel)
    np.testing.assert_allclose(seen.data_to_world((0, 24, 30)), there)


def test_the_other_three_views_have_none(seen, bench, loop):
    four = FourUp(bench, loop.deliver)
    loop.run()
    for view in four.planes:
        assert NAME not in [layer.name for layer in view.viewer.layers]
    four.end()


@needs_display
def test_the_button_stays_down_while_it_is_seen(make_napari_viewer, qtbot, ball_volume):
    viewer = make_napari_viewer()
    viewer.add_image(ball_volume[0].array, name="ball")
    panel = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(panel)
    bench, button = panel.workbench, panel.result_box.probability
    qtbot.waitUntil(lambda: bench.sheet is not None and button.isEnabled())
    bench.sheet.prompts.layer.add(np.array([[8.0, 24, 30]]))
    qtbot.waitUntil(lambda: bool(bench.session.document.masks))
    button.click()
    qtbot.waitUntil(lambda: NAME in viewer.layers)
    assert button.isChecked()
    bench.viewport.toggle_probability()
    assert not button.isChecked()
    assert NAME not in viewer.layers
    bench.viewport.show_plane(Plane.SOLID)
    button.click()
    assert not button.isChecked()
    panel.shut_down()

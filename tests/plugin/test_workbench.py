"""A window without a window: what layers show, what a hand does, what is bound."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points
from napari.utils.colormaps import DirectLabelColormap

from napari_dinomed.annotation.labels import State, legend_of, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Stroke
from napari_dinomed.annotation.region import Role
from napari_dinomed.engine.messages import (
    EncodeVolume,
    OpenVolume,
    SegmentVolume,
    SliceLabels,
)
from napari_dinomed.errors import EngineError, ReadError, WriteError
from napari_dinomed.io import Pick, read_labels, read_volume
from napari_dinomed.plugin.files import get_reader
from napari_dinomed.plugin.layers import (
    LabelColors,
    image_options,
    labels_options,
    labels_over,
    volume_of,
)
from napari_dinomed.plugin.result_box import filters, suffix_of, with_suffix
from napari_dinomed.plugin.scribble_layer import BACKGROUND
from napari_dinomed.plugin.workbench import Workbench
from napari_dinomed.session import provenance
from napari_dinomed.session.activity import View
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.file import load_document
from napari_dinomed.session.session import Session
from napari_dinomed.volume import Geometry, Volume
from tests.fakes import FakeEngine
from tests.io import made
from tests.plugin.conftest import Loop

INSIDE, OTHER = (8, 24, 30), (3, 10, 40)
OWN = ["Segmentation", "Prompts"]


def names(workbench):
    return [layer.name for layer in workbench.viewer.layers]


def shown(workbench):
    return np.asarray(workbench.sheet.result.layer.data)


def document(workbench):
    return workbench.session.document


def assert_shown(workbench):
    """The layer is the document is what would be saved."""
    np.testing.assert_array_equal(shown(workbench), workbench.result())


def listen(signal):
    heard = []
    signal.connect(lambda *values: heard.append(values[0] if values else None))
    return heard


@pytest.fixture
def scan(tmp_path):
    """A patient's volume from a file, and the file."""
    array = np.random.default_rng(0).normal(0, 50, (6, 20, 24)).astype(np.int16)
    axial = [[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -9], [0, 0, 0, 1.0]]
    return read_volume(made.write_nrrd(tmp_path / "a.nrrd", array, np.array(axial)))


@pytest.fixture
def open_on(engine, loop):
    benches = []

    def open_volume(volume):
        viewer = ViewerModel()
        viewer.layers.append(Image(volume.array, **image_options(volume, "scan")))
        bench = Workbench(viewer, engine, loop.deliver)
        bench.bind(viewer.layers[0])
        loop.run()
        benches.append(bench)
        return bench

    yield open_volume
    for bench in benches:
        bench.close()


@pytest.fixture
def scanned(scan, open_on):
    return open_on(scan)


def test_binding_adds_layers_exactly_over_the_image(bench, image):
    assert names(bench) == ["ball", *OWN]
    for layer in bench.sheet.layers:
        np.testing.assert_array_equal(layer.scale, image.scale)
        np.testing.assert_array_equal(layer.translate, image.translate)
        assert layer.units == image.units
    assert bench.viewer.layers.extent.units is not None
    assert bench.viewer.layers.selection.active is bench.sheet.prompts.layer
    assert bench.sheet.prompts.layer.mode == "add"


def test_volumes_of_two_units_share_the_one_that_clicks_are_in(scanned, loop):
    array = np.arange(6 * 20 * 24, dtype=np.uint16).reshape(6, 20, 24)
    geometry = Geometry.from_spacing(array.shape, (50, 4, 4), "nm")
    layer = Image(array, **image_options(Volume(array, geometry, "EM"), "cells"))
    scanned.viewer.layers.append(layer)
    assert layer.units == scanned.image.units == scanned.viewer.layers.extent.units
    np.testing.assert_allclose(layer.scale, (5e-5, 4e-6, 4e-6))
    scanned.bind(layer)
    loop.run()
    assert scanned.session.volume.geometry == geometry
    # What napari clicks in is what the layers' own places are in.
    last = layer.data_to_world((5, 19, 23))
    np.testing.assert_allclose(scanned.sheet.prompts.layer.data_to_world((5, 19, 23)), last)


def test_a_click_paints_and_is_what_is_saved(scanned, click, tmp_path, save):
    click(scanned, 3, 9, 9)
    assert document(scanned).mask(1).count == 125
    assert_shown(scanned)
    save(scanned, tmp_path / "labels.nii.gz")
    saved, _ = read_labels(tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(saved, shown(scanned))


def test_undo_reaches_the_floor_and_no_further(bench, click, loop):
    click(bench, *INSIDE)
    click(bench, *OTHER)
    for _ in range(9):
        bench.undo()
        loop.run()
    assert len(bench.sheet.prompts.layer.data) == 0
    assert not shown(bench).any()
    assert len(document(bench).labels) == 1
    for _ in range(9):
        bench.redo()
    assert len(bench.sheet.prompts.layer.data) == 2
    assert_shown(bench)
    click(bench, 5, 5, 5)
    assert_shown(bench)


def test_the_first_undo_after_reopening_takes_nothing(bench, click, loop):
    click(bench, *INSIDE)
    before = document(bench)
    bench.unbind()
    image = Image.create(*bench.viewer.layers["ball"].as_layer_data_tuple())
    bench.viewer.layers.remove("ball")
    bench.viewer.layers.append(image)
    bench.bind(image)
    loop.run()
    bench.undo()
    loop.run()
    assert document(bench) == before
    assert_shown(bench)
    assert len(bench.sheet.prompts.layer.data) == 1


def test_an_erasure_outlives_clicks_on_another_label(bench, click, brush):
    click(bench, *INSIDE)
    brush(bench, ((8, 9), (22, 26), (28, 31)), 0)
    hole = shown(bench)[8, 22:26, 28:31]
    assert not hole.any()
    bench.labels.add()
    click(bench, 8, 24, 36)
    click(bench, *OTHER)
    assert not hole.any()
    assert_shown(bench)


def test_the_brush_follows_the_label_that_is_aimed_at(bench, loop):
    bench.labels.add()
    layer = bench.sheet.result.layer
    bench.hand.brush()
    assert layer.selected_label == 2
    assert bench.viewer.layers.selection.active is layer
    layer.brush_size = 3
    layer.paint((4, 10, 10), layer.selected_label)
    loop.run()
    assert document(bench).mask(2).count > 0
    layer.selected_label = 1
    loop.run()
    assert bench.hand.label == 1


def test_paint_of_a_number_without_a_label_begins_one(bench, brush):
    brush(bench, ((2, 3), (4, 8), (4, 8)), 77)
    assert [label.id for label in document(bench).labels] == [1, 2]
    assert document(bench).mask(2).count == 16
    assert bench.hand.label == 2
    assert_shown(bench)


def test_the_brush_keeps_what_it_goes_over_too(bench, click, loop):
    """Voxels that had the label already are painted by hand as much as the others."""
    click(bench, *INSIDE)
    layer = bench.sheet.result.layer
    layer.brush_size = 9
    layer.paint(INSIDE, 1)
    loop.run()
    painted = shown(bench)[INSIDE[0]] == 1
    bench.sheet.prompts.layer.selected_data = {0}
    bench.sheet.prompts.layer.remove_selected()
    loop.run()
    np.testing.assert_array_equal(shown(bench)[INSIDE[0]] == 1, painted)
    assert_shown(bench)


def test_what_was_rubbed_out_empty_stays_empty(bench, click, loop):
    layer = bench.sheet.result.layer
    layer.brush_size = 5
    layer.paint((8, 24, 31), 1)
    layer.paint((8, 24, 31), 0)
    loop.run()
    click(bench, *INSIDE[:2], 29)
    assert shown(bench)[8, 24, 32] == 0
    assert shown(bench)[9, 24, 31] == 1


def test_a_moved_click_is_as_one_made_there(bench, click, loop):
    click(bench, *INSIDE)
    bench.labels.toggle_done(1)
    bench.labels.add()
    loop.run()
    click(bench, *OTHER)
    said = listen(bench.failed)
    layer = bench.sheet.prompts.layer
    data = layer.data.copy()
    data[1] = INSIDE
    layer.data = data
    loop.run()
    assert "done and locked" in said[-1]
    np.testing.assert_array_equal(layer.data[1], OTHER)
    bench.labels.toggle_done(1)
    layer.data = data
    loop.run()
    assert (shown(bench)[INSIDE] == 2).all()
    assert_shown(bench)


def test_what_was_shown_early_goes_when_no_answer_comes(bench, click, engine, loop):
    for end in ("cancel", "fail"):
        engine.holds = (SegmentVolume,)
        click(bench, 5, 5, 5 if end == "fail" else 9)
        asked = engine.of(SegmentVolume)[-1]
        plane = np.ones((48, 56), np.uint8)
        asked.on_event(SliceLabels(0, 8, plane, asked.request.generation))
        loop.run()
        assert (shown(bench)[8] == 1).sum() > 1000
        if end == "cancel":
            bench.session.computing.cancel()
        else:
            asked.future.set_exception(EngineError("it died"))
        loop.run()
        assert_shown(bench)


def test_one_plane_shown_early_leaves_nothing_of_another(bench, click, engine, loop):
    """The plane in view has changed since, and the answer is the one there was."""
    click(bench, *INSIDE)
    engine.holds = (SegmentVolume,)
    bench.choose("choice", threshold=0.3)
    loop.run()
    asked = engine.of(SegmentVolume)[-1]
    plane = np.ones((48, 56), np.uint8)
    for index in (INSIDE[0], INSIDE[0] + 1):
        asked.on_event(SliceLabels(0, index, plane, asked.request.generation))
        loop.run()
        assert (shown(bench)[index] == 1).all()
    asked.answer()
    loop.run()
    assert_shown(bench)


def test_selected_points_stay_selected_when_an_answer_comes(bench, click, engine, loop):
    click(bench, *INSIDE)
    engine.holds = (SegmentVolume,)
    click(bench, *OTHER)
    bench.sheet.prompts.layer.selected_data = {0}
    engine.of(SegmentVolume)[-1].answer()
    loop.run()
    assert set(bench.sheet.prompts.layer.selected_data) == {0}


def test_an_act_of_a_window_that_has_gone_on_is_not_done(bench, loop):
    engine_count = len(bench._engine.asked)
    bench.sheet.prompts.layer.add(np.array([INSIDE], dtype=float))
    bench.unbind()
    loop.run()
    assert len(bench._engine.asked) == engine_count


def test_other_voxels_in_the_image_are_another_volume(bench, click, loop):
    click(bench, *INSIDE)
    bench.image.data = bench.image.data[::-1].copy()
    loop.run()
    assert document(bench).is_blank
    assert_shown(bench)


def moved(image):
    image.translate = (7.0, 8.0, 9.0)
    image.scale = np.array(image.scale) * 2


ACTS = {
    "rename": lambda bench: setattr(bench.image, "name", "other"),
    "move": lambda bench: moved(bench.image),
    "replace": lambda bench: setattr(bench.image, "data", bench.image.data[::-1].copy()),
    "remove": lambda bench: bench.viewer.layers.remove(bench.image),
    "remove labels": lambda bench: bench.viewer.layers.remove(bench.sheet.result.layer),
    "undo": lambda bench: bench.undo(),
    "close": lambda bench: bench.close(),
}


@pytest.mark.parametrize("held", [OpenVolume, EncodeVolume, SegmentVolume])
@pytest.mark.parametrize("what", ACTS)
def test_whatever_becomes_of_an_image_on_its_way(bench, click, engine, loop, what, held):
    engine.holds = (held,)
    click(bench, *INSIDE)
    ACTS[what](bench)
    loop.run()
    engine.holds = ()
    for asked in engine.asked:
        asked.answer()
        loop.run()
    if what in ("remove", "close"):
        assert bench.session is None
        assert not set(OWN) & set(names(bench))
        return
    assert_shown(bench)
    assert names(bench)[1:] == OWN
    for layer in bench.viewer.layers:
        np.testing.assert_array_equal(layer.scale, bench.image.scale)
        np.testing.assert_array_equal(layer.translate, bench.image.translate)
    click(bench, *OTHER)
    assert document(bench).mask(1).count == (250 if what in LEFT else 125)


# After these, what was clicked first is there still.
LEFT = ("rename", "move", "remove labels")


def test_labels_stay_where_voxels_get_other_sizes(engine, loop, click):
    image = Image(np.arange(960.0).reshape(8, 10, 12))
    bench = Workbench(ViewerModel(), engine, loop.deliver)
    bench.viewer.layers.append(image)
    bench.bind(image)
    click(bench, 4, 5, 6)
    before = document(bench)
    image.scale = (3.0, 1.0, 1.0)
    loop.run()
    assert bench.session.volume.geometry.spacing == (3.0, 1.0, 1.0)
    assert document(bench).masks == before.masks
    assert bench.session.history.undoes == "other voxel sizes"
    bench.undo()
    assert document(bench).is_blank
    bench.close()


def test_a_layer_of_the_users_own_is_not_taken_from_them(bench, loop):
    bench.hand.brush()
    mine = Points(ndim=3)
    bench.viewer.layers.append(mine)
    bench.viewer.layers.selection.active = mine
    loop.run()
    assert bench.viewer.layers.selection.active is mine
    bench.hand.brush()
    bench.viewer.layers.append(second_image(bench))
    bench.viewer.layers.selection.active = bench.viewer.layers[-1]
    loop.run()
    assert bench.viewer.layers.selection.active is bench.sheet.result.layer
    assert bench.sheet.result.layer.mode == "paint"


def test_the_plane_in_view_beside_a_layer_of_more_axes(bench, loop):
    bench.viewer.add_image(np.zeros((3, 4, 5, 6)), name="movie")
    loop.run()
    bench.viewer.dims.set_point(1, 3.0 * 5)
    assert bench.session.computing._view.axis == 0
    bench.viewer.dims.order = (3, 0, 1, 2)
    bench.viewer.dims.order = (0, 2, 1, 3)
    assert bench.session.computing._view.axis == 1


def test_labels_given_by_a_script_count_as_painted(bench, click, loop):
    click(bench, *INSIDE)
    layer = bench.sheet.result.layer
    given = np.zeros(layer.data.shape, np.int32)
    given[1:3, 4:9, 4:9] = 1
    layer.data = given
    loop.run()
    np.testing.assert_array_equal(shown(bench), given)
    assert_shown(bench)
    bench.undo()
    assert_shown(bench)
    said = listen(bench.failed)
    layer.data = np.zeros((2, 3, 4), np.uint8)
    loop.run()
    assert "(2, 3, 4)" in said[-1]
    assert_shown(bench)


def test_a_brush_stroke_is_one_step_and_undone_here(bench, loop):
    layer = bench.sheet.result.layer
    with layer.block_history():
        for column in (10, 14, 18):
            layer.paint((4, 10, column), 1)
    loop.run()
    assert bench.session.history.undoes == "paint on Label 1"
    bench.undo()
    assert not shown(bench).any()
    bench.redo()
    assert_shown(bench)


def test_what_is_done_stays_whatever_is_painted_over_it(bench, click, brush, loop):
    click(bench, *INSIDE)
    bench.labels.toggle_done(1)
    loop.run()
    assert document(bench).find(1).state is State.DONE
    before = shown(bench).copy()
    said = listen(bench.failed)
    bench.labels.add()
    for value in (0, 1, 2):
        brush(bench, ((8, 9), (22, 26), (28, 31)), value)
        np.testing.assert_array_equal(shown(bench) == 1, before == 1)
        assert "locked" in said[-1]
    click(bench, 8, 24, 33)
    np.testing.assert_array_equal(shown(bench) == 1, before == 1)
    bench.labels.remove(1)
    assert document(bench).has(1)
    assert_shown(bench)


def test_a_click_into_what_is_done_is_refused_and_leaves_no_point(bench, click, loop):
    click(bench, *INSIDE)
    bench.labels.toggle_done(1)
    bench.labels.add()
    loop.run()
    said = listen(bench.failed)
    click(bench, *INSIDE)
    assert "done and locked" in said[-1]
    assert len(bench.sheet.prompts.layer.data) == 1


def test_a_removed_label_leaves_nothing_and_its_number_is_not_given_again(bench, click):
    click(bench, *INSIDE)
    bench.labels.add()
    click(bench, *OTHER)
    bench.labels.remove(1)
    assert not (shown(bench) == 1).any()
    bench.labels.add()
    assert bench.hand.label == 3
    assert [label.id for label in document(bench).labels] == [2, 3]
    assert_shown(bench)
    bench.undo()
    bench.undo()
    assert (shown(bench) == 1).any()


def test_clicks_on_one_label_leave_the_others_as_they_are(bench, click):
    click(bench, *INSIDE)
    before = (shown(bench) == 1).copy()
    bench.labels.add()
    click(bench, 8, 24, 33)
    np.testing.assert_array_equal(shown(bench) == 1, before)
    bench.labels.remove(1)
    two = (shown(bench) == 2).copy()
    np.testing.assert_array_equal(shown(bench) == 2, two)
    assert_shown(bench)


def test_the_slice_in_view_is_shown_before_the_volume_and_put_right_after(
    bench, click, engine, loop
):
    click(bench, *OTHER)
    engine.holds = (SegmentVolume,)
    bench.session.computing.look_at(View(1, 24))
    click(bench, *INSIDE)
    asked = engine.of(SegmentVolume)[-1]
    plane = np.zeros((16, 56), np.uint8)
    plane[6:11, 28:33] = 1
    asked.on_event(SliceLabels(1, 24, plane, asked.request.generation))
    loop.run()
    assert (shown(bench)[:, 24] == 1).sum() == 25
    assert shown(bench)[8, 23, 30] == 0
    before = shown(bench).copy()
    bench.undo()
    assert_shown(bench)
    assert before.sum() > shown(bench).sum()


def test_a_label_is_hidden_until_something_becomes_of_it(bench, click, loop):
    click(bench, *INSIDE)
    bench.labels.add()
    click(bench, *OTHER)
    before = document(bench)

    def opacity(label):
        return bench.sheet.result.layer.colormap.color_dict[label][3]

    bench.labels.toggle_seen(1)
    assert bench.labels.hidden == {1}
    assert (opacity(1), opacity(2)) == (0, 1)
    # It is a view: nothing was done.
    assert document(bench) is before
    assert_shown(bench)
    bench.labels.change(2, color=(0.5, 0.5, 0.5))
    assert (opacity(1), opacity(2)) == (0, 1)
    bench.hand.aim(1)
    click(bench, 8, 24, 20)
    assert bench.labels.hidden == frozenset()
    assert opacity(1) == 1
    bench.labels.toggle_seen(2)
    bench.labels.toggle_seen(2)
    assert opacity(2) == 1


def test_layers_of_strokes_and_regions_come_when_they_are_first_used(bench, click, loop):
    click(bench, *INSIDE)
    bench.hand.lasso()
    assert names(bench) == ["ball", "Segmentation", "Regions", "Prompts"]
    bench.hand.scribble()
    # Each in its place, whichever came first.
    assert names(bench) == ["ball", "Segmentation", "Scribbles", "Regions", "Prompts"]
    assert bench.viewer.layers.selection.active is bench.sheet.scribbles.layer
    assert bench.sheet.scribbles.layer.mode == "paint"
    bench.hand.point()
    assert bench.viewer.layers.selection.active is bench.sheet.prompts.layer


def test_a_stroke_that_is_made_elsewhere_is_seen_and_changes_no_tool(bench, loop):
    painted = np.zeros(bench.session.volume.geometry.shape, bool)
    painted[4, 5, 6:9] = True
    bench.act(lambda session: session.add(Stroke(Mask.of(painted), 1)))
    loop.run()
    assert names(bench) == ["ball", "Segmentation", "Scribbles", "Prompts"]
    assert bench.viewer.layers.selection.active is bench.sheet.prompts.layer
    assert bench.sheet.prompts.layer.mode == "add"
    assert_shown(bench)


def test_scribbles_say_what_belongs_and_what_does_not(bench, loop):
    layer = bench.sheet.scribbles.layer
    bench.hand.scribble()
    layer.data_setitem((np.array([4, 4]), np.array([5, 6]), np.array([7, 7])), 1)
    loop.run()
    bench.hand.aim(include=False)
    assert layer.selected_label == BACKGROUND
    layer.data_setitem((np.array([9]), np.array([5]), np.array([7])), BACKGROUND)
    loop.run()
    first, second = document(bench).prompts.strokes
    assert (first.label, first.include, first.mask.count) == (1, True, 2)
    assert (second.label, second.include, second.mask.count) == (1, False, 1)
    bench.undo()
    assert np.count_nonzero(layer.data) == 2
    layer.data_setitem((np.array([4]), np.array([5]), np.array([7])), 0)
    loop.run()
    assert document(bench).prompts.strokes[0].mask.count == 1


def test_what_is_drawn_means_what_was_aimed_at_then(bench, loop):
    bench.labels.add()
    bench.hand.scribble()
    bench.hand.aim(1, include=False)
    layer = bench.sheet.scribbles.layer
    layer.data_setitem((np.array([9]), np.array([5]), np.array([7])), BACKGROUND)
    bench.hand.box()
    bench.hand.aim(1, include=True)
    outline = np.array([[4.0, 2, 2], [4, 2, 9], [4, 9, 9], [4, 9, 2]])
    bench.sheet.regions.layer.add(outline, shape_type="rectangle")
    # Before the window comes to it, the user goes on.
    bench.hand.aim(2, include=False)
    loop.run()
    (stroke,), (region,) = document(bench).prompts.strokes, document(bench).prompts.regions
    assert (stroke.label, stroke.include) == (1, False)
    assert (region.label, region.role) == (1, Role.INCLUDE)


def test_steps_back_and_forth_aim_at_what_they_were_about(bench, click):
    click(bench, *INSIDE)
    bench.labels.add()
    click(bench, *OTHER)
    for _ in range(3):
        bench.undo()
    assert bench.hand.label == 1
    for label in (1, 2, 2):
        bench.redo()
        assert bench.hand.label == label
    bench.hand.aim(1)
    bench.undo()
    assert bench.hand.label == 2


@pytest.mark.parametrize(("tool", "what"), [("point", "prompts"), ("brush", "result")])
def test_a_tool_shows_the_layer_that_it_works_on(bench, tool, what):
    layer = getattr(bench.sheet, what).layer
    layer.visible = False
    getattr(bench.hand, tool)()
    assert layer.visible
    assert bench.viewer.layers.selection.active is layer


def test_the_wheel_goes_by_slices_of_the_image_in_work(bench, loop):
    tiny = Image(
        np.zeros((40, 4, 4), np.uint8), scale=(0.01, 1, 1), units=bench.image.units
    )
    bench.viewer.layers.append(tiny)
    loop.run()
    bench.viewport.go_to((4, 5, 6))
    wheel = bench.sheet.prompts.layer.mouse_wheel_callbacks[-1]
    for notch, index in ((-1, 5), (-1, 6), (1, 5)):
        event = SimpleNamespace(delta=np.array([0, notch]), modifiers=(), handled=False)
        wheel(bench.sheet.prompts.layer, event)
        assert bench.sheet.view == View(0, index)


def test_the_status_says_grey_value_and_label(bench, click):
    click(bench, *INSIDE)
    layer = bench.sheet.prompts.layer
    place = bench.image.data_to_world(INSIDE)
    bench.viewport.go_to(INSIDE)
    status = layer.get_status(place, view_direction=None, dims_displayed=[1, 2], world=True)
    grey = bench.image.data[INSIDE]
    assert status["value"] == f"{grey} · Label 1"
    assert status["coordinates"].endswith(f"]: {grey} · Label 1")


def test_an_act_before_a_click_was_told_of_leaves_both(bench, click, loop):
    click(bench, *INSIDE)
    bench.sheet.prompts.layer.add(np.array([OTHER], float))
    bench.labels.change(1, name="spleen")
    bench.labels.add()
    loop.run()
    assert [one.voxel for one in document(bench).prompts.points] == [INSIDE, OTHER]
    assert len(bench.sheet.prompts.layer.data) == 2
    assert_shown(bench)


def test_points_can_be_moved_and_deleted(bench, click, loop):
    click(bench, *INSIDE)
    click(bench, *OTHER)
    layer = bench.sheet.prompts.layer
    layer.selected_data = {0}
    layer.remove_selected()
    loop.run()
    assert [p.voxel for p in document(bench).prompts.points] == [OTHER]
    layer.data = np.array([[4.0, 11, 41]])
    loop.run()
    assert [p.voxel for p in document(bench).prompts.points] == [(4, 11, 41)]
    assert bench.session.history.undoes == "move a click"
    assert_shown(bench)


def test_a_click_outside_is_not_taken(bench, click):
    said = listen(bench.failed)
    click(bench, 99, 0, 0)
    assert "outside" in said[-1]
    assert len(bench.sheet.prompts.layer.data) == 0
    click(bench, *INSIDE)
    click(bench, 99, 0, 0)
    click(bench, *OTHER)
    assert [p.voxel for p in document(bench).prompts.points] == [INSIDE, OTHER]


def test_a_click_in_3d_is_not_taken(bench, click):
    bench.viewer.dims.ndisplay = 3
    said = listen(bench.failed)
    click(bench, *INSIDE)
    assert "on slices" in said[-1]
    assert document(bench).is_blank
    assert len(bench.sheet.prompts.layer.data) == 0
    bench.viewer.dims.ndisplay = 2
    click(bench, *INSIDE)
    assert [p.voxel for p in document(bench).prompts.points] == [INSIDE]


def test_numbers_aim_at_labels(bench):
    def press(layer, key):
        next(act for keys, act in layer.keymap.items() if str(keys) == key)(layer)

    bench.labels.add()
    press(bench.sheet.prompts.layer, "1")
    assert bench.hand.label == 1
    for layer in bench.sheet.layers:
        press(layer, "N")
        press(layer, "T")
    last = 2 + len(bench.sheet.layers)
    assert bench.hand.label == last
    press(bench.sheet.result.layer, "Ctrl+Z")
    assert bench.hand.label == last - 1
    press(bench.image, "Ctrl+Z")
    assert bench.hand.label == last - 2
    assert "Ctrl+Z" not in [str(keys) for keys in bench.viewer.keymap]


def test_renaming_computes_nothing_and_names_the_layer(bench, click, engine):
    click(bench, *INSIDE)
    count = len(engine.asked)
    bench.labels.change(1, name="spleen", color=(1.0, 0.0, 0.0))
    assert len(engine.asked) == count
    layer = bench.sheet.result.layer
    assert list(layer.features["name"]) == ["background", "spleen"]
    np.testing.assert_allclose(layer.get_color(1)[:3], (1, 0, 0), atol=0.01)


def test_a_window_to_look_with_is_not_the_encoders(bench, click, engine, image):
    click(bench, *INSIDE)
    count = len(engine.of(EncodeVolume))
    image.contrast_limits = (0, 50)
    assert len(engine.of(EncodeVolume)) == count
    bench.choose("encoder's window", window="bone")
    assert len(engine.of(EncodeVolume)) == count + 1


# What is bound


def second_image(bench, name="other"):
    volume = volume_of(bench.image)
    moved = replace(volume, array=volume.array[::-1].copy(), header=None)
    return Image(moved.array, **image_options(moved, name))


def test_another_image_leaves_none_of_the_firsts_layers(bench, click, loop):
    click(bench, *INSIDE)
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    bench.bind(other)
    loop.run()
    assert names(bench) == ["ball", "other", *OWN]
    assert document(bench).is_blank
    bench.bind(first)
    loop.run()
    assert names(bench) == ["ball", "other", *OWN]
    assert document(bench).mask(1).count == 125
    assert_shown(bench)


def test_steps_can_be_taken_back_after_another_image(bench, click, loop):
    click(bench, *INSIDE)
    click(bench, *OTHER)
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    bench.bind(other)
    loop.run()
    click(bench, *OTHER)
    journal = Autosave(volume_of(first).fingerprint).path.with_suffix(".jsonl")
    size = journal.stat().st_size
    bench.bind(first)
    loop.run()
    bench.undo()
    loop.run()
    assert_shown(bench)
    assert [one.voxel for one in document(bench).prompts.points] == [INSIDE]
    bench.redo()
    loop.run()
    assert len(document(bench).prompts.points) == 2
    # Nothing of what was done before is written out anew.
    assert journal.stat().st_size == size
    bench.bind(other)
    loop.run()
    bench.undo()
    loop.run()
    assert document(bench).is_blank


@pytest.fixture
def leave_unsaved(bench, click, monkeypatch):
    """Click while the disk is full, and leave the image."""

    def full(autosave, saved):
        raise WriteError("the disk is full")

    def leave():
        with monkeypatch.context() as patched:
            patched.setattr(Autosave, "write", full)
            click(bench, *OTHER)
            bench.unbind()

    return leave


def test_what_could_not_be_saved_is_there_when_one_comes_back(
    bench, click, loop, leave_unsaved
):
    click(bench, *INSIDE)
    first = bench.image
    leave_unsaved()
    assert len(Autosave(volume_of(first).fingerprint).read().document.prompts.points) == 1
    bench.bind(first)
    loop.run()
    assert len(document(bench).prompts.points) == 2
    assert_shown(bench)
    kept = Autosave(volume_of(first).fingerprint).read()
    assert kept.document == document(bench)
    bench.undo()
    loop.run()
    assert len(document(bench).prompts.points) == 1


def test_what_could_not_be_saved_lies_beside_what_another_window_wrote(
    bench, click, loop, leave_unsaved
):
    click(bench, *INSIDE)
    first, said = bench.image, listen(bench.said)
    leave_unsaved()
    other = Autosave(volume_of(first).fingerprint)
    saved = other.read()
    other.write(replace(saved, document=saved.document.with_new_label()))
    other.release()
    bench.bind(first)
    loop.run()
    assert len(document(bench).labels) == 2
    assert "kept-1" in said[-1]
    (aside,) = other.path.parent.glob("*.kept-1.dinomed.json")
    assert len(load_document(aside).document.prompts.points) == 2


def test_what_another_program_saved_meanwhile_is_no_step_back(bench, click, loop):
    click(bench, *INSIDE)
    image = bench.image
    bench.unbind()
    autosave = Autosave(volume_of(image).fingerprint)
    saved = autosave.read()
    autosave.write(replace(saved, document=saved.document.with_new_label()))
    autosave.release()
    bench.bind(image)
    loop.run()
    assert len(document(bench).labels) == 2
    bench.undo()
    loop.run()
    assert len(document(bench).labels) == 2


# Of a binding: before its first step, in the middle of each, and after the last.
STEPS = range(9)


def begin(bench, loop, image, steps):
    """Begin with an image, and go so many steps; told when it is bound."""
    told = []
    bench.begin_with(image, lambda: told.append(bench.image))
    for _ in range(steps):
        if loop.waiting:
            loop.waiting.popleft()()
    return told


def test_an_image_is_bound_a_layer_at_a_time(bench, click, loop):
    other = second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    told, seen = begin(bench, loop, other, 0), [len(bench.viewer.layers)]
    while not told:
        loop.waiting.popleft()()
        seen.append(len(bench.viewer.layers))
    # What one step puts in is a layer at most; what was there goes at once.
    assert max(np.diff(seen)) == 1
    assert told == [other]
    assert names(bench) == ["ball", "other", *OWN]
    click(bench, *INSIDE)
    assert document(bench).mask(1).count == 125
    assert_shown(bench)


@pytest.mark.parametrize("steps", STEPS)
def test_whoever_goes_on_to_another_image_half_way_has_that(bench, click, loop, steps):
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    begin(bench, loop, other, steps)
    assert begin(bench, loop, first, 0) in ([], [first])
    loop.run()
    assert bench.image is first
    assert names(bench) == ["ball", "other", *OWN]
    click(bench, *INSIDE)
    assert_shown(bench)


@pytest.mark.parametrize("steps", STEPS)
def test_whoever_wants_an_image_at_once_half_way_has_it(bench, click, loop, steps):
    other = second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    begin(bench, loop, other, steps)
    bench.bind(other)
    assert names(bench) == ["ball", "other", *OWN]
    loop.run()
    assert names(bench) == ["ball", "other", *OWN]
    click(bench, *INSIDE)
    assert_shown(bench)


@pytest.mark.parametrize("steps", STEPS)
def test_an_image_that_goes_half_way_is_not_bound(bench, loop, steps):
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    begin(bench, loop, other, steps)
    bench.viewer.layers.remove(other)
    loop.run()
    # The one before is left at the first step.
    assert bench.image is (None if steps else first)
    assert names(bench) == ["ball", *([] if steps else OWN)]
    assert (bench.session is None) == bool(steps)


@pytest.mark.parametrize("steps", STEPS)
def test_a_window_closed_half_way_leaves_no_session(bench, engine, loop, steps):
    other = second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    begin(bench, loop, other, steps)
    bench.close()
    loop.run()
    bench.begin_with(other)
    loop.run()
    assert bench.session is None
    assert names(bench) == ["ball", "other"]


def test_tools_wait_for_their_layers(bench, loop):
    other = second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    begin(bench, loop, other, 4)
    for take_up in (
        bench.hand.brush,
        bench.hand.scribble,
        bench.hand.lasso,
        bench.hand.point,
    ):
        take_up()
    loop.run()
    assert bench.viewer.layers.selection.active == bench.sheet.prompts.layer


@pytest.mark.parametrize("steps", STEPS)
def test_an_image_comes_though_the_one_before_is_closed(bench, loop, steps):
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    told = begin(bench, loop, other, steps)
    bench.viewer.layers.remove(first)
    loop.run()
    assert told == [other]
    assert names(bench) == ["other", *OWN]


def test_an_image_comes_though_one_was_closed_just_before(bench, loop):
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    bench.viewer.layers.remove(first)
    told = begin(bench, loop, other, 0)
    loop.run()
    assert told == [other]
    assert names(bench) == ["other", *OWN]


@pytest.mark.parametrize("steps", STEPS)
def test_all_who_wait_for_an_image_are_told(bench, loop, steps):
    other = second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    told = begin(bench, loop, other, steps)
    bench.begin_with(other, lambda: told.append("again"))
    loop.run()
    assert told == [other, "again"]


@pytest.mark.parametrize("steps", range(3))
def test_of_an_image_that_goes_before_it_came_nothing_is_left_to_wait_for(
    image, engine, loop, steps
):
    """The window hears of layers before it goes on with a binding that waits."""
    slow = Loop()
    bench = Workbench(ViewerModel(), engine, loop.deliver, slow.deliver)
    bench.viewer.layers.append(image)
    loop.run()
    heard = listen(bench.images_changed)
    bench.begin_with(image)
    assert bench.chosen is image
    for _ in range(steps):
        slow.waiting.popleft()()
    heard.clear()
    bench.viewer.layers.remove(image)
    loop.run()
    assert heard
    assert not bench.is_beginning
    assert bench.chosen is None
    slow.run()
    assert bench.session is None
    bench.close()


@pytest.mark.parametrize("error", [ReadError("it is gone"), RuntimeError("a bug")])
def test_an_image_that_cannot_be_bound_leaves_room_for_another(
    bench, click, loop, monkeypatch, error
):
    first, other = bench.image, second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    said = listen(bench.failed)

    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Session, "open", fail)
        told = begin(bench, loop, other, 0)
        if isinstance(error, ReadError):
            loop.run()
            assert said == ["it is gone"]
        else:
            with pytest.raises(RuntimeError):
                loop.run()
    loop.run()
    assert told == []
    assert not bench.is_beginning
    assert bench.session is None
    assert names(bench) == ["ball", "other"]
    bench.begin_with(first)
    loop.run()
    assert names(bench) == ["ball", "other", *OWN]
    click(bench, *INSIDE)
    assert_shown(bench)


def test_labels_that_come_with_their_image_are_gone_on_from(engine, loop, ball_volume):
    volume, ball = ball_volume
    legend = legend_of((new_label(1),))
    labels = replace(volume, array=ball.astype(np.uint8), legend=legend)
    bench = Workbench(ViewerModel(), engine, loop.deliver)
    image = Image(volume.array, **image_options(volume, "ball"))
    bench.viewer.layers.append(image)
    bench.viewer.layers.append(Labels(labels.array, **labels_options(labels, "labels")))
    bench.begin_with(image)
    loop.run()
    np.testing.assert_array_equal(bench.result(), labels.array)
    bench.close()


def test_an_image_that_lies_elsewhere_is_gone_to(bench, click, loop):
    volume = volume_of(bench.image)
    far = Image(volume.array[::-1].copy(), scale=(2, 1, 1), translate=(500, 0, 900))
    bench.viewer.layers.append(far)
    loop.run()
    camera = bench.viewer.scene.camera
    camera.zoom *= 50
    bench.begin_with(far)
    loop.run()
    zoom = camera.zoom
    bench.viewer.fit_to_view(layers=(far,))
    assert camera.zoom == zoom
    middle = far.extent.world.mean(axis=0)
    np.testing.assert_allclose(bench.viewer.dims.point, middle, atol=2)
    np.testing.assert_allclose(camera.center[1:], middle[1:], atol=2)


def test_an_image_that_is_in_view_is_seen_where_one_was(bench, loop):
    other = second_image(bench)
    bench.viewer.layers.append(other)
    loop.run()
    middle = np.array(bench.viewer.dims.point)
    bench.viewer.dims.set_point(0, bench.image.extent.world[0][0])
    place, centre = bench.viewer.dims.point, bench.viewer.scene.camera.center
    assert place[0] != middle[0]
    bench.begin_with(other)
    loop.run()
    assert bench.viewer.dims.point == place
    assert bench.viewer.scene.camera.center == centre


def test_an_image_on_top_goes_below_and_clicks_go_on(bench, click, loop):
    bench.viewer.layers.append(second_image(bench))
    bench.viewer.layers.selection.active = bench.viewer.layers[-1]
    loop.run()
    assert names(bench) == ["ball", "other", *OWN]
    assert bench.viewer.layers.selection.active is bench.sheet.prompts.layer
    assert bench.image.name == "ball"


def test_removing_the_image_takes_everything_with_it(bench, engine, loop, click):
    engine.holds = (EncodeVolume,)
    click(bench, *INSIDE)
    bench.viewer.layers.remove(bench.image)
    loop.run()
    assert names(bench) == []
    assert bench.session is None
    assert engine.of(EncodeVolume)[0].future.done()


def test_clearing_all_layers_ends(bench, loop, click):
    click(bench, *INSIDE)
    bench.viewer.layers.clear()
    loop.run()
    assert names(bench) == []
    assert bench.session is None


def test_a_layer_of_the_document_comes_back(bench, click, loop):
    click(bench, *INSIDE)
    bench.hand.erase()
    bench.viewer.layers.remove(bench.sheet.result.layer)
    loop.run()
    # In its place, and with the tool in hand that was.
    assert names(bench) == ["ball", *OWN]
    assert bench.viewer.layers.selection.active is bench.sheet.result.layer
    assert bench.sheet.result.layer.mode == "erase"
    assert_shown(bench)


def test_a_layer_that_comes_back_comes_with_no_tool_in_hand(bench, loop):
    """napari shows a new layer's tools as they are by themselves."""
    layer, modes = bench.sheet.prompts.layer, []
    bench.hand.point()
    bench.viewer.layers.events.inserted.connect(lambda event: modes.append(layer.mode))
    bench.viewer.layers.remove(layer)
    loop.run()
    assert modes == ["pan_zoom"]
    assert layer.mode == "add"


def test_layers_that_somebody_put_in_another_order_stay_there(bench, loop):
    layers = bench.viewer.layers
    layers.move(layers.index(bench.sheet.result.layer), len(layers))
    mine = names(bench)
    layers.append(Points(np.zeros((1, 3)), name="mine"))
    loop.run()
    assert names(bench) == [*mine, "mine"]


def test_closing_leaves_the_image_and_no_ears(bench, image, click, loop):
    click(bench, *INSIDE)
    layer = bench.sheet.result.layer
    bench.close()
    loop.run()
    assert names(bench) == ["ball"]
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    bench.viewer.layers.clear()
    loop.run()


def test_an_image_opened_after_the_panel_is_ready_for_the_first_click(engine, loop, image):
    viewer = ViewerModel()
    workbench = Workbench(viewer, engine, loop.deliver)
    workbench.images_changed.connect(
        lambda: workbench.bind(workbench.images[0]) if workbench.images else None
    )
    viewer.layers.append(image)
    viewer.layers.selection.active = image
    loop.run()
    assert viewer.layers.selection.active is workbench.sheet.prompts.layer
    workbench.close()


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).random((6, 9, 9)) > 0.5,
        np.random.default_rng(0).normal(100, 9, (40, 50)),
    ],
    ids=["boolean", "2-D"],
)
def test_images_that_are_masks_or_single_slices(array, engine, loop):
    viewer = ViewerModel()
    image = Image(array, scale=(0.5,) * array.ndim, translate=(3,) * array.ndim)
    viewer.layers.append(image)
    workbench = Workbench(viewer, engine, loop.deliver)
    workbench.bind(image)
    workbench.sheet.prompts.layer.add(np.array([[0.0, 4, 4]]))
    loop.run()
    assert document(workbench).mask(1)
    assert_shown(workbench)
    np.testing.assert_array_equal(
        workbench.sheet.result.layer.scale[-array.ndim :], image.scale
    )
    workbench.close()


# Labels in and out


def test_going_on_from_a_layer_of_labels(bench, loop, click):
    layer = labels_over(bench.image, "mine", np.int32)
    layer.data[2:4, 5:9, 5:9] = 4
    bench.viewer.layers.append(layer)
    loop.run()
    assert bench.exchange.labels_at_hand == [layer]
    bench.exchange.continue_from(layer)
    loop.run()
    assert not layer.visible
    assert document(bench).mask(4).count == 32
    assert_shown(bench)
    click(bench, *INSIDE)
    assert (shown(bench)[2:4, 5:9, 5:9] == 4).all()
    bench.undo()
    bench.undo()
    assert not shown(bench).any()


def test_a_layers_own_names_and_colours_are_kept(bench, loop):
    layer = labels_over(bench.image, "mine", np.int32)
    layer.data[2:4, 5:9, 5:9] = 4
    layer.features = {"index": [0, 4], "name": ["background", "tumour"]}
    bench.viewer.layers.append(layer)
    loop.run()
    color = layer.get_color(4)
    bench.exchange.continue_from(layer)
    assert document(bench).find(4).name == "tumour"
    np.testing.assert_allclose(document(bench).find(4).color, color[:3], atol=1e-6)


def test_labels_that_lie_elsewhere_are_refused(bench, loop):
    layer = Labels(np.ones(bench.session.volume.array.shape, int), name="moved")
    bench.viewer.layers.append(layer)
    loop.run()
    said = listen(bench.refused)
    bench.exchange.continue_from(layer)
    assert "elsewhere" in said[-1]
    assert document(bench).is_blank


def test_what_is_done_is_not_replaced_by_labels_from_elsewhere(bench, click, loop):
    click(bench, *INSIDE)
    bench.labels.toggle_done(1)
    before = document(bench)
    layer = labels_over(bench.image, "mine", np.int32)
    layer.data[2:4, 5:9, 5:9] = 4
    said = listen(bench.refused)
    bench.exchange.continue_from(layer)
    assert "done and locked" in said[-1]
    assert document(bench) == before


@pytest.mark.parametrize("name", ["l.seg.nrrd", "l.nii.gz"])
def test_saved_labels_are_taken_up_by_opening_them(
    scan, scanned, open_on, click, loop, save, tmp_path, name
):
    click(scanned, 3, 9, 9)
    scanned.labels.change(1, name="spleen", color=(0.0, 0.5, 1.0))
    saved = shown(scanned).copy()
    path = str(tmp_path / name)
    save(scanned, tmp_path / name)
    bench = open_on(replace(scan, array=scan.array + 1))
    ((array, options, kind),) = get_reader(path)(path)
    assert kind == "labels"
    bench.viewer.layers.append(Labels(array, **options))
    loop.run()
    assert names(bench) == ["scan", *OWN]
    assert document(bench).find(1).name == "spleen"
    np.testing.assert_array_equal(shown(bench), saved)


def test_labels_of_another_grid_are_refused(bench):
    layer = Labels(np.ones((2, 3, 4), int), name="small")
    said = listen(bench.refused)
    bench.exchange.continue_from(layer)
    assert "small" in said[-1]
    assert document(bench).is_blank


def test_going_on_from_a_file(scanned, click, tmp_path, save):
    click(scanned, 3, 9, 9)
    save(scanned, tmp_path / "l.nii.gz")
    saved = shown(scanned).copy()
    scanned.undo()
    scanned.exchange.continue_from_file(tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(shown(scanned), saved)
    said = listen(scanned.failed)
    scanned.exchange.continue_from_file(tmp_path / "none.nii.gz")
    assert "none.nii.gz" in said[-1]


def test_instances_get_numbers_of_their_own(bench, click, loop):
    click(bench, *INSIDE)
    click(bench, *OTHER)
    made_layers = listen(bench.said)
    bench.exchange.split()
    for _ in range(200):
        loop.run()
        if any("things" in text for text in made_layers if "apart" not in text):
            break
        __import__("time").sleep(0.02)
    layer = bench.viewer.layers["Instances of Label 1"]
    assert layer.data.max() == 2
    assert layer not in bench.sheet.layers
    assert not document(bench).has(2)


def test_nothing_to_split_is_said(bench):
    said = listen(bench.refused)
    bench.exchange.split()
    assert "Nothing is Label 1 yet" in said[-1]


def test_saving_where_one_cannot_is_said(bench, click, tmp_path, save):
    click(bench, *INSIDE)
    said = listen(bench.failed)
    save(bench, tmp_path / "none" / "l.nii.gz")
    assert "not there" in said[-1]
    recovered = listen(bench.recovered)
    bench.labels.add()
    assert recovered


def test_labels_go_into_the_images_own_store(open_on, click, loop, tmp_path, save):
    array = np.random.default_rng(0).integers(0, 200, (6, 20, 24)).astype(np.uint8)
    store = made.write_zarr(tmp_path / "image.zarr", array)
    bench = open_on(read_volume(store, Pick("s0")))
    assert bench.exchange.own_store == store
    click(bench, 3, 9, 9)
    save(bench, bench.exchange.own_store)
    saved, _ = read_labels(store / "labels" / "dinomed")
    np.testing.assert_array_equal(saved, shown(bench))
    np.testing.assert_array_equal(read_volume(store).array, array)


def test_the_tools_follow_what_napari_is_set_to(bench):
    told = listen(bench.hand.tool_changed)
    bench.hand.brush()
    bench.sheet.result.layer.mode = "fill"
    bench.sheet.result.layer.mode = "erase"
    bench.viewer.layers.selection.active = bench.image
    bench.hand.point()
    assert told[-1] == "point"
    assert [told[n] for n in range(len(told)) if n == 0 or told[n] != told[n - 1]] == [
        "",
        "brush",
        "",
        "erase",
        "",
        "point",
    ]


def test_a_single_slice_beside_a_volume_can_be_clicked(bench, click, loop):
    flat = Image(np.random.default_rng(0).normal(100, 9, (48, 56)), name="flat")
    bench.viewer.layers.append(flat)
    loop.run()
    bench.bind(flat)
    click(bench, 7, 20, 30)
    assert [p.voxel for p in document(bench).prompts.points] == [(0, 20, 30)]
    assert_shown(bench)


def test_splitting_waits_for_the_answer(bench, click, engine, loop):
    engine.holds = (SegmentVolume,)
    click(bench, *INSIDE)
    said = listen(bench.said)
    bench.exchange.split()
    assert "splitting Label 1 comes right after" in said[-1]
    engine.of(SegmentVolume)[-1].answer()
    loop.run()
    # A thread may have told them apart by now.
    assert any("Telling" in text and "apart" in text for text in said)


def test_names_for_saving(tmp_path):
    assert suffix_of(tmp_path / "a.ome.tif") == ".ome.tif"
    assert suffix_of(tmp_path / "a.1") == ""
    assert with_suffix(tmp_path / "a.1", "NIfTI (*.nii *.nii.gz)").name == "a.1.nii.gz"
    assert with_suffix(tmp_path / "a.nii", "NRRD (*.nrrd)").name == "a.nii"
    assert filters(".seg.nrrd").startswith("NRRD")


def test_two_windows_on_one_volume(bench, click, image, engine, loop, ball_volume):
    click(bench, *INSIDE)
    viewer = ViewerModel()
    volume, _ = ball_volume
    again = Image(volume.array, **image_options(volume, "ball"))
    viewer.layers.append(again)
    second = Workbench(viewer, FakeEngine(), loop.deliver)
    said, failed = listen(second.said), listen(second.failed)
    second.bind(again)
    loop.run()
    assert "another window" in said[0]
    assert_shown(second)
    click(second, *OTHER)
    assert "only looks" in failed[-1]
    assert len(second.sheet.prompts.layer.data) == 1
    second.sheet.result.layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    loop.run()
    assert_shown(second)
    second.take_over()
    loop.run()
    click(second, *OTHER)
    assert_shown(second)
    first_said = listen(bench.said)
    bench.labels.add()
    assert "Another window" in first_said[-1]
    second.close()


def test_points_of_the_layer_carry_no_leftovers(bench, click):
    click(bench, *INSIDE)
    layer = bench.sheet.prompts.layer
    assert isinstance(layer, Points)
    assert list(layer.features["number"]) == [0]


def test_a_volume_reads_back_as_itself(bench):
    assert isinstance(volume_of(bench.image), Volume)


@pytest.mark.parametrize(
    ("button", "modifiers", "includes"),
    [(1, (), True), (2, (), False), (1, ("Shift",), False), (1, ("Control",), True)],
)
def test_a_right_click_or_one_with_shift_excludes(
    bench, click, button, modifiers, includes
):
    layer = bench.sheet.prompts.layer
    press = SimpleNamespace(button=button, modifiers=modifiers)
    bench.sheet.prompts._on_press(layer, press)
    click(bench, 8, 24, 30)
    (point,) = bench.session.document.prompts.points
    assert point.include is includes
    assert bench.hand.include


def test_colours_are_those_that_napari_would_show():
    colors = {None: "transparent", 0: "transparent", 3: (1, 0, 0, 1.0), 60_000: "blue"}
    values = np.array([[0, 1, 3, 60_000]], np.uint16)
    for selected in (False, True):
        options = {"color_dict": colors, "use_selection": selected, "selection": 3}
        np.testing.assert_array_equal(
            LabelColors(**options).map(values), DirectLabelColormap(**options).map(values)
        )


def test_voxels_changed_in_place_are_another_volume(bench, loop):
    before = bench.session.fingerprint
    bench.image.data[0, 0, 0] += 1
    bench.image.events.data()
    loop.run()
    assert bench.session.fingerprint != before
    assert bench.prints.of(bench.image) == bench.session.fingerprint


def test_saving_does_not_keep_the_window_waiting(
    scanned, click, loop, tmp_path, monkeypatch
):
    click(scanned, 3, 9, 9)
    may_write = threading.Event()
    write = provenance.write_labels
    monkeypatch.setattr(
        provenance, "write_labels", lambda *all_: may_write.wait(60) and write(*all_)
    )
    saved = shown(scanned).copy()
    said = listen(scanned.said)
    scanned.exchange.save_labels(tmp_path / "l.nii.gz")
    scanned.undo()
    loop.run()
    may_write.set()
    scanned.exchange._writer.submit(lambda: None).result()
    loop.run()
    assert "Saved" in said[-1]
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii.gz")[0], saved)


def test_whatever_goes_wrong_in_saving_is_said(bench, click, save, tmp_path, monkeypatch):
    click(bench, *INSIDE)

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(provenance, "write_labels", fail)
    failed = listen(bench.failed)
    save(bench, tmp_path / "l.nii.gz")
    assert "l.nii.gz: MemoryError" in failed[-1]


def test_what_a_click_says_is_seen_without_its_colour(bench, click):
    click(bench, *INSIDE)
    bench.hand.aim(include=False)
    click(bench, *OTHER)
    layer = bench.sheet.prompts.layer
    included, excluded = layer.symbol
    assert included != excluded
    np.testing.assert_array_equal(*layer.face_color)

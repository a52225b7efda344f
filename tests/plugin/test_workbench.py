"""What a user does to layers, without a window: `ViewerModel` and a fake engine."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_dinomed.engine.messages import EncodeVolume, OpenVolume, SegmentVolume
from napari_dinomed.errors import DinomedError, VolumeError
from napari_dinomed.io import read_volume
from napari_dinomed.plugin.scribble_layer import BACKGROUND
from napari_dinomed.plugin.workbench import Workbench
from napari_dinomed.segment.prompts import Meaning, Point
from tests.fakes import FakeEngine


def test_every_layer_lies_exactly_over_the_image(bench, image):
    for layer in (bench.prompts.layer, bench.scribbles.layer, bench.preview.layer):
        np.testing.assert_allclose(layer.scale, image.scale)
        np.testing.assert_allclose(layer.translate, image.translate)
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels
    assert bench.viewer.layers.extent.units is not None


def test_a_click_becomes_a_prompt_and_then_labels(bench, click):
    click(bench, 8, 24, 30)
    assert bench.session.annotation.prompts.points == (Point((8, 24, 30), 1),)
    assert bench.preview.labels[8, 24, 30] == 1


def test_excluding_and_other_labels(bench, click):
    click(bench, 8, 24, 30)
    bench.aim(include=False)
    click(bench, 2, 3, 4)
    bench.new_label()
    click(bench, 5, 6, 7)
    assert bench.session.annotation.prompts.points == (
        Point((8, 24, 30), 1),
        Point((2, 3, 4), 1, include=False),
        Point((5, 6, 7), 2),
    )
    assert [str(s) for s in bench.prompts.layer.symbol] == ["disc", "x", "disc"]
    colors = bench.prompts.layer.face_color
    assert np.allclose(colors[0], colors[1])
    assert not np.allclose(colors[0], colors[2])


def test_undo_and_redo_reach_the_canvas(bench, click):
    click(bench, 8, 24, 30)
    click(bench, 9, 24, 30)
    bench.session.undo()
    assert len(bench.prompts.layer.data) == 1
    bench.session.undo()
    assert len(bench.prompts.layer.data) == 0
    assert not bench.preview.labels.any()
    bench.session.redo()
    assert len(bench.prompts.layer.data) == 1
    assert bench.preview.labels[8, 24, 30] == 1


def test_deleting_and_moving_points_on_the_canvas(bench, click):
    click(bench, 8, 24, 30)
    click(bench, 9, 10, 11)
    layer = bench.prompts.layer
    layer.selected_data = {0}
    layer.remove_selected()
    assert bench.session.annotation.prompts.points == (Point((9, 10, 11), 1),)
    layer.data = np.array([[3.2, 10.0, 11.0]])
    assert bench.session.annotation.prompts.points == (Point((3, 10, 11), 1),)


@pytest.mark.parametrize("voxel", [(-1, 5, 5), (16, 5, 5), (8, 48, 5)])
def test_a_click_outside_is_refused_and_leaves_nothing(bench, click, voxel):
    said = []
    bench.failed.connect(said.append)
    click(bench, 8, 24, 30)
    click(bench, *voxel)
    assert len(bench.session.annotation.prompts.points) == 1
    assert len(bench.prompts.layer.data) == 1
    assert "outside" in said[0]


def stroke_on(bench, voxel, value):
    with bench.scribbles.layer.block_history():
        bench.scribbles.layer.paint(voxel, value)


def test_scribbles_are_read_from_paint(bench):
    bench.paint()
    stroke_on(bench, (8, 24, 30), bench.label)
    (stroke,) = bench.session.annotation.prompts.scribbles
    assert stroke.include
    assert (8, 24, 30) in stroke.voxels
    bench.aim(include=False)
    assert bench.scribbles.layer.selected_label == BACKGROUND
    stroke_on(bench, (8, 5, 5), BACKGROUND)
    kinds = {s.include for s in bench.session.annotation.prompts.scribbles}
    assert kinds == {True, False}
    bench.session.undo()
    assert not (np.asarray(bench.scribbles.layer.data) == BACKGROUND).any()


def test_accepting_is_one_undo_step_and_keeps_other_labels(bench, click):
    click(bench, 8, 24, 30)
    first = bench.accept()
    first.data[0, 0, 0] = 9
    np.testing.assert_allclose(first.scale, bench.image.scale)
    assert first.units == bench.image.units
    before = np.array(first.data)
    click(bench, 3, 10, 11)
    assert bench.accept() is first
    assert (np.asarray(first.data) == 1).sum() == 250
    assert first.data[0, 0, 0] == 9
    first.undo()
    np.testing.assert_array_equal(first.data, before)
    first.redo()
    assert (np.asarray(first.data) == 1).sum() == 250


def test_what_the_user_painted_by_hand_survives_clicks(bench, click):
    click(bench, 8, 24, 30)
    kept = bench.accept()
    kept.paint((2, 2, 2), 5)
    click(bench, 8, 24, 36)
    assert kept.data[2, 2, 2] == 5


def test_the_plane_in_view_is_asked_for(bench, engine, click):
    bench.viewer.dims.set_current_step(0, 5)
    click(bench, 5, 24, 30)
    request = engine.of(SegmentVolume)[-1].request
    assert (request.view_axis, request.view_index) == (0, 5)
    bench.viewer.dims.order = (1, 0, 2)
    bench.viewer.dims.set_current_step(1, 20)
    click(bench, 5, 20, 30)
    request = engine.of(SegmentVolume)[-1].request
    assert (request.view_axis, request.view_index) == (1, 20)


def test_the_things_of_a_label_get_a_layer_of_their_own(bench, click):
    with pytest.raises(DinomedError, match="click on some of it"):
        bench.split()
    click(bench, 8, 24, 30)
    bench.accept().data[0, 0, 0] = 1
    said = []
    bench.said.connect(said.append)
    bench.split()
    for thread in threading.enumerate():
        if thread.name == "instances":
            thread.join(10)
    layer = next(part for part in bench.viewer.layers if part.name.startswith("Instances"))
    np.testing.assert_allclose(layer.scale, bench.image.scale)
    assert layer.data[8, 24, 30] == 1
    assert layer.data[0, 0, 0] == 2
    assert layer.features["voxels"].tolist() == [0, 125, 1]
    assert "2 things" in said[-1]
    assert bench.viewer.layers.selection.active is bench.prompts.layer


def test_removing_the_image_closes_and_keeps_what_was_accepted(bench, click):
    click(bench, 8, 24, 30)
    kept = bench.accept()
    bench.viewer.layers.remove(bench.image)
    assert bench.session is None
    assert list(bench.viewer.layers) == [kept]


def test_opening_again_goes_on_where_it_was_left(bench, image, click):
    click(bench, 8, 24, 30)
    bench.close()
    bench.open(image)
    assert bench.session.annotation.prompts.points == (Point((8, 24, 30), 1),)
    assert len(bench.prompts.layer.data) == 1
    assert bench.preview.labels[8, 24, 30] == 1


def test_opening_again_does_not_add_a_label(bench, image):
    bench.close()
    bench.open(image)
    assert [label.id for label in bench.session.annotation.labels] == [1]


def test_saving_writes_the_images_own_grid(bench, click, tmp_path):
    click(bench, 8, 24, 30)
    bench.accept()
    bench.save_labels(tmp_path / "labels.nii.gz")
    saved = nib.load(tmp_path / "labels.nii.gz")
    assert saved.shape == (56, 48, 16)
    np.testing.assert_allclose(saved.header.get_zooms(), (0.7, 0.7, 3.0), rtol=1e-6)
    assert np.asarray(saved.dataobj)[30, 24, 8] == 1


def test_keys_on_the_prompt_layer(bench, click):
    def press(key):
        binding = next(b for k, b in bench.prompts.layer.keymap.items() if str(k) == key)
        binding(bench.prompts.layer)

    press("T")
    assert not bench.include
    press("N")
    assert [label.id for label in bench.session.annotation.labels] == [1, 2]
    assert (bench.label, bench.include) == (2, True)
    press("1")
    assert bench.label == 1
    click(bench, 8, 24, 30)
    press("Ctrl+Z")
    assert not bench.session.annotation.prompts
    press("H")
    assert not bench.preview.layer.visible


def test_labels_can_be_renamed_recoloured_and_removed(bench, click):
    click(bench, 8, 24, 30)
    bench.change_label(1, name="spleen", meaning=Meaning.ALL_LIKE_THIS)
    assert bench.session.annotation.find(1).name == "spleen"
    bench.new_label()
    assert bench.session.annotation.find(2).meaning is Meaning.ALL_LIKE_THIS
    bench.remove_label(1)
    assert [label.id for label in bench.session.annotation.labels] == [2]
    assert len(bench.prompts.layer.data) == 0
    assert bench.label == 2
    bench.remove_label(2)
    assert len(bench.session.annotation.labels) == 1
    bench.session.undo()
    assert len(bench.prompts.layer.data) == 1


@pytest.mark.parametrize(
    "layer",
    [
        Image(np.zeros((4, 5, 3), np.uint8), rgb=True),
        Image(np.zeros((2, 3, 4, 5), np.uint8)),
        Image(np.zeros((2, 3, 4), np.uint8)),
        Image(np.full((2, 3, 4), np.nan, np.float32), contrast_limits=(0, 1)),
    ],
    ids=["colour", "4-D", "constant", "not-a-number"],
)
def test_images_that_cannot_be_segmented(layer):
    viewer = ViewerModel()
    viewer.layers.append(layer)
    workbench = Workbench(viewer, FakeEngine())
    with pytest.raises(VolumeError):
        workbench.open(layer)
    assert list(viewer.layers) == [layer]


def test_an_image_from_another_reader_has_the_layers_scale():
    array = np.random.default_rng(0).integers(0, 255, (3, 20, 30)).astype(np.uint8)
    layer = Image(array, scale=(50, 4, 4), units=("nm",) * 3)
    viewer = ViewerModel()
    viewer.layers.append(layer)
    workbench = Workbench(viewer, FakeEngine())
    workbench.open(layer)
    assert workbench.session.volume.geometry.spacing == (50, 4, 4)
    assert workbench.session.volume.geometry.unit == "nm"
    assert workbench.session.annotation.labels[0].meaning is Meaning.ALL_LIKE_THIS
    assert isinstance(workbench.accept(), Labels)


def test_another_layer_is_looked_at_as_well(bench, image, engine, click):
    click(bench, 8, 24, 30)
    assert not engine.of(OpenVolume)[-1].request.others.size
    bench.see_with([image])
    request = engine.of(OpenVolume)[-1].request
    assert request.others.shape == (1, *image.data.shape)
    assert len(engine.of(EncodeVolume)) == 2
    assert bench.preview.labels[8, 24, 30] == 1
    bench.see_with([])
    assert not engine.of(OpenVolume)[-1].request.others.size


def test_a_layer_of_another_grid_is_refused(bench, image):
    smaller = Image(image.data[:-1], scale=image.scale, units=image.units)
    with pytest.raises(VolumeError, match="same grid"):
        bench.see_with([smaller])


def test_names_and_colours_are_saved_with_the_labels(bench, click, tmp_path):
    click(bench, 8, 24, 30)
    bench.change_label(1, name="spleen", color=(1.0, 0.0, 0.0))
    bench.save_labels(tmp_path / "labels.seg.nrrd")
    (label,) = read_volume(tmp_path / "labels.seg.nrrd").legend
    assert (label.id, label.name, label.color) == (1, "spleen", (1.0, 0.0, 0.0))

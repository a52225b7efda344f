"""What somebody who had read the README alone stumbled over."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_dinomed.engine.messages import EstimateEncoding
from napari_dinomed.errors import DocumentError
from napari_dinomed.plugin.image_box import ImageBox
from napari_dinomed.plugin.labels_table import Column, LabelsModel, rows_of
from napari_dinomed.plugin.opening import open_paths
from napari_dinomed.plugin.planes import Plane, show_plane
from napari_dinomed.plugin.prompts_box import PromptsBox
from napari_dinomed.plugin.result_box import filters
from napari_dinomed.session.figures import Figures
from napari_dinomed.settings import load_settings, save_settings
from tests.fakes import FakeEngine
from tests.plugin.conftest import needs_display
from tests.plugin.test_clicks_in_3d import CLICK, hand, look_at
from tests.plugin.test_workbench import INSIDE, listen


def test_a_click_that_is_dragged_does_not_take_the_view_along(bench, click):
    click(bench, *INSIDE)
    layer, camera = bench.sheet.prompts.layer, bench.viewer.scene.camera
    bench.viewer.dims.set_point(0, layer.data_to_world(INSIDE)[0])
    seen = []

    def event(kind, y, x):
        place = tuple(layer.data_to_world((INSIDE[0], y, x)))
        about = {"position": place, "pos": (x, y), "button": 1, "modifiers": ()}
        about |= {"view_direction": None, "dims_displayed": [1, 2], "dims_point": place}
        return SimpleNamespace(type=kind, is_dragging=True, **about)

    _, y, x = INSIDE
    mouse_press_callbacks(layer, ReadOnlyWrapper(event("mouse_press", y, x)))
    seen.append(camera.mouse_pan)
    mouse_move_callbacks(layer, event("mouse_move", y + 3, x + 4))
    seen.append(camera.mouse_pan)
    mouse_release_callbacks(layer, event("mouse_release", y + 3, x + 4))
    assert seen == [False, False]
    assert camera.mouse_pan
    np.testing.assert_allclose(layer.data[0], (INSIDE[0], y + 3, x + 4), atol=0.5)


@pytest.mark.parametrize("tool", ["point", "scribble", "box", "brush", "erase"])
def test_in_3d_a_drag_turns_the_view_whatever_is_in_hand(bench, click, tool):
    click(bench, *INSIDE)
    getattr(bench.hand, tool)()
    layer = bench.viewer.layers.selection.active
    mode, told = str(layer.mode), listen(bench.hand.tool_changed)
    show_plane(bench.viewer, Plane.SOLID)
    assert str(layer.mode) == "pan_zoom"
    assert told[-1] == tool
    show_plane(bench.viewer, Plane.AXIAL)
    assert str(layer.mode) == mode
    assert told[-1] == tool


def test_what_napari_is_set_to_stays_over_3d(bench):
    bench.hand.brush()
    layer = bench.viewer.layers.selection.active
    layer.mode = "fill"
    show_plane(bench.viewer, Plane.SOLID)
    show_plane(bench.viewer, Plane.AXIAL)
    assert str(layer.mode) == "fill"


def test_a_tool_that_is_taken_up_in_3d_waits_for_slices(bench):
    show_plane(bench.viewer, Plane.SOLID)
    bench.hand.brush()
    layer = bench.sheet.result.layer
    assert str(layer.mode) == "pan_zoom"
    show_plane(bench.viewer, Plane.AXIAL)
    assert str(layer.mode) == "paint"


def test_a_click_in_3d_on_no_label_is_answered(bench, click):
    click(bench, *INSIDE)
    show_plane(bench.viewer, Plane.SOLID)
    said = listen(bench.said)
    hand(bench.viewer, look_at(bench.sheet.result.layer, 40, 5), CLICK)
    assert "Press F5" in said[-1]


def test_a_format_that_cannot_take_the_labels_is_neither_offered_nor_usual(bench):
    save_settings(replace(load_settings(), label_suffix=".dcm"))
    assert bench.exchange.usual_suffix == ".nii.gz"
    assert "DICOM" in filters(".nii.gz")
    assert "DICOM" not in filters(".nii.gz", bench.session.volume)


def test_what_was_saved_here_is_known_until_somebody_changes_it(
    bench, click, save, tmp_path
):
    click(bench, *INSIDE)
    path = tmp_path / "labels.nii.gz"
    assert not bench.exchange.is_own(path)
    save(bench, path)
    assert bench.exchange.is_own(path)
    path.write_bytes(path.read_bytes() + b" ")
    assert not bench.exchange.is_own(path)


def test_nothing_is_not_saved(bench, tmp_path):
    with pytest.raises(DocumentError, match="no labels to save yet"):
        bench.exchange.save_labels(tmp_path / "labels.nii.gz")
    assert not list(tmp_path.iterdir())


def test_figures_of_other_voxels_are_not_shown(bench, click):
    click(bench, *INSIDE)
    document, geometry = bench.session.document, bench.session.volume.geometry
    count = document.mask(1).count
    model = LabelsModel(lambda *_: None)
    for voxels, shown in ((count, ("5 ± 1", "3")), (count - 1, ("…", "…"))):
        figures = {1: Figures(voxels, 5.0, 1.0, 3.0, 7.0, 3)}
        model.show(rows_of(document, geometry, figures, ()))
        cells = [model.data(model.index(0, c)) for c in (Column.GREY, Column.THINGS)]
        assert tuple(cells) == shown


def test_the_other_planes_go_through_the_image_that_is_gone_to(bench):
    layer = bench.sheet.result.layer
    bench.viewer.dims.range = tuple((0.0, 500.0, 1.0) for _ in range(3))
    bench.viewer.dims.point = (layer.data_to_world((8, 0, 0))[0], 400.0, 400.0)
    bench.viewport.bring_into_view(layer)
    low, high = layer.extent.world
    assert (np.array(bench.viewer.dims.point) >= low).all()
    assert (np.array(bench.viewer.dims.point) <= high).all()


def test_an_empty_folder_is_one_line_that_says_what_was_expected(bench, tmp_path):
    said = listen(bench.failed)
    open_paths(bench, [str(tmp_path)])
    assert "Expected a DICOM series" in said[-1]


def test_paint_on_a_label_that_is_done_is_refused_once(bench, click, brush):
    click(bench, *INSIDE)
    bench.labels.toggle_done(1)
    said = listen(bench.failed)
    z, y, x = INSIDE
    brush(bench, ((z, z + 1), (y, y + 2), (x, x + 2)), 1)
    assert len(said) <= 1


def test_what_lies_under_the_mouse_is_not_asked_before_it_moves_in_3d(bench, click):
    click(bench, *INSIDE)
    layer = bench.sheet.result.layer
    place = layer.data_to_world(INSIDE)
    about = {"view_direction": None, "dims_displayed": [0, 1, 2], "world": True}
    assert "value" in layer.get_status(place, **about)


@needs_display
def test_what_features_take_follows_the_choices_and_undo(bench, loop, engine, qtbot):
    box = ImageBox(bench, engine, loop.deliver, FakeEngine)
    qtbot.addWidget(box)
    bench.choose_encoder("file:/a/vit.safetensors")
    box._ask_for_estimate()
    bench.choose("slices", planes="one")
    loop.run()
    bench.undo()
    loop.run()
    asked = [one.request.planes for one in engine.of(EstimateEncoding)]
    assert asked == ["auto", "one", "auto"]


@needs_display
def test_what_a_click_says_is_no_choice_for_the_brush(bench, loop, qtbot):
    box = PromptsBox(bench)
    qtbot.addWidget(box)
    bench.bound.emit()
    for tool, is_choice in (("brush", False), ("erase", False), ("box", True)):
        getattr(bench.hand, tool)()
        loop.run()
        assert box.exclude.isEnabled() == box.include.isEnabled() == is_choice

"""Clicks in 3-D go to the place on a label; drags turn the view, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_dinomed.plugin.planes import Plane, show_plane
from napari_dinomed.plugin.solid_view import SolidView

START = (100, 100)
CLICK = (START,)
SHAKEN = (START, (101, 98))
DRAG = (START, (103, 100), (160, 130))
THERE_AND_BACK = (START, (160, 130), START)
DOWN = np.array([1.0, 0, 0])


def look_at(layer, y, x, way=DOWN, **other):
    """A press of the left button where one looks along the first axis at a voxel."""
    from_outside = (-20 if way[0] > 0 else 40, y, x)
    about = {
        "button": 1,
        "modifiers": (),
        "is_dragging": True,
        "position": tuple(np.array(layer.data_to_world(from_outside))),
        "view_direction": way,
        "dims_displayed": [0, 1, 2],
    }
    return about | other


def hand(viewer, about, places):
    """A press, moves and a release, as napari tells of them."""

    def event(kind, place):
        return SimpleNamespace(type=kind, pos=place, **about)

    mouse_press_callbacks(viewer, ReadOnlyWrapper(event("mouse_press", places[0])))
    for place in places[1:]:
        mouse_move_callbacks(viewer, event("mouse_move", place))
    mouse_release_callbacks(viewer, event("mouse_release", places[-1]))


# The window's own view


@pytest.fixture
def solid(bench, click):
    """A cube of five voxels a side in 3-D, seen from another place."""
    click(bench, 8, 24, 30)
    show_plane(bench.viewer, Plane.SOLID)
    bench.viewer.dims.current_step = (1, 2, 3)
    return bench


@pytest.mark.parametrize("places", [CLICK, SHAKEN], ids=["still", "shaken"])
def test_a_click_on_a_label_goes_to_its_first_voxel(solid, places):
    hand(solid.viewer, look_at(solid.sheet.result.layer, 25, 31), places)
    assert solid.viewer.dims.current_step == (6, 25, 31)


@pytest.mark.parametrize("places", [DRAG, THERE_AND_BACK], ids=["away", "back"])
def test_a_drag_goes_nowhere(solid, places):
    hand(solid.viewer, look_at(solid.sheet.result.layer, 25, 31), places)
    assert solid.viewer.dims.current_step == (1, 2, 3)


def test_a_click_beside_all_labels_goes_nowhere(solid):
    hand(solid.viewer, look_at(solid.sheet.result.layer, 40, 5), CLICK)
    assert solid.viewer.dims.current_step == (1, 2, 3)


@pytest.mark.parametrize("other", [{"button": 2}, {"modifiers": ("Shift",)}])
def test_other_clicks_go_nowhere(solid, other):
    hand(solid.viewer, look_at(solid.sheet.result.layer, 25, 31, **other), CLICK)
    assert solid.viewer.dims.current_step == (1, 2, 3)


@pytest.mark.parametrize("mode", ["paint", "erase", "fill", "polygon"])
def test_tools_that_paint_keep_their_clicks(solid, mode):
    layer = solid.sheet.result.layer
    solid.viewer.layers.selection.active = layer
    layer.mode = mode
    hand(solid.viewer, look_at(layer, 25, 31), CLICK)
    assert solid.viewer.dims.current_step == (1, 2, 3)


def test_a_slice_is_not_left_by_a_click(solid):
    show_plane(solid.viewer, Plane.AXIAL)
    before = solid.viewer.dims.current_step
    hand(solid.viewer, look_at(solid.sheet.result.layer, 25, 31), CLICK)
    assert solid.viewer.dims.current_step == before


# The view of surfaces


@pytest.fixture
def surfaces(bench, click, loop):
    """Two cubes, one behind the other along the first axis; and what was picked."""
    click(bench, 4, 24, 30)
    bench.labels.add()
    click(bench, 12, 24, 30)
    view = SolidView(bench, loop.deliver)
    loop.wait(lambda: len(view._surfaces) == 2)
    picked = []
    view.picked.connect(picked.append)
    yield view, picked
    view.end()


@pytest.mark.parametrize("places", [CLICK, SHAKEN], ids=["still", "shaken"])
@pytest.mark.parametrize(("way", "nearest"), [(DOWN, 2), (-DOWN, 14)])
def test_a_click_on_surfaces_picks_a_voxel_of_the_nearest(surfaces, places, way, nearest):
    view, picked = surfaces
    hand(view.viewer, look_at(view.image, 25, 31, way), places)
    (voxel,) = picked
    assert all(isinstance(n, int) for n in voxel)
    np.testing.assert_allclose(voxel, (nearest, 25, 31), atol=1)


@pytest.mark.parametrize("places", [DRAG, THERE_AND_BACK], ids=["away", "back"])
def test_a_drag_picks_nothing(surfaces, places):
    view, picked = surfaces
    hand(view.viewer, look_at(view.image, 25, 31), places)
    assert picked == []


def test_a_click_beside_all_surfaces_picks_nothing(surfaces):
    view, picked = surfaces
    hand(view.viewer, look_at(view.image, 40, 5), CLICK)
    assert picked == []

"""Planes, 3-D, the wheel, grey values and windows, on a viewer without a window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Image

from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.orientation import edge_letters, show_orientation
from napari_dinomed.plugin.planes import Plane, plane_in, show_plane

# Where (z, y, x) grow to in the canonical order: the feet, the back, the left.
CANONICAL = "IPL"


def press(viewer, action):
    """What the viewer does at a key that works everywhere."""
    (keys,) = KEYMAP[action].keys
    bound = {str(key): act for key, act in viewer.keymap.items()}
    bound[keys](viewer)


@pytest.mark.parametrize(
    ("plane", "letters"),
    [
        (Plane.AXIAL, ("A", "P", "R", "L")),
        (Plane.CORONAL, ("S", "I", "R", "L")),
        (Plane.SAGITTAL, ("S", "I", "A", "P")),
    ],
)
def test_each_plane_is_the_right_way_up(bench, plane, letters):
    show_plane(bench.viewer, plane)
    down, across = bench.viewer.dims.displayed
    assert edge_letters(CANONICAL, (down, across), mirrored=False) == letters
    assert plane_in(bench.viewer) is plane


def test_what_stands_on_the_canvas_is_told_from_its_colour(bench, loop):
    """napari chooses black or white, by the theme, for what has no colour of its own."""
    show_orientation(bench.viewer)
    overlays = bench.viewer.canvas.overlays
    own = [overlay for key, overlay in overlays.items() if key.startswith("dinomed_")]
    assert len(own) == 5
    assert all(overlay.color is None for overlay in own)


def test_a_key_for_each_plane_and_none_left_behind(bench):
    viewer = bench.viewer
    for action, plane in (
        (Action.CORONAL, Plane.CORONAL),
        (Action.SAGITTAL, Plane.SAGITTAL),
        (Action.SOLID, Plane.SOLID),
        (Action.AXIAL, Plane.AXIAL),
    ):
        press(viewer, action)
        assert plane_in(viewer) is plane
    bench.close()
    assert not viewer.keymap


def test_the_canvas_holds_the_image_and_not_what_lies_far_off(bench):
    viewer = bench.viewer
    viewer.canvas.size = (600, 600)
    press(viewer, Action.CORONAL)
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    viewer.layers.append(Image(np.ones((4, 9, 9)), translate=(0, 9000, 9000)))
    press(viewer, Action.CORONAL)
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == (zoom, center)


def test_a_plane_beside_a_layer_of_more_axes(bench, loop):
    bench.viewer.add_points(np.zeros((1, 4)), ndim=4)
    loop.run()
    show_plane(bench.viewer, Plane.SAGITTAL)
    assert bench.viewer.dims.order == (0, 3, 1, 2)
    assert plane_in(bench.viewer) is Plane.SAGITTAL


def test_napari_turned_onto_its_side_is_no_plane_of_ours(bench):
    bench.viewer.dims.order = (1, 2, 0)
    assert plane_in(bench.viewer) is None


def camera_ways(viewer):
    """Where up and into the screen are, along (z, y, x)."""
    camera, axes = viewer.scene.camera, list(viewer.dims.displayed)
    ways = np.zeros((2, 3))
    ways[:, axes] = camera.up_direction, camera.view_direction
    return ways


def test_in_3d_the_image_is_a_slice_among_the_labels(bench, image):
    bench.viewer.dims.set_current_step(0, 5)
    show_plane(bench.viewer, Plane.SOLID)
    assert image.depiction == "plane"
    assert image.plane.position[0] == pytest.approx(5)
    assert image.plane.normal == (1, 0, 0)
    up, into = camera_ways(bench.viewer)
    show_plane(bench.viewer, Plane.AXIAL)
    assert image.depiction == "volume"
    # The same view from the front, whatever slice was in view; that stays in it.
    show_plane(bench.viewer, Plane.SAGITTAL)
    bench.viewer.dims.set_current_step(2, 33)
    show_plane(bench.viewer, Plane.SOLID)
    # Along the axes as they are displayed: x is the first of them.
    assert image.plane.position[0] == pytest.approx(33)
    assert image.plane.normal == (1, 0, 0)
    assert camera_ways(bench.viewer)[0] == pytest.approx(up)
    assert up[0] < -0.8  # the head is up
    assert into[1] > 0.8  # and the back behind
    show_plane(bench.viewer, Plane.SOLID)
    bench.unbind()
    assert image.depiction == "volume"


def wheel(bench, delta, *modifiers, at=(0, 0, 0)):
    layer = bench.sheet.prompts.layer
    event = SimpleNamespace(
        delta=np.array([0, delta]), modifiers=modifiers, position=at, handled=False
    )
    for callback in layer.mouse_wheel_callbacks:
        callback(layer, event)
    return event.handled


def test_the_wheel_goes_through_slices_and_zooms_with_shift(bench):
    dims, camera = bench.viewer.dims, bench.viewer.scene.camera
    dims.set_current_step(0, 5)
    assert wheel(bench, -1.0)
    assert dims.current_step[0] == 6
    for _ in range(4):
        wheel(bench, 0.25)
    assert dims.current_step[0] == 5
    zoom = camera.zoom
    wheel(bench, 1.0, "Shift")
    assert camera.zoom > zoom
    assert not wheel(bench, 1.0, "Control")
    assert dims.current_step[0] == 5


def test_the_status_bar_has_grey_value_and_label(bench, image, click):
    click(bench, 8, 24, 30)
    bench.labels.change(1, name="spleen")
    place = image.data_to_world((8, 24, 30))
    bench.viewer.dims.set_point(0, place[0])
    for layer in bench.sheet.layers:
        status = layer.get_status(place, world=True)
        assert status["value"] == f"{image.data[8, 24, 30]} · spleen"
    place = image.data_to_world((8, 1, 1))
    status = bench.sheet.prompts.layer.get_status(place, world=True)
    assert status["value"] == str(image.data[8, 1, 1])


def test_ctrl_and_the_right_button_change_the_window(bench, image):
    (drag,) = bench.viewer.mouse_drag_callbacks[-1:]
    image.contrast_limits = (0, 100)
    event = SimpleNamespace(
        button=2, modifiers=("Control",), pos=(10, 10), type="mouse_press", handled=False
    )
    moving = drag(bench.viewer, event)
    next(moving)
    event.type, event.pos = "mouse_move", (310, 10)
    next(moving)
    assert tuple(image.contrast_limits) == pytest.approx((-50, 150))
    event.pos = (10, 160)
    next(moving)
    assert tuple(image.contrast_limits) == pytest.approx((-50, 50))
    bench.hand.brush()
    assert list(drag(bench.viewer, event)) == []
    overlay = bench.viewer.canvas.overlays["dinomed_window"]
    assert overlay.text == "W 100  L 0"
    bench.unbind()
    assert not overlay.visible


def test_a_key_shows_the_next_window(bench, image):
    before = tuple(image.contrast_limits)
    press(bench.viewer, Action.WINDOW)
    after = tuple(image.contrast_limits)
    press(bench.viewer, Action.WINDOW)
    assert before in (after, tuple(image.contrast_limits))

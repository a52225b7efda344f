"""Four views of one place: what is done in any of them counts in all."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.plugin.four_up import FourUp
from napari_dinomed.plugin.four_up_window import lines_through
from napari_dinomed.plugin.panel import Panel
from napari_dinomed.plugin.planes import Plane, plane_in
from napari_dinomed.session.surfacing import Surfacing
from tests.fakes import FakeEngine
from tests.plugin.conftest import needs_display


@pytest.fixture
def four(bench, loop):
    views = FourUp(bench, loop.deliver)
    loop.run()
    yield views
    views.end()


def voxel_in(view, bench):
    """The voxel that a viewer shows."""
    place = view.dims.point
    return tuple(np.rint(bench.sheet.result.layer.world_to_data(place)).astype(int))


def click(view, voxel):
    """What napari does where a point is added on the canvas."""
    view.sheet.prompts.layer.add([voxel])


def result_of(sheet):
    return np.asarray(sheet.result.layer.data)


def test_each_shows_another_plane(four):
    shown = [plane_in(viewer) for viewer in four.viewers]
    assert shown == [Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL, Plane.SOLID]


def test_from_3d_the_first_of_them_is_a_plane_again(bench, loop):
    bench.viewport.show_plane(Plane.SOLID)
    views = FourUp(bench, loop.deliver)
    assert plane_in(bench.viewer) is Plane.AXIAL
    views.end()


def test_the_place_follows_from_any_view_to_all(four, bench):
    for viewer, axis, step in zip(four.viewers, (0, 1, 2), (3, 11, 40), strict=False):
        viewer.dims.set_current_step(axis, step)
    assert {voxel_in(viewer, bench) for viewer in four.viewers} == {(3, 11, 40)}


def test_a_click_in_another_plane_is_a_prompt_and_the_answer_paints_in_all(
    four, bench, loop
):
    for view, voxel in zip(four.planes, ((5, 20, 9), (9, 30, 33)), strict=True):
        click(view, voxel)
        loop.run()
        assert bench.session.document.prompts.points[-1] == Point(voxel, 1)
        assert voxel_in(bench.viewer, bench) == voxel
    shown = bench.result()
    assert shown.any()
    for sheet in (bench.sheet, *(view.sheet for view in four.planes)):
        assert np.array_equal(result_of(sheet), shown)
        assert len(sheet.prompts.layer.data) == 2


def test_undo_takes_it_back_in_all(four, bench, loop):
    click(four.planes[0], (5, 20, 9))
    loop.run()
    bench.undo()
    loop.run()
    for view in four.planes:
        assert not result_of(view.sheet).any()
        assert not len(view.sheet.prompts.layer.data)


def test_a_brush_in_another_plane_paints_the_document(four, bench, loop):
    bench.hand.brush()
    layer = four.planes[1].sheet.result.layer
    assert str(layer.mode) == "paint"
    layer.paint((5, 20, 9), 1)
    loop.run()
    assert bench.result()[5, 20, 9] == 1
    assert result_of(bench.sheet)[5, 20, 9] == 1


def test_what_is_aimed_at_is_so_in_all(four, bench, loop):
    bench.labels.add()
    bench.hand.aim(include=False)
    click(four.planes[0], (5, 20, 9))
    loop.run()
    assert bench.session.document.prompts.points[-1] == Point((5, 20, 9), 2, False)


def test_a_draft_is_seen_in_all_and_taken_back(four, bench, loop):
    click(four.planes[0], (5, 20, 9))
    loop.run()
    document = bench.session.document
    bench.sheet.show_draft(document, document.without_label(1))
    assert not result_of(four.planes[1].sheet).any()
    bench.sheet.show_settled(document)
    assert result_of(four.planes[1].sheet).any()


def test_windows_and_opacity_go_together(four, bench):
    four.planes[0].image.contrast_limits = (7, 50)
    bench.viewport.toggle_outline()
    bench.viewer.theme = "light"
    assert {viewer.theme for viewer in four.viewers} == {"light"}
    assert tuple(bench.image.contrast_limits) == (7, 50)
    assert tuple(four.planes[1].image.contrast_limits) == (7, 50)
    assert four.planes[1].sheet.result.layer.contour == 2
    bench.viewport.toggle_outline()
    assert four.planes[1].sheet.result.layer.contour == 0


def test_surfaces_follow_the_labels(four, bench, loop):
    click(four.planes[0], (5, 20, 9))
    surfaces = four.solid.viewer.layers

    def shown():
        return [layer.name for layer in surfaces if layer.name != "ball"]

    loop.wait(lambda: shown() == ["Label 1"])
    bench.labels.change(1, name="spleen", color=(0.0, 0.0, 1.0))
    loop.run()
    assert shown() == ["spleen"]
    assert tuple(surfaces["spleen"].colormap.colors[0]) == (0, 0, 1, 1)
    middle = surfaces["spleen"].vertices.mean(0)
    np.testing.assert_allclose(middle, np.argwhere(bench.result()).mean(0), atol=0.5)
    bench.undo()
    bench.undo()
    loop.wait(lambda: shown() == [])


def test_surfaces_that_did_not_change_are_not_made_again(bench, loop, monkeypatch):
    made = []
    monkeypatch.setattr(
        "napari_dinomed.session.surfacing.shown_surface",
        lambda mask, _: made.append(mask.count),
    )
    surfacing = Surfacing(bench.session.volume.geometry, lambda work: work())
    click_main(bench, (5, 20, 9))
    loop.run()
    first = bench.session.document
    surfacing.follow(first)
    loop.wait(lambda: len(made) == 1)
    surfacing.follow(first.with_new_label())
    bench.hand.aim(1)
    second = first.with_new_label().with_edit(first.mask(1), 2)
    surfacing.follow(second)
    loop.wait(lambda: len(made) == 2)
    surfacing.end()
    assert made == [first.mask(1).count] * 2


def click_main(bench, voxel):
    bench.sheet.prompts.layer.add([voxel])


def test_nothing_is_heard_after_the_end(bench, loop):
    views = FourUp(bench, loop.deliver)
    views.end()
    click(views.planes[0], (5, 20, 9))
    views.planes[0].image.contrast_limits = (7, 50)
    loop.run()
    assert not bench.session.document.prompts.points
    assert tuple(bench.image.contrast_limits) != (7, 50)


def test_lines_cross_in_the_place(four, bench):
    four.go_to((3, 11, 40))
    for viewer in four.viewers:
        ends = lines_through(viewer, four.place).reshape(-1, 2, len(viewer.dims.displayed))
        at = np.array(four.place)[list(viewer.dims.displayed)][::-1]
        for number, (begin, end) in enumerate(ends[::-1]):
            across = np.arange(len(at)) != number
            np.testing.assert_allclose(begin[across], at[across], rtol=1e-5)
            assert begin[number] < at[number] < end[number]


@needs_display
def test_a_real_click_in_another_plane(make_napari_viewer, qtbot, image):
    viewer = make_napari_viewer(show=True)
    viewer.add_layer(image)
    panel = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(panel)
    viewer.window.resize(1280, 720)
    main, native = viewer.window._qt_window, viewer.window._qt_viewer.canvas.native
    least = main.minimumSizeHint()
    QTest.keyClick(native, Qt.Key.Key_F9)
    views = panel.four_up
    assert views.is_open
    assert panel.view_box.four.isChecked()
    qtbot.wait(200)
    assert main.width() == 1280
    assert main.minimumSizeHint().height() <= max(720, least.height())
    coronal = views.canvases[1].canvas.native
    middle = coronal.rect().center()
    QTest.mouseMove(coronal, middle)
    QTest.mouseClick(coronal, Qt.MouseButton.RightButton, pos=middle)
    session = panel.workbench.session
    qtbot.waitUntil(lambda: len(session.document.prompts.points) == 1)
    QTest.mouseClick(coronal, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.waitUntil(lambda: len(session.document.prompts.points) == 2)
    assert [one.include for one in session.document.prompts.points] == [False, True]
    z, y, x = session.document.prompts.points[-1].voxel
    np.testing.assert_allclose((z, x), (8, 28), atol=2)
    assert y == viewer.dims.current_step[1]
    # The key is heard there, too.
    QTest.keyClick(coronal, Qt.Key.Key_F9)
    assert not views.is_open
    assert not panel.view_box.four.isChecked()
    QTest.keyClick(native, Qt.Key.Key_F9)
    # Another image is shown whole, wherever the first one lies.
    far = viewer.add_image(image.data[::-1], scale=image.scale, translate=(0, 900, 900))
    panel.workbench.begin_with(far)
    qtbot.waitUntil(lambda: panel.workbench.image == far and views.is_open)
    qtbot.wait(200)
    camera = viewer.scene.camera
    center, zoom = camera.center, camera.zoom
    viewer.fit_to_view(layers=(far,))
    np.testing.assert_allclose(center, camera.center)
    np.testing.assert_allclose(zoom, camera.zoom)
    panel.shut_down()
    assert not views.is_open

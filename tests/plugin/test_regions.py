"""Boxes and lassos on a viewer without a window: what is drawn, shown, moved, deleted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.annotation.region import Role
from napari_dinomed.plugin.planes import Plane, show_plane
from napari_dinomed.session.file import load_document
from tests.plugin.conftest import Loop

BOX = ((10.0, 20.0), (10.0, 40.0), (36.0, 40.0), (36.0, 20.0))


@pytest.fixture
def draw(bench, loop: Loop):
    """Draw an outline in the plane in view, as napari's tools do."""

    def add(outline=BOX):
        regions = bench.sheet.regions
        corners = np.insert(np.array(outline), regions.axis, regions.index, axis=1)
        regions.layer.add(corners, shape_type="polygon")
        loop.run()

    bench.hand.box()
    bench.viewer.dims.set_current_step(0, 8)
    return add


def regions_of(bench):
    return bench.session.document.prompts.regions


def shown(bench):
    return [np.asarray(corners) for corners in bench.sheet.regions.layer.data]


def test_it_is_seen_again_after_3d(bench, draw, loop):
    draw()
    place = bench.viewer.dims.point
    bench.viewport.show_plane(Plane.SOLID)
    bench.viewport.show_plane(Plane.AXIAL)
    loop.run()
    assert bench.viewer.dims.point == place
    assert list(bench.sheet.regions.layer._data_view._displayed) == [True]


def test_a_box_alone_says_where_one_object_is(bench, draw, engine):
    draw()
    (region,) = regions_of(bench)
    assert (region.role, region.axis, region.span) == (Role.INSIDE, 0, (0, 16))
    assert region.index == 8
    assert region.outline == BOX
    assert bench.session.history.undoes == "where Label 1 is inside"
    bench.undo()
    assert not regions_of(bench)
    assert not shown(bench)
    bench.redo()
    assert regions_of(bench) == (region,)


def test_what_it_says_and_how_far_it_goes(bench, draw):
    bench.hand.aim(include=True)
    draw()
    bench.hand.aim(include=False)
    draw(((1, 1), (1, 8), (8, 8)))
    bench.hand.go_through(False)
    draw(((1, 41), (1, 48), (8, 48)))
    said = [(one.role, one.span) for one in regions_of(bench)]
    assert said == [(Role.INCLUDE, (8, 9)), (Role.EXCLUDE, (0, 16)), (Role.EXCLUDE, (8, 9))]
    assert bench.session.history.undoes == "2nd excluding region on Label 1"
    bench.hand.aim_inside()
    assert bench.hand.is_through
    bench.hand.point()
    bench.hand.aim(include=True)
    assert bench.hand.role is Role.INSIDE


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL])
def test_it_is_drawn_in_any_plane_and_seen_in_all(bench, draw, plane):
    show_plane(bench.viewer, plane)
    axis = bench.viewer.dims.not_displayed[0]
    bench.viewer.dims.set_current_step(axis, 8)
    draw(((2.0, 5.0), (2.0, 30.0), (12.0, 30.0), (12.0, 5.0)))
    (region,) = regions_of(bench)
    assert region.axis == axis
    held = region.mask
    for other in (Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL):
        show_plane(bench.viewer, other)
        across = bench.viewer.dims.not_displayed[0]
        bench.viewer.dims.set_current_step(across, 10)
        (corners,) = shown(bench)
        assert (corners[:, across] == 10).all()
        box = [n for n in range(3) if n != across]
        low, high = corners.min(0)[box], corners.max(0)[box]
        own = [held.box[n] for n in box]
        assert low == pytest.approx([part.start for part in own], abs=0.5)
        assert high == pytest.approx([part.stop for part in own], abs=0.5)


def test_a_click_selects_and_delete_removes_it(bench, draw, loop):
    draw()
    draw(((15.0, 25.0), (15.2, 25.2), (15.4, 25.0)))
    assert len(regions_of(bench)) == 1
    layer = bench.sheet.regions.layer
    assert set(layer.selected_data) == {0}
    layer.remove_selected()
    loop.run()
    assert not regions_of(bench)
    assert bench.session.history.undoes == "delete a region"


def test_it_is_moved_in_its_plane_alone(bench, draw, loop):
    draw()
    layer = bench.sheet.regions.layer

    def move(shift):
        layer.data = [np.asarray(layer.data[0]) + shift]
        layer.features = {"number": [0]}
        layer.events.data(value=layer.data, action="changed", data_indices=(0,))
        loop.run()

    move((0, 2, 3))
    (region,) = regions_of(bench)
    assert region.outline[0] == (12.0, 23.0)
    assert bench.session.history.undoes == "move a region"
    show_plane(bench.viewer, Plane.CORONAL)
    said = []
    bench.failed.connect(said.append)
    before = shown(bench)
    move((2, 0, 0))
    assert regions_of(bench) == (region,)
    assert "plane" in said[0]
    np.testing.assert_array_equal(shown(bench)[0], before[0])


def test_what_contradicts_is_refused_and_not_shown(bench, draw, click, loop):
    said = []
    bench.failed.connect(said.append)
    draw()
    click(bench, 8, 2, 2)
    assert not bench.session.document.prompts.points
    assert len(bench.sheet.prompts.layer.data) == 0
    assert "Delete" in said[-1]
    click(bench, 8, 20, 30)
    draw(((1.0, 1.0), (1.0, 8.0), (8.0, 8.0)))
    assert regions_of(bench)[0].outline == BOX
    assert len(shown(bench)) == 1


def test_an_answer_stays_inside_and_all_is_kept(bench, draw, click, tmp_path):
    click(bench, 8, 24, 21)
    draw()
    mask = bench.session.document.mask(1)
    assert mask
    assert not mask - regions_of(bench)[0].mask
    bench.session.save(tmp_path / "a.dinomed.json")
    document = load_document(tmp_path / "a.dinomed.json").document
    assert document.prompts == bench.session.document.prompts
    assert Point((8, 24, 21), 1) in document.prompts.all


def test_an_outline_reaches_no_farther_than_the_volume(bench, draw):
    draw(((-50.0, -9.0), (-50.0, 99.0), (30.0, 99.0), (30.0, -9.0)))
    assert regions_of(bench)[0].box == (slice(0, 16), slice(0, 31), slice(0, 56))


def test_a_new_label_leaves_what_the_next_region_says(bench):
    bench.hand.box()
    assert bench.hand.role is Role.INSIDE
    bench.labels.add()
    assert bench.hand.role is Role.INSIDE
    bench.hand.aim(include=False)
    bench.labels.add()
    assert bench.hand.role is Role.INCLUDE

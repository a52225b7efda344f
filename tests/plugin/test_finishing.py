"""Finishing tools at work on a document: shown, made one step, taken back."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
from napari.layers import Points

from napari_dinomed.annotation.labels import PALETTE
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.messages import SegmentVolume
from napari_dinomed.errors import DinomedError, FinishError
from napari_dinomed.finish import find_tool
from napari_dinomed.finish.tools import Drawn
from napari_dinomed.plugin.drawing import Drawing
from napari_dinomed.plugin.finishing import Finishing
from napari_dinomed.settings import load_settings
from tests.plugin.test_workbench import INSIDE, assert_shown, document, listen, shown

GROW, HOLES, LARGEST = map(find_tool, ("grow", "fill-holes", "keep-largest"))
SPLIT, AT_GAPS = find_tool("split"), {"by": "gaps", "volume": 0.005}


class Elsewhere:
    """A thread to be run by hand."""

    def __init__(self):
        self.waiting = []

    def submit(self, work):
        future = Future()
        self.waiting.append((future, work))
        return future

    def run(self):
        waiting, self.waiting = self.waiting, []
        for future, work in waiting:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except DinomedError as error:
                    future.set_exception(error)


@pytest.fixture
def elsewhere():
    return Elsewhere()


@pytest.fixture
def finishing(bench, loop, elsewhere):
    return Finishing(bench, loop.deliver, elsewhere.submit)


@pytest.fixture
def settle(loop, elsewhere):
    def run():
        while loop.waiting or elsewhere.waiting:
            elsewhere.run()
            loop.run()

    return run


@pytest.fixture
def cube(bench, click):
    """A label of five voxels a side, 3 × 0.7 × 0.7 mm each."""
    click(bench, *INSIDE)
    return document(bench).mask(1)


def test_a_draft_is_seen_and_is_no_step(bench, finishing, settle, cube):
    heard = listen(finishing.drafted)
    before = document(bench)
    finishing.draft(GROW, {"distance": 3})
    settle()
    assert document(bench) is before
    assert np.count_nonzero(shown(bench)) > cube.count
    assert heard[0].added == np.count_nonzero(shown(bench)) - cube.count
    assert heard[0].removed == 0
    finishing.cancel()
    assert_shown(bench)


def test_applying_is_one_step_that_undo_takes_back_to_the_bit(
    bench, finishing, settle, cube
):
    before = document(bench)
    finishing.draft(GROW, {"distance": 3})
    settle()
    drafted = shown(bench).copy()
    finishing.apply(GROW, {"distance": 3})
    settle()
    np.testing.assert_array_equal(shown(bench), drafted)
    assert_shown(bench)
    assert bench.session.history.undoes == "grow Label 1"
    bench.undo()
    settle()
    assert document(bench) == before
    assert document(bench).mask(1).to_bytes() == cube.to_bytes()
    assert_shown(bench)
    bench.redo()
    np.testing.assert_array_equal(shown(bench), drafted)


def test_of_many_drafts_the_last_is_computed_and_shown(bench, finishing, settle, cube):
    heard = listen(finishing.drafted)
    for distance in (1, 2, 3, 1.5):
        finishing.draft(GROW, {"distance": distance})
    settle()
    assert len(heard) == 1
    alone = np.count_nonzero(shown(bench))
    finishing.draft(GROW, {"distance": 3})
    settle()
    assert np.count_nonzero(shown(bench)) > alone


def test_locked_and_other_labels_keep_their_voxels(bench, finishing, settle, click, cube):
    bench.labels.add()
    click(bench, INSIDE[0], INSIDE[1], INSIDE[2] + 5)
    other = document(bench).mask(2)
    bench.labels.toggle_done(2)
    bench.hand.aim(1)
    finishing.apply(GROW, {"distance": 9})
    settle()
    assert document(bench).mask(1).count > cube.count
    assert document(bench).mask(2) == other
    refused = listen(bench.refused)
    bench.hand.aim(2)
    finishing.apply(GROW, {"distance": 9})
    settle()
    assert "done and locked" in refused[0]
    assert document(bench).mask(2) == other


def test_nothing_to_do_is_said_and_is_no_step(bench, finishing, settle, cube):
    refused, drafted = listen(bench.refused), listen(finishing.refused)
    undoes = bench.session.history.undoes
    finishing.apply(HOLES, {})
    settle()
    assert refused == ["Label 1 stays as it is: it has no hole that is free."]
    assert bench.session.history.undoes == undoes
    finishing.draft(HOLES, {})
    settle()
    assert drafted == refused
    assert_shown(bench)


@pytest.fixture
def pair(bench, brush, cube):
    """The cube, and a smaller block apart from it, as one label."""
    brush(bench, ((2, 4), (6, 8), (6, 8)), 1)
    return document(bench)


def color_on_canvas(bench, voxel):
    layer = bench.sheet.result.layer
    return layer.colormap.map(layer.data[voxel])[:3]


def test_parts_are_seen_in_colours_of_their_own_before_they_are_labels(
    bench, finishing, settle, pair
):
    heard = listen(finishing.drafted)
    finishing.draft(SPLIT, AT_GAPS)
    settle()
    assert document(bench) is pair
    assert (heard[0].added, heard[0].removed, heard[0].parts) == (0, 8, (8,))
    assert color_on_canvas(bench, INSIDE) == pytest.approx(PALETTE[0])
    assert color_on_canvas(bench, (2, 6, 6)) == pytest.approx(PALETTE[1])
    finishing.cancel()
    assert_shown(bench)
    assert color_on_canvas(bench, (2, 6, 6)) == pytest.approx(PALETTE[0])


def test_splitting_is_one_step_that_undo_takes_back_to_the_bit(
    bench, finishing, settle, pair
):
    finishing.apply(SPLIT, AT_GAPS)
    settle()
    parted = document(bench)
    assert [one.name for one in parted.labels] == ["Label 1", "Label 1 2"]
    assert (parted.mask(1).count, parted.mask(2).count) == (125, 8)
    assert bench.hand.label == 1
    assert bench.session.history.undoes == "split Label 1"
    assert_shown(bench)
    bench.undo()
    settle()
    assert document(bench) == pair
    assert document(bench).mask(1).to_bytes() == pair.mask(1).to_bytes()
    assert_shown(bench)
    bench.redo()
    settle()
    assert document(bench) == parted
    assert_shown(bench)


def test_merging_parts_is_one_step(bench, finishing, settle, pair):
    finishing.apply(SPLIT, AT_GAPS)
    settle()
    parted = document(bench)
    bench.labels.merge(2, 1)
    settle()
    assert document(bench).mask(1) == pair.mask(1)
    assert document(bench).labels == pair.labels
    assert bench.session.history.undoes == "merge Label 1 2 into Label 1"
    assert_shown(bench)
    bench.undo()
    assert document(bench) == parted


def test_what_is_locked_or_one_part_is_not_split(bench, finishing, settle, cube):
    refused = listen(bench.refused)
    finishing.apply(SPLIT, AT_GAPS)
    settle()
    assert "Label 1 stays as it is: it is one part" in refused[0]
    bench.labels.toggle_done(1)
    before = document(bench)
    finishing.apply(SPLIT, AT_GAPS)
    settle()
    assert "done and locked" in refused[1]
    assert document(bench) is before


def test_too_many_parts_are_one_line_and_no_step(bench, finishing, settle, brush, cube):
    for row in range(21):
        brush(bench, ((2, 3), (2 * row, 2 * row + 1), (2, 3)), 1)
    before, refused = document(bench), listen(bench.refused)
    finishing.apply(SPLIT, {"by": "gaps", "volume": 0.001})
    settle()
    assert "22 parts" in refused[0]
    assert "Split into instances" in refused[0]
    assert document(bench) is before


def test_grey_values_lead_from_one_painted_slice_to_the_next(bench, finishing, settle):
    """A bright ball of which two slices are painted, and no more than is bright there."""
    bright = bench.session.volume.array > 60
    layer = bench.sheet.result.layer
    for index in (6, 10):
        rows, columns = np.nonzero(bright[index])
        layer.data_setitem((np.full(len(rows), index), rows, columns), 1)
    finishing.apply(find_tool("fill-between"), {"by": "grey"})
    settle()
    assert dice(shown(bench)[6:11] > 0, bright[6:11]) > 0.97
    assert bench.session.history.undoes == "fill between slices of Label 1"


def test_a_draft_ends_with_the_next_step_or_another_label(
    bench, finishing, settle, click, brush, cube
):
    ended = listen(finishing.ended)
    bench.labels.add()
    bench.hand.aim(1)
    for act in (
        lambda: click(bench, 2, 4, 4),
        lambda: brush(bench, ((8, 9), (22, 26), (28, 31)), 0),
        bench.undo,
        lambda: bench.hand.aim(2),
    ):
        bench.hand.aim(1)
        finishing.draft(GROW, {"distance": 3})
        settle()
        ended.clear()
        act()
        settle()
        assert ended
        assert_shown(bench)


def test_a_tool_waits_for_the_answer_to_the_last_click(
    bench, engine, finishing, settle, click
):
    engine.holds = (SegmentVolume,)
    click(bench, *INSIDE)
    finishing.apply(GROW, {"distance": 3})
    settle()
    assert document(bench).mask(1).count == 1
    for asked in engine.of(SegmentVolume):
        asked.answer()
    settle()
    assert document(bench).mask(1).count > 125
    assert bench.session.history.undoes == "grow Label 1"


def test_what_changes_meanwhile_is_worked_on_anew(
    bench, finishing, elsewhere, settle, brush, cube
):
    """Paint that comes while a tool is at work is neither lost nor left out."""
    finishing.apply(LARGEST, {})
    brush(bench, ((2, 3), (2, 6), (2, 6)), 1)
    settle()
    assert document(bench).mask(1) == cube
    assert bench.session.history.undoes == "keep largest part of Label 1"
    bench.undo()
    assert document(bench).mask(1).count == cube.count + 16


def test_an_image_that_goes_takes_its_tool_with_it(bench, finishing, settle, cube):
    finishing.apply(GROW, {"distance": 3})
    bench.unbind()
    settle()
    assert bench.session is None


def test_grey_values_begin_with_what_is_displayed(bench, finishing, settle, cube):
    bench.image.contrast_limits = (60, 110)
    assert finishing.scale.grey == (60, 110)
    array = bench.session.volume.array
    finishing.apply(find_tool("grey-range"), {"low": 98, "high": 104})
    settle()
    kept = shown(bench) > 0
    assert 0 < kept.sum() < cube.count
    assert array[kept].min() >= 98
    assert array[kept].max() <= 104


def test_paint_teaches_in_one_step(bench, finishing, brush, settle, cube):
    brush(bench, ((8, 9), (30, 37), (28, 35)), 1)
    brush(bench, ((10, 11), (22, 27), (28, 33)), 0)
    before = document(bench)
    finishing.teach()
    settle()
    points = document(bench).prompts.points[1:]
    assert [(p.voxel, p.include) for p in points] == [
        ((8, 33, 31), True),
        ((10, 24, 30), False),
    ]
    assert len(bench.sheet.prompts.layer.data) == 3
    assert bench.session.history.undoes == "paint teaches Label 1"
    assert_shown(bench)
    bench.undo()
    assert document(bench) == before
    refused = listen(bench.refused)
    bench.redo()
    finishing.teach()
    assert "Nothing was painted on Label 1" in refused[0]


def test_paint_teaches_always_where_it_is_chosen(bench, brush, settle, cube):
    assert not bench.hand.paint_teaches
    bench.hand.teach_always(True)
    assert load_settings().paint_teaches
    brush(bench, ((8, 9), (30, 37), (28, 35)), 1)
    settle()
    added = document(bench).prompts.points[-1]
    assert (added.voxel, added.include) == ((8, 33, 31), True)
    assert bench.session.history.undoes == "paint on Label 1"
    brush(bench, ((10, 11), (22, 27), (28, 33)), 0)
    settle()
    assert not document(bench).prompts.points[-1].include
    # A line of one voxel teaches nothing, and is painted all the same.
    count = len(document(bench).prompts.points)
    brush(bench, ((2, 3), (2, 3), (3, 12)), 1)
    settle()
    assert len(document(bench).prompts.points) == count
    assert (2, 2, 5) in document(bench).mask(1)
    bench.undo()
    bench.undo()
    bench.undo()
    assert document(bench).mask(1) == cube
    assert len(document(bench).prompts.points) == 1


def test_an_outline_is_drawn_on_a_layer_of_its_own(bench, finishing, settle, loop, cube):
    drawing = Drawing(bench)
    drawn, active = listen(drawing.drawn), bench.viewer.layers.selection.active
    drawing.begin(Drawn.OUTLINE)
    loop.run()
    (layer,) = (one for one in bench.viewer.layers if one.name == "Lasso")
    assert bench.viewer.layers[-1] == layer
    np.testing.assert_array_equal(layer.scale, bench.image.scale)
    assert drawing.values() == {}
    for first in (0, 20):
        corners = [(8, 20, 27.5), (8, 29, 27.5), (8, 29, first), (8, 20, first)]
        layer.add(np.array(corners, dtype=float), shape_type="polygon")
        loop.run()
    assert len(drawn) == 2
    assert len(layer.data) == 1
    values = drawing.values()
    assert values["axis"] == 0
    assert (20.0, 20.0) in values["outline"]
    finishing.apply(find_tool("cut"), values)
    settle()
    left = np.argwhere(shown(bench))
    assert left[:, 2].min() == 28
    assert set(left[:, 0]) == {6, 7, 8, 9, 10}
    drawing.end()
    loop.run()
    assert layer not in bench.viewer.layers
    assert bench.viewer.layers.selection.active == active


def test_parts_are_clicked_on_a_layer_of_its_own(bench, loop, settle, finishing, click):
    click(bench, *INSIDE)
    click(bench, 3, 8, 8)
    drawing = Drawing(bench)
    drawing.begin(Drawn.CLICKS)
    layer = bench.viewer.layers[-1]
    assert isinstance(layer, Points)
    layer.add(np.array([[3.2, 7.9, 8.0]]))
    loop.run()
    finishing.apply(find_tool("keep-touched"), drawing.values())
    settle()
    assert shown(bench)[3, 8, 8]
    assert not shown(bench)[INSIDE]
    drawing.end()


def test_one_draws_on_slices(bench, loop):
    bench.viewer.dims.ndisplay = 3
    with pytest.raises(FinishError, match="Draw on a slice"):
        Drawing(bench).begin(Drawn.OUTLINE)


def test_undo_ends_a_preview_and_nothing_else(bench, click, finishing, settle):
    click(bench, *INSIDE)
    before = document(bench)
    finishing.draft(GROW, {})
    settle()
    assert bench.sheet.is_drafted
    bench.undo()
    settle()
    assert document(bench) == before
    assert_shown(bench)
    assert not finishing.is_live
    bench.undo()
    assert document(bench).is_blank


def test_a_draft_ends_with_its_layer_and_the_next_one_is_shown(
    bench, finishing, loop, settle, cube
):
    before, ended = document(bench), listen(finishing.ended)
    finishing.draft(GROW, {"distance": 3})
    settle()
    drafted = shown(bench).copy()
    ended.clear()
    bench.viewer.layers.remove(bench.sheet.result.layer)
    settle()
    assert ended
    assert not finishing.is_live
    assert not bench.sheet.is_drafted
    assert bench.sheet.result.layer in bench.viewer.layers
    assert document(bench) is before
    assert_shown(bench)
    finishing.draft(GROW, {"distance": 3})
    settle()
    np.testing.assert_array_equal(shown(bench), drafted)
    assert document(bench) is before

"""Whether clicks mean thin things."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.metrics import dice
from napari_dinomed.headless import prepare
from napari_dinomed.segment.all_alike.lines import lines_of
from napari_dinomed.segment.all_alike.thin import means_thin, width_of_cell
from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.volume.phantom import em_stack

SHAPE = (6, 192, 192)
BLOBS = [(40, 40), (40, 140), (130, 50), (140, 150)]


def test_the_first_click_shows_what_is_meant():
    assert means_thin([1.5], [])
    assert not means_thin([-1.0], [])
    assert means_thin([1.5, -1.0], [])
    assert not means_thin([-1.0, 1.5], [])


def test_a_first_click_on_the_rim_of_a_blob_is_mended_by_clicks_into_others():
    assert means_thin([0.2], [])
    assert not means_thin([0.2, -1.2, -1.2], [])


def test_a_first_click_where_lines_are_thick_is_mended_by_clicks_on_others():
    assert not means_thin([-0.6], [])
    assert means_thin([-0.6, 0.8, 0.8], [])


def test_excluded_blobs_speak_for_lines_but_not_alone():
    assert means_thin([-0.3], [-1.0, -1.0])
    assert not means_thin([-1.2], [-1.0] * 10)


def test_excluded_blobs_like_those_included_say_nothing():
    assert not means_thin([0.2, -1.3, -1.0], [])
    assert not means_thin([0.2, -1.3, -1.0], [-1.2] * 5, so_far=False)


def test_an_included_thick_place_does_not_undo_what_excluded_blobs_said():
    blobs = [0.5, -0.5, -1.2, -0.4, -1.7]
    assert means_thin([-0.2], blobs, so_far=False)
    assert means_thin([-0.2, -0.8], blobs, so_far=True)


def test_excluded_lines_like_those_included_say_nothing():
    assert means_thin([0.1], [1.0] * 10)
    assert means_thin([1.5], [2.3] * 10)
    assert not means_thin([-0.3], [1.0] * 10)


def test_excluded_lines_that_are_much_stronger_speak_against_lines():
    assert means_thin([0.0], [], so_far=True)
    assert not means_thin([0.0], [2.2, 2.5], so_far=True)


def test_what_was_meant_so_far_is_held_where_there_is_doubt():
    assert means_thin([-0.2], [], so_far=True)
    assert not means_thin([-0.1], [], so_far=False)
    assert means_thin([0.1], [], so_far=False)
    assert not means_thin([-0.4], [], so_far=True)


@pytest.mark.parametrize("step", [1, 2])
def test_lines_of_either_direction_are_stronger_than_edges_and_blobs(step):
    grey = np.zeros((1, 160, 160), np.float32)
    grey[:, 40:47, 20:140] = grey[:, 60:150, 30:37] = 1
    grey[:, 70:150, 70:150] = 1
    cells = ndimage.gaussian_filter(grey, (0, 2, 2))[:, ::step, ::step]
    lines = lines_of(cells, 4.3 * step)
    across, down, blob, edge, flat = (
        lines.strength((0, row // step, column // step))
        for row, column in ((43, 80), (110, 33), (110, 110), (70, 110), (10, 10))
    )
    assert min(across, down) > 2
    assert max(blob, edge, flat) < 1
    assert lines.score[0, 43 // step, 80 // step] > lines.score[0, 110 // step, 110 // step]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_lines_that_a_volume_has_are_sought_dark_or_bright(sign):
    grey = np.zeros((1, 160, 160), np.float32)
    grey[:, :, 40:47] = grey[:, :, 57:64] = sign
    lines = lines_of(ndimage.gaussian_filter(grey, (0, 2, 2)), 4.3)
    assert lines.score[0, 80, 43] > 2 * abs(lines.score[0, 80, 52])
    assert lines.strength((0, 80, 43)) > 1


def test_what_is_paler_than_lines_is_none_however_close_they_are():
    grey = np.random.default_rng(0).normal(0.5, 0.2, (1, 160, 160)).astype(np.float32)
    for first in (20, 40, 52, 100, 120):
        grey[:, :, first : first + 6] = -2
    grey[:, 76:84, 46:52] = 2
    lines = lines_of(ndimage.gaussian_filter(grey, (0, 1, 1)), 6.0)
    between, on_one = lines.strength((0, 80, 49)), lines.strength((0, 80, 43))
    assert between <= -1 < 0.5 < on_one


@pytest.mark.parametrize("pixel", [2.15, 4.3, 8.6])
def test_the_same_tissue_is_thin_or_not_at_any_size_of_pixel(pixel):
    finest = np.zeros((1, 640, 640), np.float32)
    finest[:, 100:114, 40:600] = 1
    finest[:, 300:420, 100:260] = 1
    size = round(pixel / 2.15)
    grey = finest[:, size // 2 :: size, size // 2 :: size]
    lines = lines_of(grey, pixel)
    line, blob = (
        lines.strength((0, row // size, column // size))
        for row, column in ((107, 320), (360, 180))
    )
    assert line == pytest.approx(4.2, rel=0.1)
    assert blob == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("pixel", "unit", "width"),
    [
        (8.0, "nm", 16.0),
        (0.008, "µm", 16.0),
        (80.0, "Å", 16.0),
        (8e-6, "mm", 16.0),
        (1.0, "px", 8.6),
        (1.0, "mm", 8.6),
        (0.26, "µm", 8.6),
    ],
)
def test_cells_are_measured_where_the_file_says_what_a_section_can_have(pixel, unit, width):
    geometry = Geometry.from_spacing((2, 8, 8), (50 * pixel, pixel, pixel), unit)
    assert width_of_cell(geometry, 2) == pytest.approx(width)


def test_mitochondria_of_a_coarser_stack_are_no_lines():
    volume, truth = em_stack()
    grey = ndimage.gaussian_filter(volume.array.astype(np.float32), (0, 1, 1))
    lines = lines_of(grey, width_of_cell(volume.geometry, 1))
    depth = ndimage.distance_transform_edt(truth, volume.geometry.spacing)
    labelled, count = ndimage.label(truth)
    middles = ndimage.maximum_position(depth, labelled, range(1, count + 1))
    large = [middle for middle in middles if depth[middle] > 80]
    assert len(large) > 4
    shown = [lines.strength(tuple(map(int, middle))) for middle in large]
    assert np.mean([not means_thin([strength], []) for strength in shown]) > 0.75


def test_nothing_is_thin_where_all_is_of_one_grey():
    lines = lines_of(np.ones((2, 9, 9), np.float32), 4.3)
    assert lines.strength((0, 4, 4)) == pytest.approx(0)


@pytest.fixture(scope="module", params=["dark", "bright"])
def net(request, tmp_path_factory):
    """A net of thin lines, and blobs of the same grey between them."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    lines = ((columns + rows // 4) % 48 < 7) | ((rows + columns // 5) % 62 < 7)
    blobs = np.zeros(SHAPE[1:], bool)
    for row, column in BLOBS:
        blobs |= (rows - row) ** 2 + (columns - column) ** 2 < 22**2
    lines &= ~blobs
    noise = np.random.default_rng(0).normal(0, 12, SHAPE)
    grey = 160 - 80 * (lines | blobs) + noise
    if request.param == "bright":
        grey = 255 - grey
    array = grey.clip(0, 255).astype(np.uint8)
    volume = Volume(array, Geometry.from_spacing(SHAPE, (50.0, 4.3, 4.3), "nm"), "EM")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        yield prepare(volume, "filters"), lines, blobs


def _find(job, *points):
    label = new_label(1, Meaning.ALL_LIKE_THIS)
    return job.segment((label,), Prompts(points)) == 1


def _on(lines, number=20):
    row, column = np.argwhere(lines[90:100, 60:140])[number]
    return Point((3, int(row) + 90, int(column) + 60), 1)


def test_a_click_on_a_line_finds_lines_and_not_blobs_of_its_grey(net):
    job, lines, blobs = net
    mask = _find(job, _on(lines))
    assert dice(np.broadcast_to(lines, SHAPE), mask) > 0.75
    core = np.zeros_like(blobs)
    for row, column in BLOBS:
        core[row - 6 : row + 7, column - 6 : column + 7] = True
    assert mask[:, core].mean() < 0.05


def test_a_click_in_a_blob_still_finds_blobs(net):
    job, *_ = net
    mask = _find(job, Point((3, *BLOBS[0]), 1))
    for row, column in BLOBS:
        assert mask[:, row - 6 : row + 7, column - 6 : column + 7].mean() > 0.9


def test_every_click_holds_when_lines_turn_out_to_be_meant(net):
    job, lines, blobs = net
    row, column = BLOBS[0]
    mask = _find(job, Point((3, row, column), 1), _on(lines), _on(lines, 60))
    assert mask[3, row - 4 : row + 5, column - 4 : column + 5].all()
    assert mask[:, lines].mean() > 0.7 > 0.4 > mask[:, blobs].mean()


def test_only_sections_are_asked(tmp_path, monkeypatch, net):
    job, lines, _ = net
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    other = prepare(replace(job.volume, modality="other"), "filters")
    truth = np.broadcast_to(lines, SHAPE)
    assert dice(truth, _find(other, _on(lines))) < dice(truth, _find(job, _on(lines))) - 0.1

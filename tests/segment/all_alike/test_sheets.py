"""Thin sheets in blocks of nearly cubic voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.metrics import dice
from napari_dinomed.headless import prepare
from napari_dinomed.segment.all_alike import sheets
from napari_dinomed.segment.all_alike.sheets import sheets_of
from napari_dinomed.volume import Geometry, Volume

SHAPE = (48, 72, 80)
SPACING = np.array([10.0, 10.0, 10.0])


def _sheets(axis):
    """Two sheets across an axis, and a thick slab."""
    truth = np.zeros(SHAPE, bool)
    place = np.arange(SHAPE[axis]).reshape([-1 if axis == n else 1 for n in range(3)])
    truth |= (place == 10) | (place == 11)
    slab = (place >= 24) & (place < 38)
    return truth, np.broadcast_to(slab, SHAPE)


def _whole(values):
    return values


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_sheets_across_any_axis_are_stronger_than_slabs_and_edges(axis, sign):
    truth, slab = _sheets(axis)
    grey = (sign * 80.0 * (truth | slab)).astype(np.float32)
    thin = sheets_of(grey, grey, SPACING, _whole)
    edge = ndimage.binary_dilation(slab) & ~slab
    beside = max(thin.score[slab].max(), thin.score[edge].max())
    assert thin.score[truth].min() > 1.4 * beside
    core = ndimage.binary_erosion(slab, iterations=4)
    assert thin.around[truth].min() > thin.around[core].max()


def test_a_block_read_in_slabs_answers_as_one_read_at_once(monkeypatch):
    grey = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    whole = sheets_of(grey, grey, SPACING, _whole)
    monkeypatch.setattr(sheets, "_AT_ONCE", 7 * SHAPE[1] * SHAPE[2])
    parts = sheets_of(grey, grey, SPACING, _whole)
    np.testing.assert_allclose(parts.score, whole.score, atol=1e-5)


def test_flatter_voxels_show_the_same_sheets():
    """Sheets as thick in the world, across z and x, where voxels are twice as deep."""
    scores = []
    for axis, thick in ((0, 2), (2, 4)):
        grey = np.zeros((40, 60, 60), np.float32)
        place = np.arange(grey.shape[axis])
        part = np.moveaxis(grey, axis, 0)
        part[(place >= 20) & (place < 20 + thick)] = 1
        score = sheets_of(grey, grey, np.array([10.0, 5.0, 5.0]), _whole).score
        scores.append(float(np.moveaxis(score, axis, 0)[20 : 20 + thick].max()))
    assert scores[0] == pytest.approx(scores[1], rel=0.15)


def test_nothing_is_thin_where_all_is_of_one_grey():
    grey = np.ones((8, 9, 9), np.float32)
    assert not sheets_of(grey, grey, SPACING, _whole).around.any()


def test_a_click_on_a_membrane_of_a_block_finds_membranes(tmp_path, monkeypatch):
    """Cells of a block, whose walls are of the grey of blobs within them."""
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    random = np.random.default_rng(0)
    middles = random.uniform(0, SHAPE, (8, 3))
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    distances = np.linalg.norm(places[..., None, :] - middles, axis=-1)
    nearest = np.sort(distances, -1)
    walls = nearest[..., 1] - nearest[..., 0] < 3
    blobs = nearest[..., 0] < 5
    grey = 160 - 70 * (walls | blobs) + random.normal(0, 10, SHAPE)
    array = grey.clip(0, 255).astype(np.uint8)
    volume = Volume(array, Geometry.from_spacing(SHAPE, tuple(SPACING), "nm"), "EM")
    voxel = tuple(map(int, np.argwhere(walls)[len(np.argwhere(walls)) // 2]))
    label = new_label(1, Meaning.ALL_LIKE_THIS)
    found = prepare(volume, "filters").segment((label,), Prompts((Point(voxel, 1),))) == 1
    assert dice(walls, found) > 0.85
    assert found[blobs & ~walls].mean() < 0.2

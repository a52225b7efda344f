"""Boxes of one grid: what they say of a place is what the whole volume says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.features.encoder import EncoderSpec
from napari_dinomed.features.stack import SlicePlan, SliceStack
from napari_dinomed.features.tokens import TokenBank
from napari_dinomed.segment.one_object.looks import Basis, Looks
from napari_dinomed.taught.boxed import BoxReader, read_beyond
from napari_dinomed.taught.boxes import Boxes, Ring, grid_indices
from napari_dinomed.taught.examples import Examples
from napari_dinomed.taught.header import Header, Lesson, Reading, Sight, Way
from napari_dinomed.taught.model import TaughtModel
from napari_dinomed.taught.surroundings import PARTS, Surroundings
from napari_dinomed.volume import Geometry, Volume, Window

SHAPE, TOKEN = (48, 64, 56), 8
WINDOW = Window(0.0, 255.0)
RANDOM = np.random.default_rng(0)
GREY = np.kron(RANDOM.integers(0, 255, (12, 16, 14)), np.ones((4, 4, 4))).astype(np.uint8)


class Means:
    """An encoder that sees one slice at a time, by means of patches."""

    spec, is_planar, block = EncoderSpec("means", "", channels=3, stride=TOKEN), True, 4

    def encode(self, stack, start, stop, plan):
        slices = torch.from_numpy(stack.read(start, stop))[:, None]
        grid = (plan.height // TOKEN, plan.width // TOKEN)
        mean = torch.nn.functional.adaptive_avg_pool2d(slices, grid)
        most = torch.nn.functional.adaptive_max_pool2d(slices, grid)
        return torch.cat([mean, most, torch.ones_like(mean)], 1).half().numpy()


class InMemory:
    def read(self, box):
        return GREY[box]

    def read_colours(self, box):
        return None


class Still:
    """Voxels of an array."""

    def __init__(self, array):
        self.array = array

    def read(self, box):
        return self.array[box]

    def read_colours(self, box):
        return None


class Swayed(Means):
    """What it says of a place depends on all that it is shown, as a transformer's does."""

    def encode(self, stack, start, stop, plan):
        tokens = super().encode(stack, start, stop, plan).astype(np.float32)
        around = tokens[:, :1].mean((2, 3), keepdims=True)
        return (tokens + [[[[3]], [[-2]], [[1]]]] * around).astype(np.float16)


def _sight(axes):
    return Sight("means", "means:1", axes, WINDOW, "EM", (1.0, 1.0, 1.0), pixel=1.0)


def _reader(axes, size, told="looks"):
    boxes = Boxes.of(SHAPE, (1.0, 1.0, 1.0), _sight(axes), TOKEN, is_planar=True)
    basis = Basis(torch.zeros(3), torch.eye(3))
    reading = Reading(Way("probe", told), 0.0, 1.0, (1.0,))
    lesson = Lesson(new_label(1), readings=(reading,))
    nothing = Examples(*(torch.zeros(0) for _ in range(5)))
    header = Header(_sight(axes), 40.0, (lesson,))
    model = TaughtModel(header, (basis,) * len(axes), nothing)
    boxes = replace(boxes, size=size)
    return BoxReader(model, Means(), WINDOW, boxes, InMemory())


def test_boxes_cover_the_volume_once():
    boxes = replace(_reader((0,), (16, 24, 24)).boxes)
    count = np.zeros(SHAPE, int)
    for index in grid_indices(boxes.count):
        count[boxes.box(index)] += 1
    assert (count == 1).all()
    block = (slice(10, 20), slice(0, 24), slice(24, 30))
    assert sorted(boxes.touching(block)) == [(0, 0, 1), (1, 0, 1)]


def test_a_box_is_whole_tokens_of_the_size_that_taught():
    large = (2000, 5000, 5000)
    sight = replace(_sight((0, 1, 2)), pixel=2.0)
    boxes = Boxes.of(large, (1.0, 1.0, 1.0), sight, 16, is_planar=True)
    assert boxes.token == (32, 32, 32)
    assert boxes.size == (768, 768, 768)
    assert all(size % cell == 0 for size, cell in zip(boxes.size, boxes.cell, strict=True))
    flat = Boxes.of(
        large, (40.0, 4.0, 4.0), replace(sight, axes=(0,), pixel=None), 2, is_planar=False
    )
    assert flat.size[1:] == (256, 256)
    assert np.prod(flat.size) < 5e6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_tokens_of_a_box_are_those_of_the_whole(axis):
    reader = _reader((0, 1, 2), (16, 16, 16))
    step = reader.boxes.step[axis]
    volume = Volume(GREY, Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)))
    stack = SliceStack(volume, WINDOW, axis, step)
    rows, columns = stack.slice_shape
    tokens = Means().encode(stack, 0, stack.depth, SlicePlan(rows, columns, axis, step))
    bank = TokenBank(tokens.shape, SHAPE, axis, step)
    bank.put(0, tokens)
    whole = Looks.of(bank, reader.model.bases[0])
    box = reader.boxes.box((1, 2, 1))
    part = reader._looks(box, axis, axis)
    voxels = np.argwhere(np.ones([side.stop - side.start for side in box]))[::37]
    voxels = voxels + [side.start for side in box]
    torch.testing.assert_close(part.at(voxels), whole.at(voxels), atol=2e-3, rtol=0)


def test_where_tiles_overlap_one_fades_into_the_other():
    """Two boxes say the same of what lies at the face between them: there is no seam."""
    shape = (2, 64, 192)
    grey = np.linspace(0, 255, 192) * np.ones((2, 64, 1))
    reader = replace(_reader((0,), (2, 64, 64)), encoder=Swayed())
    reader = replace(reader, boxes=replace(reader.boxes, shape=shape))
    reader = replace(reader, voxels=Still(grey.astype(np.float32)), _tiles={})
    boxes = [reader.boxes.box((0, 0, n)) for n in range(3)]
    voxels = np.array([(z, y, x) for z in (0, 1) for y in (5, 40) for x in range(58, 70)])
    left, right = (reader._looks(box, 0, 0).at(voxels) for box in boxes[:2])
    torch.testing.assert_close(left, right, atol=2e-3, rtol=0)
    apart = [reader._tile((0, 0, n), 0, 0) for n in range(2)]
    # By itself, each would have said another thing of it.
    assert (apart[0][:, :, 12] - apart[1][:, :, 4]).abs().max() > 0.02
    whole = [reader._looks(box, 0, 0).at(_along(box)) for box in boxes]
    steps = torch.cat(whole).diff(dim=0).norm(dim=1)
    for face in (63, 127):
        beside = steps[[face - 2, face - 1, face + 1, face + 2]]
        assert 0 < steps[face] < 1.2 * beside.max()


def _along(box):
    return np.array([(0, 30, x) for x in range(box[2].start, box[2].stop)])


def test_what_lies_around_a_box_is_what_lies_around_it_in_the_whole():
    reader = _reader((0,), (16, 16, 16), told="both")
    box = reader.boxes.box((1, 2, 1))
    part = reader._surroundings(box, Ring.of(reader.boxes, box))
    volume = Volume(GREY, Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)))
    whole = Surroundings.of(volume, WINDOW, 40.0)
    voxels = np.argwhere(np.ones((16, 16, 16)))[::37] + [side.start for side in box]
    mine, theirs = part.at(voxels), whole.at(voxels)
    assert mine.shape == (len(voxels), PARTS)
    # Grey values are the same; cells of the whole divide it evenly, so lie a little apart.
    torch.testing.assert_close(mine[:, :2], theirs[:, :2], atol=1e-5, rtol=0)
    near = np.corrcoef(mine[:, 2:-3].ravel(), theirs[:, 2:-3].ravel())[0, 1]
    assert near > 0.9
    assert (mine[:, -3:] == 0).all()


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_beyond_the_volume_it_goes_on(is_mirrored):
    spans = [(-3, 5), (60, 70), (-20, -10)]
    found = read_beyond(InMemory().read, SHAPE, spans, 0, is_mirrored)
    mode = "symmetric" if is_mirrored else "edge"
    padded = np.pad(GREY, [(20, 20), (0, 0), (0, 0)], mode="edge")
    padded = np.pad(padded, [(0, 0), (20, 20), (20, 20)], mode=mode)
    expected = padded[17:25, 80:90, 0:10]
    np.testing.assert_array_equal(found, expected)

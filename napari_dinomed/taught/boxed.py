"""Reading one box of a volume that is too large to be held: its labels, by a model.

In: a way to read voxels, and a box. Out: labels of the box, and how far two readings of
the model differ on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.features.stack import SlicePlan, SliceStack
from napari_dinomed.features.tokens import TokenBank, linear_weights
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.looks import Looks
from napari_dinomed.taught.boxes import Ring
from napari_dinomed.taught.examples import Described
from napari_dinomed.taught.propose import scores_on
from napari_dinomed.taught.surroundings import BLURS, OFFSETS, Level, Surroundings, wider
from napari_dinomed.volume import Geometry, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.taught.boxes import Box3, Boxes, Index3
    from napari_dinomed.taught.model import TaughtModel
    from napari_dinomed.volume import Window


# Tiles whose looks are kept for the boxes beside them, some ten megabytes each: those of
# two blocks, one after the other.
_TILES_KEPT = 24


class Voxels(Protocol):
    """Voxels (z, y, x) that are read when they are asked for."""

    def read(self, box: Box3) -> NDArray[Any]:
        """The voxels of a box that lies within the volume."""

    def read_colours(self, box: Box3) -> NDArray[Any] | None:
        """Their red, green and blue (z, y, x, 3); None where they are grey."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in a box.

    Parameters
    ----------
    labels
        Numbers of the model's labels (z, y, x), 0 for none.
    differing, either
        For each label, cells on which two readings differ, and that either finds.
    """

    labels: NDArray[np.uint16]
    differing: dict[int, int]
    either: dict[int, int]


@dataclass(frozen=True, eq=False)
class BoxReader:
    """Reads boxes of one volume.

    Parameters
    ----------
    model, encoder, window
        What is known, who sees, and which grey values: the same for all boxes.
    boxes
        The grid.
    voxels
        The volume.
    """

    model: TaughtModel
    encoder: Encoder
    window: Window
    boxes: Boxes
    voxels: Voxels
    _tiles: dict[tuple[int, Index3], torch.Tensor] = field(default_factory=dict)

    def label(self, box: Box3) -> Found:
        """Labels of a box; where two claim a voxel, the surer one has it."""
        ring, lessons = Ring.of(self.boxes, box), self.model.header.lessons
        described = self._described(box, ring)
        scores = _last(scores_on(self.model, lessons, described, ring))
        lengths = [part.stop - part.start for part in box]
        labels = np.zeros(lengths, dtype=np.uint16)
        best = np.zeros(lengths, dtype=np.float32)
        for lesson, score in zip(lessons, scores, strict=True):
            found = _on_voxels(score.mean, ring, lengths)
            wins = found > best
            labels[wins], best[wins] = lesson.label.id, found[wins]
        pairs = {
            lesson.label.id: [alone[1:-1, 1:-1, 1:-1] for alone in score.alone]
            for lesson, score in zip(lessons, scores, strict=True)
            if len(score.alone) > 1
        }
        return Found(
            labels,
            {number: int((a ^ b).sum()) for number, (a, b) in pairs.items()},
            {number: int((a | b).sum()) for number, (a, b) in pairs.items()},
        )

    def _described(self, box: Box3, ring: Ring) -> Described:
        """A box as the model reads it."""
        header = self.model.header
        looks = tuple(
            self._looks(box, axis, number) for number, axis in enumerate(header.sight.axes)
        )
        return Described(looks, self._surroundings(box, ring))

    def _looks(self, box: Box3, axis: int, number: int) -> Looks:
        """Tokens of slices along an axis, on the model's basis.

        What an encoder that was learnt says of a place depends on all that it is shown:
        where two tiles overlap, the one fades into the other, or faces would be seams.
        """
        boxes, spans = self.boxes, self._shown(box, axis)
        if self.encoder.is_planar:
            looks = self._faded(boxes.index(box), axis, number)
        else:
            looks = self._encoded(box, axis, number)
        shape = [stop - start for start, stop in spans]
        origin = [start for start, _ in spans]
        shape[axis] -= 2 * boxes.depth
        origin[axis] += boxes.depth
        return Looks(looks, tuple(shape), axis, boxes.step[axis], tuple(origin))

    def _faded(self, index: Index3, axis: int, number: int) -> torch.Tensor:
        """The looks of a box's tile, and of those beside it where they overlap."""
        boxes, own = self.boxes, self._tile(index, axis, number)
        rows, columns = (other for other in range(3) if other != axis)
        fading = [
            _fading(length, boxes.rim, own.device)[:, None] for length in own.shape[1:3]
        ]
        total = torch.zeros(own.shape, device=own.device)
        for across, along in product((-1, 0, 1), repeat=2):
            beside = list(index)
            beside[rows] += across
            beside[columns] += along
            if not all(0 <= n < m for n, m in zip(beside, boxes.count, strict=True)):
                continue
            tile = self._tile((beside[0], beside[1], beside[2]), axis, number)
            weighted = tile.float() * fading[0][:, None] * fading[1]
            steps = [
                side * (boxes.size[other] // boxes.token[other])
                for side, other in ((across, rows), (along, columns))
            ]
            (here_r, there_r), (here_c, there_c) = (
                _overlap(length, step)
                for length, step in zip(own.shape[1:3], steps, strict=True)
            )
            total[:, here_r, here_c] += weighted[:, there_r, there_c]
        return functional.normalize(total, dim=-1).to(own.dtype)

    def _tile(self, index: Index3, axis: int, number: int) -> torch.Tensor:
        """Looks (slices, rows, columns, parts) of all that is shown with a box."""
        key = (axis, index)
        if key not in self._tiles:
            while len(self._tiles) >= _TILES_KEPT:
                self._tiles.pop(next(iter(self._tiles)))
            self._tiles[key] = self._encoded(self.boxes.box(index), axis, number)
        return self._tiles[key]

    def _encoded(self, box: Box3, axis: int, number: int) -> torch.Tensor:
        boxes, step = self.boxes, self.boxes.step[axis]
        spans = self._shown(box, axis)
        array, colours = (
            read_beyond(read, boxes.shape, spans, axis, boxes.is_mirrored)
            for read in (self.voxels.read, self.voxels.read_colours)
        )
        assert array is not None  # only of colours there may be none
        geometry = Geometry.from_spacing(array.shape, boxes.spacing)
        volume = Volume(array, geometry, colours=colours)
        rows, columns = (
            (stop - start) // token * self.encoder.spec.stride
            for other, ((start, stop), token) in enumerate(
                zip(spans, boxes.token, strict=True)
            )
            if other != axis
        )
        stack = SliceStack(volume, self.window, axis, step)
        tokens = self._tokens(stack, SlicePlan(rows, columns, axis, step), spans[axis])
        bank = TokenBank(tokens.shape, array.shape, axis, step)
        bank.put(0, tokens)
        return Looks.of(bank, self.model.bases[number]).unit

    def _shown(self, box: Box3, axis: int) -> list[tuple[int, int]]:
        """First voxels, and those after the last, of what is shown with a box.

        Whole tokens in the plane, as many for every box; along the axis, a slice more on
        each side to lie between, and those that only tell what lies around.
        """
        boxes, step = self.boxes, self.boxes.step[axis]
        spans = []
        for other, part in enumerate(box):
            if other == axis:
                first, after = part.start // step - 1, -(-part.stop // step) + 1
                spans.append((first * step - boxes.depth, after * step + boxes.depth))
                continue
            token = boxes.token[other]
            start = part.start - boxes.rim * token
            count = 2 * boxes.rim + -(-boxes.size[other] // token)
            spans.append((start, start + count * token))
        return spans

    def _tokens(
        self, stack: SliceStack, plan: SlicePlan, span: tuple[int, int]
    ) -> NDArray[np.float16]:
        """Tokens (slices, channels, rows, columns) but for those that are only shown."""
        encoder, depth = self.encoder, self.boxes.depth
        if not encoder.is_planar:
            # Filters read far across slices at every call: all at once.
            return encoder.encode(stack, depth, stack.depth - depth, plan)
        # Beyond the ends the last slices go on: one at a time is seen, and the same again.
        places = np.arange(*span, plan.step) + plan.step // 2
        places = np.clip(places, 0, self.boxes.shape[plan.axis] - 1)
        first = int(np.flatnonzero(places == places[0])[-1])
        last = max(first, int(np.flatnonzero(places == places[-1])[0]))
        blocks = [
            encoder.encode(stack, start, min(start + encoder.block, last + 1), plan)
            for start in range(first, last + 1, encoder.block)
        ]
        again = np.clip(np.arange(len(places)), first, last) - first
        return np.asarray(np.concatenate(blocks)[again])

    def _surroundings(self, box: Box3, ring: Ring) -> Surroundings:
        """What lies around; in a volume without end, no place is nearer to its middle."""
        boxes, length = self.boxes, self.model.header.length
        spacing = np.array(boxes.spacing)
        room = [int(np.ceil(cell)) + 1 for cell in ring.cell]
        near = [
            (part.start - more, part.stop + more)
            for part, more in zip(box, room, strict=True)
        ]
        grey = self._read(near)
        cells = Cells.finest(_box_of(near), boxes.spacing)
        own = tuple(
            Level(cells, torch.from_numpy(window.apply(grey)))
            for window in (self.window, wider(self.window))
        )
        blurred = {}
        if any(way.told != "looks" for way in self.model.header.ways):
            reach = {blur: length / part for part, blur in OFFSETS.items()}
            blurred = {
                blur: self._blurred(near, length / blur, reach.get(blur, 0.0) / spacing)
                for blur in BLURS
            }
        return Surroundings(length, spacing, (own[0], own[1]), blurred, None)

    def _blurred(
        self, near: list[tuple[int, int]], edge: float, reach: NDArray[np.float64]
    ) -> Level:
        """Means over cells of one grid over all the volume, as far as they are asked."""
        steps = [max(1, round(edge / length)) for length in self.boxes.spacing]
        spans = [
            (
                int(np.floor((start - more) / step) - 1) * step,
                int(np.ceil((stop + more) / step) + 1) * step,
            )
            for (start, stop), more, step in zip(near, reach, steps, strict=True)
        ]
        window, (z, *plane) = wider(self.window), spans
        layers = []
        for start in range(*z, steps[0]):
            layer = window.apply(self._read([(start, start + steps[0]), *plane]))
            layers.append(functional.avg_pool3d(torch.from_numpy(layer)[None], steps)[0])
        grey = torch.cat(layers)
        depth, rows, columns = grey.shape
        cells = Cells(_box_of(spans), (depth, rows, columns), self.boxes.spacing)
        return Level(cells, grey)

    def _read(self, spans: Sequence[tuple[int, int]]) -> NDArray[Any]:
        grey = read_beyond(self.voxels.read, self.boxes.shape, spans, 0, False)
        assert grey is not None  # only of colours there may be none
        return grey


def _fading(length: int, rim: int, device: torch.device) -> torch.Tensor:
    """Weights of a tile's tokens along a side: they fade over two rims, and sum up to 1."""
    middles = torch.arange(length, device=device) + 0.5
    nearest = torch.minimum(middles, length - middles)
    return (nearest / (2 * rim)).clamp(max=1) if rim else torch.ones_like(middles)


def _overlap(length: int, step: int) -> tuple[slice, slice]:
    """What a line of tokens shares with one so many further on: in its own, in that."""
    return (
        slice(max(0, step), length + min(0, step)),
        slice(max(0, -step), length - max(0, step)),
    )


def read_beyond(
    read: Callable[[Box3], NDArray[Any] | None],
    shape: Sequence[int],
    spans: Sequence[tuple[int, int]],
    axis: int,
    is_mirrored: bool,
) -> NDArray[Any] | None:
    """Voxels of a box that may reach beyond the volume.

    Parameters
    ----------
    read, shape
        What reads a box of the volume, and its size; None where there is nothing to read.
    spans
        First voxel and the one after the last, along each axis.
    axis
        Along which the last slices go on in any case.
    is_mirrored
        Whether along the others a mirror image goes on.
    """
    places = [
        _within(np.arange(start, stop), length, is_mirrored and number != axis)
        for number, ((start, stop), length) in enumerate(zip(spans, shape, strict=True))
    ]
    within = [(int(along.min()), int(along.max()) + 1) for along in places]
    array = read(_box_of(within))
    if array is None:
        return None
    for number, (along, (first, _)) in enumerate(zip(places, within, strict=True)):
        array = np.take(array, along - first, axis=number)
    return np.ascontiguousarray(array)


def _within(places: NDArray[np.int64], length: int, is_mirrored: bool) -> NDArray[np.int64]:
    """Places of a line in its stead: in a mirror at its ends, or the end itself."""
    if not is_mirrored:
        return np.clip(places, 0, length - 1)
    folded = places % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def _box_of(spans: Sequence[tuple[int, int]]) -> Box3:
    z, y, x = (slice(start, stop) for start, stop in spans)
    return z, y, x


def _on_voxels(values: torch.Tensor, ring: Ring, lengths: list[int]) -> NDArray[np.float32]:
    """Values of the cells of a ring on the voxels of its box, linear in between."""
    for axis in range(3):
        places = ring.places(axis, lengths[axis])
        weights = linear_weights(places, ring.shape[axis])
        values = torch.tensordot(values, weights, dims=([axis], [1])).movedim(-1, axis)
    return np.ascontiguousarray(values.numpy())


def _last(steps: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value

"""What a worker does with one block of a stack: its labels, its things, its thinning.

In: a plan, and a block's place. Out: whole shards in the store of the image, and what is
to be said of the block. A block is done by itself: begun again, it gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cc3d
import numpy as np

from napari_dinomed.batch.stack.union import Faces, numbers_of
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.io import read_volume
from napari_dinomed.taught.boxed import BoxReader
from napari_dinomed.taught.boxes import grid_box
from napari_dinomed.taught.model import read_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.batch.stack.plan import StackPlan
    from napari_dinomed.io.stack import Stack
    from napari_dinomed.taught.boxes import Box3, Index3


@dataclass(frozen=True)
class BlockDone:
    """What is to be said of a block.

    Parameters
    ----------
    task
        What was done: ``label z/y/x``, say.
    voxels
        Of each label.
    things
        Connected things in it.
    differing, either
        For each label, cells on which two readings differ, and that either finds.
    """

    task: str
    voxels: dict[int, int] = field(default_factory=dict)
    things: int = 0
    differing: dict[int, int] = field(default_factory=dict)
    either: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockWork:
    """What a worker needs to know.

    Parameters
    ----------
    plan
        What is settled for the whole.
    device
        Where to compute.
    """

    plan: StackPlan
    device: str

    def do(self, task: tuple[str, Index3]) -> BlockDone:
        """Do a task of a block: ``label``, ``number``, or ``thin/LEVEL/NAME``."""
        what, index = task
        if what == "label":
            return self._label(index)
        if what == "number":
            return self._number(index)
        _, level, name = what.split("/", 2)
        return self._thin(int(level), name, index)

    def _label(self, index: Index3) -> BlockDone:
        plan, done = self.plan, BlockDone(name_of(("label", index)))
        stack, reader, mask = _opened(plan, self.device)
        box = plan.block_box(index)
        labels = np.zeros([part.stop - part.start for part in box], np.uint16)
        for number in plan.boxes.touching(box):
            inner = plan.boxes.box(number)
            if not _is_worth_it(stack, plan, mask, inner):
                continue
            found = reader.label(inner)
            common, there = _shared(inner, box), _shared(box, inner)
            labels[there] = found.labels[common]
            # Of a box that several blocks share, the first tells.
            if all(a.start >= b.start for a, b in zip(inner, box, strict=True)):
                _add(done.differing, found.differing)
                _add(done.either, found.either)
        _clear_outside(labels, box, plan, mask)
        plan.labels.write(0, box, labels.astype(dtype_of(plan)))
        counts = np.bincount(labels.ravel())
        done.voxels.update({n: int(c) for n, c in enumerate(counts) if n and c})
        if not plan.instances:
            return done
        parts, things = _things_in(labels)
        Faces.of(parts, labels).write(plan.place.out, index)
        return BlockDone(done.task, done.voxels, things, done.differing, done.either)

    def _number(self, index: Index3) -> BlockDone:
        plan = self.plan
        box = plan.block_box(index)
        parts, things = _things_in(np.asarray(plan.labels.level(0)[box]))
        if things:
            plan.things.write(0, box, numbers_of(plan.place.out, index)[parts])
        return BlockDone(name_of(("number", index)), things=things)

    def _thin(self, level: int, name: str, index: Index3) -> BlockDone:
        growing = next(one for one in self.plan.outputs if one.name == name)
        z, y, x = growing.level(level).shape
        growing.thin(level, grid_box((z, y, x), self.plan.block, index))
        return BlockDone(name_of((f"thin/{level}/{name}", index)))


def name_of(task: tuple[str, Index3]) -> str:
    """What a task is called in the manifest."""
    what, index = task
    return f"{what} {'/'.join(map(str, index))}"


def dtype_of(plan: StackPlan) -> np.dtype[Any]:
    """Of the labels."""
    highest = max(label.id for label in plan.legend)
    return np.min_scalar_type(highest)


@lru_cache(maxsize=1)
def _opened(plan: StackPlan, device: str) -> tuple[Stack, BoxReader, Any]:
    """The image, who reads it, and the mask: once for a process."""
    stack = plan.open()
    encoder = make_encoder(plan.encoder, device, lambda _: None)
    model = read_model(plan.place.model)
    model.require_channels(encoder.channels(1) - encoder.position_channels)
    reader = BoxReader(model, encoder, plan.window, plan.boxes, stack)
    return stack, reader, None if plan.mask is None else _mask_of(plan.mask)


def _mask_of(path: Path) -> Any:
    """A mask (z, y, x), in memory or not."""
    return read_volume(path).array


def _is_worth_it(stack: Stack, plan: StackPlan, mask: Any, box: Box3) -> bool:
    """Whether something can be found in a box: wanted, looked at, and not all the same."""
    wanted = all(
        part.start < stop and start < part.stop
        for part, (start, stop) in zip(box, plan.region, strict=True)
    )
    if not wanted or (mask is not None and not _mask_in(mask, plan, box).any()):
        return False
    voxels = stack.read(box)
    return bool(voxels.min() < voxels.max())


def _clear_outside(
    labels: NDArray[np.uint16], box: Box3, plan: StackPlan, mask: Any
) -> None:
    """Remove labels where none are wanted."""
    for axis, (part, (start, stop)) in enumerate(zip(box, plan.region, strict=True)):
        places = np.arange(part.start, part.stop)
        outside = (places < start) | (places >= stop)
        labels[(slice(None),) * axis + (outside,)] = 0
    if mask is not None:
        labels[~_mask_in(mask, plan, box)] = 0


def _mask_in(mask: Any, plan: StackPlan, box: Box3) -> NDArray[np.bool_]:
    """The mask on the voxels of a box: it covers the same field, in any resolution."""
    chosen = [
        np.arange(part.start, part.stop) * length // own
        for part, length, own in zip(box, mask.shape, plan.boxes.shape, strict=True)
    ]
    corner = tuple(slice(int(each[0]), int(each[-1]) + 1) for each in chosen)
    values = np.asarray(mask[corner]) != 0
    z, y, x = (each - each[0] for each in chosen)
    return np.asarray(values[np.ix_(z, y, x)])


def _things_in(labels: NDArray[Any]) -> tuple[NDArray[np.uint32], int]:
    """Connected things of each label, numbered from 1 on; they are joined by faces."""
    parts, count = cc3d.connected_components(labels, connectivity=6, return_N=True)
    return parts.astype(np.uint32), int(count)


def _shared(inside: Box3, other: Box3) -> tuple[slice, ...]:
    """What a box shares with another, in its own voxels."""
    return tuple(
        slice(max(a.start, b.start) - a.start, min(a.stop, b.stop) - a.start)
        for a, b in zip(inside, other, strict=True)
    )


def _add(total: dict[int, int], some: dict[int, int]) -> None:
    for number, count in some.items():
        total[number] = total.get(number, 0) + count

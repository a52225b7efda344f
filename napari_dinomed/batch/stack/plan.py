"""What is settled once for a whole stack, before any block of it is read.

In: a model, and an image. Out: which level is read, in which window, on which grid, and
which blocks are whole shards of the labels; so that blocks agree, whoever reads them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from napari_dinomed import __version__
from napari_dinomed.annotation.labels import legend_of
from napari_dinomed.batch.labelling import digest_of
from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.io.source import is_there
from napari_dinomed.io.stack import Growing, Stack, is_slide, open_stack
from napari_dinomed.taught.boxes import Boxes, grid_box, grid_count, grid_indices
from napari_dinomed.taught.header import read_header
from napari_dinomed.volume import Window, choose_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.io.format import Legend
    from napari_dinomed.taught.boxes import Box3, Index3

# A shard is so many boxes along each axis: some thirty million voxels, a few megabytes on
# disk, so that ten terabytes are some hundred thousand files.
_BOXES_PER_SHARD = 2
# Chunks, which viewers read one by one, are parts of a box of about so many voxels a side.
_CHUNK_SIDE = 128


@dataclass(frozen=True)
class Place:
    """Where the labels of a stack come from and go to.

    Parameters
    ----------
    model, store, out
        The model, the image (an OME-Zarr store, or a slide), and the folder for what is
        noted.
    name
        What the labels are called.
    """

    model: Path
    store: Path
    out: Path
    name: str

    @property
    def labels_store(self) -> Path:
        """Where labels go: the image's own store; of a slide, one beside the notes."""
        if not is_slide(self.store):
            return self.store
        return self.out / f"{self.store.name.partition('.')[0]}.ome.zarr"


@dataclass(frozen=True)
class Wishes:
    """What a user asks of it; all is settled by the model if nothing is.

    Parameters
    ----------
    level
        Key of the level to be read; else the nearest to that of teaching.
    region
        Voxels of that level, as ``z0:z1,y0:y1,x0:x1``.
    mask
        Labels or a mask of the same field, in any resolution: only there is looked.
    window, encoder
        As for `prepare`.
    instances
        Whether things are numbered, too.
    """

    level: str | None = None
    region: str | None = None
    mask: Path | None = None
    window: str | None = None
    encoder: str | None = None
    instances: bool = False


@dataclass(frozen=True)
class StackPlan:
    """What is settled.

    Parameters
    ----------
    place
        Where from and where to.
    level, fingerprint, version
        Of the image.
    digest, program
        Of the model's file, and of this program.
    encoder, window
        Who sees, and which grey values.
    boxes
        The grid on which it is read.
    chunk, block
        Voxels of a chunk of the labels, and of a block, which is whole shards.
    region
        Where labels are wanted: first voxels, and those after the last.
    mask
        Where is looked at all, or None for everywhere.
    instances
        Whether things are numbered, too.
    """

    place: Place
    level: str
    fingerprint: str
    version: str
    digest: str
    program: str
    encoder: str
    window: Window
    boxes: Boxes
    chunk: tuple[int, int, int]
    block: tuple[int, int, int]
    region: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    mask: Path | None
    instances: bool

    @classmethod
    def of(cls, place: Place, wishes: Wishes, device: str) -> tuple[Self, tuple[str, ...]]:
        """Settle it, and what a user should be warned of.

        Raises
        ------
        ReadError
            Where the image cannot be read, or there is no such level or region.
        ModelError
            Where the encoder is another one than taught the model.
        """
        _require_name(place)
        header = read_header(place.model)
        sight = header.sight
        stack = open_stack(place.store, wishes.level, sight.spacing)
        volume = stack.volume
        volume.require_content()
        name = wishes.encoder or sight.encoder
        encoder = make_encoder(name, device, lambda _: None)
        wished = wishes.window or sight.window_name
        window = choose_window(volume, wished, encoder.window)
        spacing, shape = volume.geometry.spacing, volume.geometry.shape
        seen = replace(sight, window=window, modality=volume.modality, spacing=spacing)
        warnings = header.require_sight(replace(seen, signature=encoder.signature))
        boxes = Boxes.of(shape, spacing, sight, encoder.spec.stride, encoder.is_planar)
        chunk, block = _chunk_and_block(boxes)
        plan = cls(
            place,
            stack.level,
            volume.fingerprint,
            stack.version,
            digest_of(place.model),
            __version__,
            name,
            window,
            boxes,
            chunk,
            block,
            _region_of(wishes.region, shape),
            wishes.mask,
            wishes.instances,
        )
        return plan, warnings

    @property
    def labels(self) -> Growing:
        """The labels."""
        return Growing(self.place.labels_store, self.place.name)

    @property
    def things(self) -> Growing:
        """The numbered things."""
        return Growing(self.place.labels_store, f"{self.place.name}-instances")

    @property
    def outputs(self) -> tuple[Growing, ...]:
        """All that is written into the store."""
        return (self.labels, self.things) if self.instances else (self.labels,)

    def open(self) -> Stack:
        """The image."""
        return open_stack(self.place.store, self.level, self.boxes.spacing)

    @property
    def legend(self) -> Legend:
        """Names and colours of the labels."""
        return legend_of(read_header(self.place.model).labels)

    def blocks(self) -> Iterator[Index3]:
        """Blocks in which labels are wanted."""
        shape = self.boxes.shape
        for index in grid_indices(grid_count(shape, self.block)):
            box = grid_box(shape, self.block, index)
            if all(
                part.start < stop and start < part.stop
                for part, (start, stop) in zip(box, self.region, strict=True)
            ):
                yield index

    def block_box(self, index: Index3) -> Box3:
        """Voxels of a block."""
        return grid_box(self.boxes.shape, self.block, index)


def _require_name(place: Place) -> None:
    """Raise an error where no labels in a store can be called that."""
    if not place.name or Path(place.name).name != place.name or place.name.startswith("."):
        raise ReadError(f"Expected a plain name for labels in a store, got {place.name!r}.")
    is_there(place.store / "labels" / f"{place.name}-instances", WriteError)


def _chunk_and_block(boxes: Boxes) -> tuple[Index3, Index3]:
    """Voxels of a chunk, which divides a box evenly, and of a block."""
    chunk, block = [], []
    for size, length in zip(boxes.size, boxes.shape, strict=True):
        count = max(1, round(size / _CHUNK_SIDE))
        chunk.append(size // math.gcd(size, count))
        block.append(size * min(_BOXES_PER_SHARD, -(-length // size)))
    return (chunk[0], chunk[1], chunk[2]), (block[0], block[1], block[2])


def _region_of(
    text: str | None, shape: Index3
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """First voxels and those after the last; all that is left out is the whole."""
    if text is None:
        return (0, shape[0]), (0, shape[1]), (0, shape[2])
    found = re.fullmatch(r"(\d*):(\d*),(\d*):(\d*),(\d*):(\d*)", text.strip())
    if found is None:
        raise ReadError(
            "Expected a region as z0:z1,y0:y1,x0:x1, in voxels of the level that is "
            f"read, got {text!r}."
        )
    ends = [
        (int(found[2 * axis + 1] or 0), min(int(found[2 * axis + 2] or length), length))
        for axis, length in enumerate(shape)
    ]
    if any(start >= stop for start, stop in ends):
        size = " × ".join(map(str, shape))
        raise ReadError(f"The region {text} has no voxel of the level, which is {size}.")
    return ends[0], ends[1], ends[2]

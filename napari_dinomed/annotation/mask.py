"""Sets of voxels, packed: a box and its bits for every slice, shared until it changes.

In: arrays of booleans or voxels (z, y, x). Out: a `Mask`, whose size and whose cost follow
what is in it, not the volume: a change to one slice leaves all other slices as they are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Box = tuple[slice, slice]
    Combine = Callable[[Bools, Bools], Bools]

# The fastest: bits of a mask are long runs, which every level shrinks a hundredfold.
_LEVEL = 1
# Slice, first row, first column, rows, columns, bytes: all little-endian.
_HEADER = struct.Struct("<6I")
# A slice of more pixels is not an image: a damaged length must not take all memory.
_MOST_PIXELS = 2**32


@dataclass(frozen=True)
class Plane:
    """Voxels of one slice: the box that just holds them, and its bits.

    Parameters
    ----------
    row, column
        First of the box.
    rows, columns
        Of the box.
    bits
        Of the box in C order, packed to bytes and deflated.
    count
        Voxels that are set; follows from the bits.
    """

    row: int
    column: int
    rows: int
    columns: int
    bits: bytes
    count: int = field(compare=False)

    @classmethod
    def of(cls, array: Bools, row: int = 0, column: int = 0) -> Plane | None:
        """Pack an array (rows, columns) whose first pixel lies there; None if empty."""
        down = np.flatnonzero(array.any(1))
        if not len(down):
            return None
        part = array[down[0] : down[-1] + 1]
        across = np.flatnonzero(part.any(0))
        part = part[:, across[0] : across[-1] + 1]
        return cls(
            row + int(down[0]),
            column + int(across[0]),
            part.shape[0],
            part.shape[1],
            zlib.compress(np.packbits(part).tobytes(), _LEVEL),
            int(np.count_nonzero(part)),
        )

    @classmethod
    def of_pixels(cls, rows: NDArray[np.integer[Any]], columns: Any) -> Plane:
        """Pack pixels, of which there is at least one."""
        row, column = int(rows.min()), int(columns.min())
        shape = (int(rows.max()) - row + 1, int(columns.max()) - column + 1)
        array = np.zeros(shape, dtype=np.bool_)
        array[rows - row, columns - column] = True
        packed = cls.of(array, row, column)
        assert packed is not None
        return packed

    @property
    def box(self) -> Box:
        """Rows and columns."""
        return (
            slice(self.row, self.row + self.rows),
            slice(self.column, self.column + self.columns),
        )

    def array(self) -> Bools:
        """The voxels of the box (rows, columns)."""
        return _unpack(self.bits, self.rows, self.columns)

    def within(self, box: Box) -> Bools:
        """The voxels of another box, which may lie anywhere (rows, columns)."""
        result = np.zeros([part.stop - part.start for part in box], dtype=np.bool_)
        own = self.box
        both = [
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(own, box, strict=True)
        ]
        if all(part.start < part.stop for part in both):
            result[_moved(both, box)] = self.array()[_moved(both, own)]
        return result


@dataclass(frozen=True)
class Mask:
    """A set of voxels (z, y, x); changing it gives a new one that shares what is the same.

    Two masks of the same voxels are equal.

    Parameters
    ----------
    planes
        By slice, for the slices that hold any voxel.
    """

    planes: Mapping[int, Plane] = field(default_factory=dict)

    @classmethod
    def of(cls, array: Bools, start: Iterable[int] = (0, 0, 0)) -> Mask:
        """The set voxels of an array (z, y, x) whose first voxel lies at ``start``."""
        z, row, column = (int(n) for n in start)
        planes = (
            (z + int(index), Plane.of(array[index], row, column))
            for index in np.flatnonzero(array.any((1, 2)))
        )
        return cls({index: plane for index, plane in planes if plane is not None})

    @classmethod
    def of_voxels(cls, voxels: NDArray[np.integer]) -> Mask:
        """The mask of voxels (n, 3)."""
        voxels = np.asarray(voxels, dtype=np.int64).reshape(-1, 3)
        planes: dict[int, Plane] = {}
        for index in np.unique(voxels[:, 0]):
            pixels = voxels[voxels[:, 0] == index]
            planes[int(index)] = Plane.of_pixels(pixels[:, 1], pixels[:, 2])
        return cls(planes)

    @classmethod
    def split(cls, labels: NDArray[np.integer[Any]]) -> dict[int, Mask]:
        """The voxels of each number in an array of labels (z, y, x), 0 left out."""
        found: dict[int, dict[int, Plane]] = {}
        for index, plane in enumerate(labels):
            rows, columns = np.nonzero(plane)
            values = plane[rows, columns]
            order = np.argsort(values, kind="stable")
            numbers, starts = np.unique(values[order], return_index=True)
            for number, start, stop in zip(
                numbers, starts, [*starts[1:], len(order)], strict=False
            ):
                chosen = order[start:stop]
                packed = Plane.of_pixels(rows[chosen], columns[chosen])
                found.setdefault(int(number), {})[index] = packed
        return {number: cls(planes) for number, planes in found.items()}

    def __bool__(self) -> bool:
        return bool(self.planes)

    @property
    def count(self) -> int:
        """Voxels that are set."""
        return sum(plane.count for plane in self.planes.values())

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, packed."""
        return sum(_HEADER.size + len(plane.bits) for plane in self.planes.values())

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The box that just holds all voxels; empty if there are none."""
        if not self.planes:
            return (slice(0, 0),) * 3
        boxes = [plane.box for plane in self.planes.values()]
        return (
            slice(min(self.planes), max(self.planes) + 1),
            slice(min(b[0].start for b in boxes), max(b[0].stop for b in boxes)),
            slice(min(b[1].start for b in boxes), max(b[1].stop for b in boxes)),
        )

    def __contains__(self, voxel: Sequence[int]) -> bool:
        z, row, column = voxel
        plane = self.planes.get(z)
        if plane is None:
            return False
        return bool(plane.within((slice(row, row + 1), slice(column, column + 1)))[0, 0])

    def array(self, box: tuple[slice, slice, slice]) -> Bools:
        """The voxels of a box (z, y, x)."""
        result = np.zeros([part.stop - part.start for part in box], dtype=np.bool_)
        for index in range(box[0].start, box[0].stop):
            plane = self.planes.get(index)
            if plane is not None:
                result[index - box[0].start] = plane.within(box[1:])
        return result

    def number(self, labels: NDArray[np.integer[Any]], number: int) -> None:
        """Give its voxels a number, in labels (z, y, x) of a whole volume."""
        for index, plane in self.planes.items():
            labels[index][plane.box][plane.array()] = number

    def voxels(self) -> NDArray[np.int32]:
        """The voxels (n, 3), slice by slice."""
        parts = [np.zeros((0, 3), dtype=np.int32)]
        for index, plane in sorted(self.planes.items()):
            rows, columns = np.nonzero(plane.array())
            part = np.empty((len(rows), 3), dtype=np.int32)
            part[:, 0] = index
            part[:, 1] = rows + plane.row
            part[:, 2] = columns + plane.column
            parts.append(part)
        return np.concatenate(parts)

    def __or__(self, other: Mask) -> Mask:
        joined = {**other.planes, **self.planes}
        for index in self.planes.keys() & other.planes.keys():
            a, b = self.planes[index], other.planes[index]
            joined[index] = a if a == b else _kept(a, _combine(a, b, np.logical_or))
        return self._sharing(joined)

    def __sub__(self, other: Mask) -> Mask:
        return self._less(other, np.greater)

    def __and__(self, other: Mask) -> Mask:
        common = {index: self.planes[index] for index in self.planes.keys() & other.planes}
        return Mask(common)._less(other, np.logical_and)

    def _less(self, other: Mask, combine: Combine) -> Mask:
        left = dict(self.planes)
        for index in self.planes.keys() & other.planes.keys():
            plane = self.planes[index]
            part = plane.array()
            kept = combine(part, other.planes[index].within(plane.box))
            if np.array_equal(kept, part):
                continue
            smaller = Plane.of(kept, plane.row, plane.column)
            if smaller is None:
                del left[index]
            else:
                left[index] = smaller
        return self._sharing(left)

    def _sharing(self, planes: dict[int, Plane]) -> Mask:
        """A mask of planes; this one where they are all the same."""
        is_same = planes.keys() == self.planes.keys() and all(
            plane is self.planes[index] for index, plane in planes.items()
        )
        return self if is_same else Mask(planes)

    def changes(self, other: Mask) -> Iterator[tuple[int, Box]]:
        """Slices that differ from another mask, with the box in which they may."""
        for index in sorted(self.planes.keys() | other.planes.keys()):
            a, b = self.planes.get(index), other.planes.get(index)
            if a is not b and a != b:
                yield index, hull(*(plane.box for plane in (a, b) if plane is not None))

    def require_inside(self, shape: Sequence[int]) -> None:
        """Raise ValueError where voxels lie outside a volume of this shape."""
        box = self.box
        if any(part.stop > length for part, length in zip(box, shape, strict=True)):
            raise ValueError(f"voxels up to {tuple(p.stop for p in box)} of {tuple(shape)}")

    def to_bytes(self) -> bytes:
        """All of it, to be kept or sent."""
        parts = []
        for index, plane in sorted(self.planes.items()):
            place = (index, plane.row, plane.column, plane.rows, plane.columns)
            parts += [_HEADER.pack(*place, len(plane.bits)), plane.bits]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Mask:
        """The inverse of `to_bytes`.

        Raises
        ------
        ValueError
            Where the bytes are not those of a mask.
        """
        planes: dict[int, Plane] = {}
        place = 0
        while place < len(data):
            if place + _HEADER.size > len(data):
                raise ValueError("a packed mask ends in the middle of a slice")
            index, row, column, rows, columns, length = _HEADER.unpack_from(data, place)
            place += _HEADER.size
            bits = data[place : place + length]
            place += length
            if index in planes or len(bits) < length:
                raise ValueError(f"a packed mask is damaged at slice {index}")
            plane = Plane.of(_unpack(bits, rows, columns), row, column)
            if plane is None:
                raise ValueError(f"slice {index} of a packed mask is empty")
            planes[index] = plane
        return cls(planes)


EMPTY = Mask()


def require_claims_within(data: bytes, shape: tuple[int, int, int]) -> None:
    """Raise `DocumentError` where bytes of a mask claim more than a volume (z, y, x) has.

    Nothing is unpacked: half a megabyte can claim four gigabytes.
    """
    place = 0
    while place + _HEADER.size <= len(data):
        index, row, column, rows, columns, length = _HEADER.unpack_from(data, place)
        place += _HEADER.size + length
        ends = (index + 1, row + rows, column + columns)
        if any(end > n for end, n in zip(ends, shape, strict=True)):
            raise DocumentError(
                f"Its labels are on another grid: voxels up to {ends} of {shape}."
            )


def union(masks: Iterable[Mask]) -> Mask:
    """The voxels of any of some masks."""
    return reduce(or_, masks, EMPTY)


def without_empty(masks: Mapping[int, Mask]) -> dict[int, Mask]:
    """Masks by number, less those without a voxel."""
    return {n: mask for n, mask in masks.items() if mask}


def hull(*boxes: Box) -> Box:
    """The smallest box around others."""
    return (
        slice(min(b[0].start for b in boxes), max(b[0].stop for b in boxes)),
        slice(min(b[1].start for b in boxes), max(b[1].stop for b in boxes)),
    )


def _combine(a: Plane, b: Plane, combine: Combine) -> Plane | None:
    box = hull(a.box, b.box)
    return Plane.of(combine(a.within(box), b.within(box)), box[0].start, box[1].start)


def _kept(old: Plane, new: Plane | None) -> Plane:
    """The old plane where the new one equals it, so that it is known to be the same."""
    assert new is not None  # a union of two that are not empty
    return old if new == old else new


def _moved(part: Sequence[slice], box: Sequence[slice]) -> tuple[slice, ...]:
    """A part of a box, counted from the box' start."""
    return tuple(
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box, strict=True)
    )


def _unpack(bits: bytes, rows: int, columns: int) -> Bools:
    count = rows * columns
    if count > _MOST_PIXELS:
        raise ValueError(f"a slice of {rows} by {columns} pixels")
    inflate = zlib.decompressobj()
    size = (count + 7) // 8
    try:
        packed = inflate.decompress(bits, size) if size else b""
    except zlib.error as error:
        raise ValueError(f"bits of a mask are damaged: {error}") from error
    if len(packed) != size or inflate.unconsumed_tail:
        raise ValueError(f"expected the bits of {rows} by {columns} pixels")
    flat = np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
    return flat.view(np.bool_).reshape(rows, columns)

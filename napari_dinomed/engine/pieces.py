"""A volume in pieces: cut, named by content, packed, and put together again.

In: images (z, y, x) of one volume. Out: pieces of at most `PIECE` bytes, the same ones for
the same voxels, so that a machine that has a piece is not sent it again.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

PIECE = 256 * 1024
"""Bytes of a piece: a twentieth of a second, packed, on a link of 20 Mbit/s."""

MOST_BYTES = 64 * 1024**3
"""Of a volume; as much as one array of a message."""

# The fastest that still halves a CT.
_LEVEL = 1
_NAME_BYTES = 16


@dataclass(frozen=True)
class Cut:
    """Where a piece lies: bytes ``first`` to ``last`` of slices ``start`` to ``stop``."""

    image: int
    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Layout:
    """What images look like that are sent.

    Parameters
    ----------
    dtype
        Of the voxels, little-endian.
    shape
        (z, y, x).
    others
        How many further images of the same voxels there are, of 16 bits each.
    """

    dtype: str
    shape: tuple[int, int, int]
    others: int = 0

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """Of the voxels, and of each further image."""
        return (np.dtype(self.dtype), *[np.dtype("<u2")] * self.others)

    @property
    def nbytes(self) -> int:
        """Of all images.

        Raises
        ------
        EngineError
            Where they are none that can be sent.
        """
        if not 0 <= self.others <= 2 or min(self.shape) < 1:
            raise EngineError(f"Expected a volume to be sent, got {self}.")
        dtype, voxels = self.dtypes[0], math.prod(self.shape)
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise EngineError(f"Expected numbers of at most 8 bytes, got {dtype}.")
        size = voxels * sum(dtype.itemsize for dtype in self.dtypes)
        if size > MOST_BYTES:
            raise EngineError(
                f"A volume of {size / 1e9:.0f} GB is too large to be sent. Open a coarser "
                "level of it, or a part."
            )
        return size

    def cuts(self) -> Iterator[Cut]:
        """The pieces, in order: so many slices as make one, or parts of a large slice."""
        depth, pixels = self.shape[0], math.prod(self.shape[1:])
        for image, dtype in enumerate(self.dtypes):
            slice_bytes = pixels * dtype.itemsize
            step = max(1, PIECE // slice_bytes)
            for start in range(0, depth, step):
                stop = min(start + step, depth)
                size = (stop - start) * slice_bytes
                for first in range(0, size, PIECE):
                    yield Cut(image, start, stop, first, min(first + PIECE, size))


class Pieces:
    """The pieces of images, of which lazy ones are read slice by slice.

    Parameters
    ----------
    images
        The voxels (z, y, x) and further images, in memory or lazy.

    Raises
    ------
    EngineError
        Where they cannot be sent.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        dtype = np.dtype(images[0].dtype).newbyteorder("<")
        self.layout = Layout(dtype.str, tuple(images[0].shape), len(images) - 1)
        self.nbytes = self.layout.nbytes
        self._images = images
        self._cuts = tuple(self.layout.cuts())
        self._slab: tuple[tuple[int, int, int], Bytes] | None = None
        self.names = tuple(name_of(self.raw(n)) for n in range(len(self._cuts)))

    def raw(self, index: int) -> Bytes:
        """The bytes of a piece (n,), as they lie in memory."""
        cut = self._cuts[index]
        key = (cut.image, cut.start, cut.stop)
        if self._slab is None or self._slab[0] != key:
            part = np.asarray(self._images[cut.image][cut.start : cut.stop])
            dtype = self.layout.dtypes[cut.image]
            self._slab = (key, np.ascontiguousarray(part, dtype).reshape(-1).view(np.uint8))
        return self._slab[1][cut.first : cut.last]

    def packed(self, index: int) -> Bytes:
        """A piece (n,), ready to be sent."""
        size = self.layout.dtypes[self._cuts[index].image].itemsize
        return pack(self.raw(index), size)


def name_of(raw: Bytes) -> str:
    """By which a piece is found again."""
    return hashlib.blake2b(raw.data, digest_size=_NAME_BYTES).hexdigest()


def pack(raw: Bytes, itemsize: int) -> Bytes:
    """Make a piece (n,) smaller: neighbours differ by little, and zstd sees just that."""
    from numcodecs import zstd

    values = raw.view(f"<i{itemsize}")
    steps = np.diff(values, prepend=values.dtype.type(0))
    # The sign goes last, so that small steps of either sign have the same high bytes.
    folded = (steps << 1) ^ (steps >> (8 * itemsize - 1))
    planes = np.ascontiguousarray(folded.view(np.uint8).reshape(-1, itemsize).T)
    return np.frombuffer(zstd.compress(planes, _LEVEL), np.uint8)


def unpack(packed: Bytes, itemsize: int, size: int) -> Bytes:
    """The ``size`` bytes of a piece again; ValueError where it is damaged."""
    planes = np.empty((itemsize, size // itemsize), np.uint8)
    inflate(packed, planes)
    folded = np.ascontiguousarray(planes.T).reshape(-1).view(f"<u{itemsize}")
    one = folded.dtype.type(1)
    steps = (folded >> one) ^ (~(folded & one) + one)
    return np.cumsum(steps, dtype=steps.dtype).view(np.uint8)


def deflate(data: Bytes) -> Bytes:
    """Bytes (n,) made smaller."""
    from numcodecs import zstd

    return np.frombuffer(zstd.compress(data, _LEVEL), np.uint8)


def inflate(packed: Bytes, into: Bytes) -> None:
    """Fill an array from bytes made smaller; ValueError where they are not its own."""
    from numcodecs import zstd

    try:
        zstd.decompress(packed, into)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"packed bytes are damaged: {error}") from error

"""What headers claim, checked against the file and the memory before it is believed."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import psutil

from napari_dinomed.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is not compressed is in the file as it is.
RAW = 1
# Deflate, the usual compression, shrinks at most by 1032.
DEFLATED = 1100
# bzip2, LZMA and Zstandard shrink by any number: an empty label map by 100,000.
UNBOUND = 0
# Of a header with all that lies between it and the voxels; a whole CIFTI matrix has less.
MOST_AHEAD = 2**28
# Pieces as small as this take longer to find than to read; so many of them are no volume.
_SPECK, _MOST_SPECKS = 1024, 20_000
# Filters in front of the compression may store wider numbers, and writers may pad.
_WIDER, _PADDING = 8, 2**26
_BLOCK = 2**20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# The most that a compressed block of Zstandard becomes (RFC 8878, 3.1.1.2.4).
_ZSTD_BLOCK = 2**17


def require_plausible(
    shape: Sequence[int], dtype: Any, name: str, stored: int, most: int = DEFLATED
) -> None:
    """Raise `ReadError` where a header claims more voxels than its file can hold.

    Parameters
    ----------
    shape, dtype
        What the header claims.
    name
        Of the file.
    stored
        Bytes of the file, compressed or not.
    most
        How much larger the voxels may be: `RAW`, `DEFLATED` or `UNBOUND`.
    """
    claimed = bytes_of(shape, dtype)
    if min(shape, default=1) < 0 or (most and claimed > most * stored):
        raise ReadError(
            f"{name} claims {_by(shape)} voxels of {np.dtype(dtype)}, "
            f"{claimed / 1e9:.3g} GB, but has only {stored} bytes. It is truncated or its "
            "header is wrong; copy or export it again."
        )


def require_memory(shape: Sequence[int], dtype: Any, name: str, times: int = 1) -> None:
    """Raise `ReadError` where voxels that must be read at once do not fit into memory.

    Parameters
    ----------
    shape, dtype, name
        As `require_plausible`.
    times
        How often they are held.
    """
    needed, free = times * bytes_of(shape, dtype), psutil.virtual_memory().available
    if needed > free:
        raise ReadError(
            f"{name} claims {_by(shape)} voxels of {np.dtype(dtype)} to be read at once, "
            f"which takes {needed / 1e9:.3g} GB of memory; {free / 1e9:.3g} GB are free. "
            "If that is true, convert it to OME-Zarr in small chunks."
        )


def require_pieces(
    shape: Sequence[int], pieces: Sequence[int], dtype: Any, name: str
) -> None:
    """Raise `ReadError` where the pieces that voxels are stored in are too many or large.

    Parameters
    ----------
    shape, dtype
        Of all voxels.
    pieces
        Shape of a piece, as chunks, tiles and strips are; it is inflated as a whole.
    name
        Of the file.
    """
    count, size = piece_count(shape, pieces), bytes_of(pieces, dtype)
    if count > _MOST_SPECKS and size < _SPECK:
        raise ReadError(
            f"{name} claims {_by(shape)} voxels in {count:.3g} pieces of {size} bytes, too "
            "small to be read in sensible time. Store it in larger chunks."
        )
    # Each thread inflates a piece of its own.
    at_once = min(count, os.cpu_count() or 1)
    require_memory(pieces, dtype, name, at_once)


def require_inflates(codec: str, packed: bytes, size: int, name: str) -> None:
    """Raise `ReadError` where a piece would inflate far beyond what it should be.

    Parameters
    ----------
    codec
        zlib, gzip, bz2, lzma, zstd, blosc or lz4; other pieces pass.
    packed
        The piece as it is stored. Where it is damaged, that is its reader's to find.
    size
        Bytes that it should inflate to.
    name
        Of the file.
    """
    most = _WIDER * size + _PADDING
    if _inflated(codec, packed, most) > most:
        raise ReadError(
            f"{name} holds a piece that would inflate to more than {most / 1e9:.3g} GB, "
            f"but its header claims {size} bytes for it. It was not opened."
        )


def counted(inflater: Any, packed: bytes, most: int) -> int:
    """Bytes that a decompressor of zlib makes, or any number above ``most``."""
    count, rest = 0, packed
    try:
        while rest and not inflater.eof and count <= most:
            count += len(inflater.decompress(rest, _BLOCK))
            rest = inflater.unconsumed_tail
    except zlib.error:
        return 0
    return count


def read_exactly(stream: BinaryIO, shape: Sequence[int], dtype: Any, name: str) -> Any:
    """The next voxels (shape) of a stream that inflates as it is read, and no more.

    Raises
    ------
    ReadError
        Where it ends too early.
    """
    array = np.empty(tuple(shape), dtype)
    left = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    while left:
        count = stream.readinto(left[:_BLOCK])  # type: ignore[attr-defined]
        if not count:
            missing = len(left) / max(array.nbytes, 1)
            raise ReadError(
                f"{name} claims {_by(shape)} voxels of {np.dtype(dtype)}, but ends "
                f"{missing:.0%} before. It is truncated; copy or export it again."
            )
        left = left[count:]
    return array


def skip(stream: BinaryIO, count: int, name: str) -> None:
    """Pass over what lies in front of the voxels of a stream that inflates as it is read.

    Raises
    ------
    ReadError
        As `require_ahead`.
    """
    require_ahead(count, name)
    while count > 0 and (passed := len(stream.read(min(count, _BLOCK)))):
        count -= passed


def require_ahead(count: int, name: str) -> None:
    """Raise `ReadError` where more lies in front of the voxels than any header has."""
    if not 0 <= count <= MOST_AHEAD:
        raise ReadError(
            f"{name} claims {count} bytes of header in front of its voxels; expected at "
            f"most {MOST_AHEAD}. Its header is wrong; copy or export it again."
        )


def piece_count(shape: Sequence[int], pieces: Sequence[int]) -> int:
    """In how many pieces an array lies."""
    count = 1
    for length, side in zip(shape, pieces, strict=True):
        count *= -(-int(length) // max(int(side), 1))
    return count


def bytes_of(shape: Sequence[int], dtype: Any) -> int:
    """Bytes of an array, in Python's own numbers: a lying header overflows NumPy's."""
    count = 1
    for length in shape:
        count *= int(length)
    itemsize: int = np.dtype(dtype).itemsize
    return count * itemsize


def _by(shape: Sequence[int]) -> str:
    return " × ".join(str(int(length)) for length in shape)


def _inflated(codec: str, packed: bytes, most: int) -> int:
    """Bytes that a piece becomes, or any number above ``most``; nothing is kept."""
    if codec in ("zlib", "gzip"):
        if len(packed) * DEFLATED <= most:
            return 0
        # Both headers are recognised.
        return counted(zlib.decompressobj(zlib.MAX_WBITS | 32), packed, most)
    if codec == "bz2":
        return _streamed(bz2.BZ2File(io.BytesIO(packed)), most)
    if codec == "lzma":
        return _streamed(lzma.LZMAFile(io.BytesIO(packed)), most)
    if codec == "zstd":
        return _zstd_size(packed)
    # These begin with their size.
    if codec == "blosc":
        return int.from_bytes(packed[4:8], "little")
    return int.from_bytes(packed[:4], "little") if codec == "lz4" else 0


def _streamed(stream: Any, most: int) -> int:
    count = 0
    try:
        while count <= most and (block := stream.read(_BLOCK)):
            count += len(block)
    except (OSError, EOFError, lzma.LZMAError, ValueError):
        return 0
    return count


def _zstd_size(packed: bytes) -> int:
    """What a frame of Zstandard says it becomes, else the most that its blocks can.

    The layout is that of RFC 8878, section 3.1.1.
    """
    if not packed.startswith(_ZSTD_MAGIC) or len(packed) < 6:
        return 0
    about = packed[4]
    is_single = bool(about >> 5 & 1)
    at = (5 if is_single else 6) + (0, 1, 2, 4)[about & 3]
    width = (1 if is_single else 0, 2, 4, 8)[about >> 6]
    if width:
        said = int.from_bytes(packed[at : at + width], "little")
        return said + 256 if width == 2 else said
    count, is_last = 0, False
    while not is_last and at + 3 <= len(packed):
        block = int.from_bytes(packed[at : at + 3], "little")
        is_last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        count += _ZSTD_BLOCK if kind == 2 else size
        # One byte is repeated.
        at += 3 + (1 if kind == 1 else size)
    return count

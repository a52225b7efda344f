"""Framing: an envelope as a JSON header and raw array bytes on a byte stream.

A frame is the magic ``DNM1``, the header's length (4 bytes, big-endian), the header in
JSON, and the bytes of the arrays it lists, in C order and little-endian, or, for a slow
link, those bytes packed; packed masks are one of those arrays. Nothing is ever pickled, and
every length is bounded before memory is taken for it.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_dinomed.engine.messages import Envelope, from_plain, to_plain
from napari_dinomed.engine.pieces import deflate, inflate
from napari_dinomed.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"DNM1"
MAX_HEADER = 64 * 1024**2
MAX_ARRAYS = 8
MAX_ARRAY = 64 * 1024**3
_PREFIX = struct.Struct(">4sI")
# What cannot be packed grows: zstd promises by less than a 128th, and its frame.
_GROWTH, _FRAME = 128, 1024


def send(stream: BinaryIO, envelope: Envelope, packs: bool = False) -> None:
    """Write one frame and flush.

    Parameters
    ----------
    stream, envelope
        Where to, and what.
    packs
        Whether arrays are made smaller, as labels are a hundredfold.

    Raises
    ------
    EngineError
        Where the message is over the limits, or holds other than plain values; nothing
        was written then.
    """
    try:
        kind, body, arrays = to_plain(envelope.message)
    except ValueError as error:
        raise EngineError(f"A message holds what cannot be sent: {error}.") from error
    parts = [_Part.of(name, array, packs) for name, array in arrays.items()]
    header = json.dumps(
        {
            "request": envelope.request,
            "kind": kind,
            "body": body,
            "arrays": [part.entry for part in parts],
        }
    ).encode()
    if len(header) > MAX_HEADER:
        raise EngineError(
            f"A message of {len(header)} bytes is over the limit of {MAX_HEADER}. "
            "Remove some of the prompts."
        )
    stream.write(_PREFIX.pack(MAGIC, len(header)))
    stream.write(header)
    for part in parts:
        stream.write(part.data)
    stream.flush()


@dataclass(frozen=True, eq=False)
class _Part:
    """An array on its way: how the header describes it, and its bytes."""

    entry: dict[str, Any]
    data: memoryview

    @classmethod
    def of(cls, name: str, array: NDArray[Any], packs: bool) -> _Part:
        array = _little_endian(array)
        data = array.reshape(-1).view(np.uint8)
        entry: dict[str, Any] = {"name": name, "dtype": array.dtype.str}
        entry["shape"] = array.shape
        # What has one axis is bytes that were packed before: masks, and pieces of voxels.
        if packs and array.ndim > 1 and data.size:
            data = deflate(data)
            entry["packed"] = data.size
        return cls(entry, data.data)


def receive(stream: BinaryIO) -> Envelope | None:
    """Read one frame; None where the stream ended between frames.

    Raises
    ------
    EngineError
        Where the bytes are not a frame, or claim more than the limits allow.
    """
    prefix = stream.read(_PREFIX.size)
    if not prefix:
        return None
    try:
        magic, length = _PREFIX.unpack(prefix)
        if magic != MAGIC or length > MAX_HEADER:
            raise ValueError(f"a frame cannot begin with {prefix!r}")
        header = json.loads(_read_exactly(stream, length))
        arrays = _receive_arrays(stream, header["arrays"])
        message = from_plain(header["kind"], header["body"], arrays)
        return Envelope(int(header["request"]), message)
    except MemoryError as error:
        raise EngineError("A message does not fit into this machine's memory.") from error
    except OSError:
        raise
    # json, numpy and pydantic each answer a hostile frame by errors of their own.
    except Exception as error:
        raise EngineError(
            f"The engine and its client do not understand each other: {error}. "
            "Something else may be writing to the engine's output, or the two are of "
            "different versions."
        ) from error


def _receive_arrays(
    stream: BinaryIO, entries: list[dict[str, Any]]
) -> dict[str, NDArray[Any]]:
    if len(entries) > MAX_ARRAYS:
        raise ValueError(f"{len(entries)} arrays in one message")
    return {entry["name"]: _receive_array(stream, entry) for entry in entries}


def _receive_array(stream: BinaryIO, entry: dict[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(entry["dtype"])
    shape = tuple(int(length) for length in entry["shape"])
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or min(shape, default=0) < 0 or size > MAX_ARRAY:
        raise ValueError(f"an array of {dtype} and shape {shape}")
    if "packed" not in entry:
        array = np.empty(shape, dtype)
        _fill(stream, array.reshape(-1).view(np.uint8))
        return array
    length = int(entry["packed"])
    if not 0 < length <= size + size // _GROWTH + _FRAME:
        raise ValueError(f"{length} packed bytes of {size}")
    packed, array = np.empty(length, np.uint8), np.zeros(shape, dtype)
    _fill(stream, packed)
    inflate(packed, array.reshape(-1).view(np.uint8))
    return array


def _fill(stream: BinaryIO, into: NDArray[np.uint8]) -> None:
    """Read so many bytes as an array (n,) has."""
    view, filled = memoryview(into.data), 0
    while filled < len(view):
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"the stream ended after {filled} of {len(view)} bytes")
        filled += count


def _read_exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise ValueError(f"the stream ended after {len(data)} of {length} bytes")
    return data


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))

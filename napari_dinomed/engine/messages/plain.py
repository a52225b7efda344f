"""Messages as plain values, which a wire can carry: JSON, and arrays beside it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from napari_dinomed.annotation.packing import Blobs
from napari_dinomed.engine.messages.kinds import Message

_TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Message)}
# Packed masks, wherever they are nested, are sent as one array of this name.
_MASKS = "packed masks"


@dataclass(frozen=True, eq=False)
class Envelope:
    """A message and the number of the request that it belongs to."""

    request: int
    message: Message


def to_plain(message: Message) -> tuple[str, Any, dict[str, NDArray[Any]]]:
    """A message's kind, its JSON-ready values, and its arrays, packed masks among them."""
    arrays = {
        f.name: value
        for f in fields(message)
        if isinstance(value := getattr(message, f.name), np.ndarray)
    }
    kind, blobs = type(message).__name__, Blobs()
    body = _adapter(kind).dump_python(
        message, mode="json", exclude=set(arrays), context=blobs
    )
    if blobs.data:
        arrays[_MASKS] = np.frombuffer(blobs.data, dtype=np.uint8)
    return kind, body, arrays


def from_plain(kind: str, body: dict[str, Any], arrays: dict[str, Any]) -> Message:
    """The inverse of `to_plain`; raises ValueError where the values do not fit."""
    if kind not in _TYPES:
        raise ValueError(f"unknown message {kind!r}")
    values = {**body, **arrays}
    packed = values.pop(_MASKS, np.zeros(0, dtype=np.uint8))
    blobs = Blobs(bytearray(packed.tobytes()))
    message: Message = _adapter(kind).validate_python(values, context=blobs)
    return message


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[kind])

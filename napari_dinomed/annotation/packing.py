"""Packed masks inside of plain values: base64 in a file, raw bytes on the wire.

pydantic's context chooses. Without one a mask becomes text; with a `Blobs` its bytes are
put there, and the plain value says where. With a `Within`, text that claims more than a
volume has is not unpacked.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, SerializationInfo, ValidationInfo

from napari_dinomed.annotation.mask import Mask, require_claims_within


@dataclass(eq=False)
class Blobs:
    """Bytes beside a plain value.

    Parameters
    ----------
    data
        All of them, one after another.
    """

    data: bytearray = field(default_factory=bytearray)

    def put(self, part: bytes) -> list[int]:
        """Append; where it lies."""
        start = len(self.data)
        self.data += part
        return [start, len(self.data)]

    def get(self, place: list[int]) -> bytes:
        """What was put there; ValueError where that is no place in it."""
        start, stop = (int(n) for n in place)
        if not 0 <= start <= stop <= len(self.data):
            raise ValueError(f"bytes {start} to {stop} of {len(self.data)}")
        return bytes(self.data[start:stop])


@dataclass(frozen=True)
class Within:
    """The shape (z, y, x) of the volume that masks are of."""

    shape: tuple[int, int, int]


def _to_plain(mask: Mask, info: SerializationInfo) -> Any:
    data = mask.to_bytes()
    if isinstance(info.context, Blobs):
        return info.context.put(data)
    return base64.b64encode(data).decode()


def _from_plain(value: Any, info: ValidationInfo) -> Mask:
    if isinstance(value, Mask):
        return value
    if isinstance(info.context, Blobs) and isinstance(value, list):
        return Mask.from_bytes(info.context.get(value))
    if not isinstance(value, str):
        raise ValueError("expected a packed mask")
    try:
        data = base64.b64decode(value, validate=True)
        if isinstance(info.context, Within):
            require_claims_within(data, info.context.shape)
        return Mask.from_bytes(data)
    except binascii.Error as error:
        raise ValueError(f"a packed mask is damaged: {error}") from error


PackedMask = Annotated[Mask, PlainValidator(_from_plain), PlainSerializer(_to_plain)]

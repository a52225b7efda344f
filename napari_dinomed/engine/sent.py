"""Volumes that came piece by piece: kept in the cache, so that no piece is sent twice.

Each piece is believed only if its content has its name. Where the disk fails, pieces stay
in memory until the volume is open.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import psutil

from napari_dinomed.engine.messages import OpenVolume
from napari_dinomed.engine.pieces import name_of, unpack
from napari_dinomed.errors import EngineError
from napari_dinomed.features.cache import ENTRY, evict, features_folder, touch
from napari_dinomed.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import OpenSent
    from napari_dinomed.engine.pieces import Cut

    Bytes = NDArray[np.uint8]

# As `napari-dinomed cache list` calls such an entry.
_KIND = "a volume that was sent"
_NAME = re.compile(r"[0-9a-f]{32}")


class SentVolume:
    """A volume on its way.

    Parameters
    ----------
    request
        What it is.

    Raises
    ------
    EngineError
        Where its pieces are not those of its layout, or there is no room for it.
    """

    def __init__(self, request: OpenSent) -> None:
        self._request, self._layout = request, request.layout
        _require_room(self._layout.nbytes)
        self._cuts = tuple(self._layout.cuts())
        names = request.pieces
        if len(names) != len(self._cuts) or not all(map(_NAME.fullmatch, names)):
            raise EngineError("The pieces of a volume are not those of its layout.")
        self._folder = features_folder() / _digest(request)
        self._held: dict[int, Bytes] = {}

    def is_of(self, request: OpenSent) -> bool:
        """Whether the same voxels are announced once more."""
        return _digest(self._request) == _digest(request)

    def lacking(self) -> tuple[int, ...]:
        """Indices of the pieces that are not here."""
        here = {path.name for path in self._files()}
        wanted = enumerate(self._request.pieces)
        return tuple(n for n, name in wanted if name not in here and n not in self._held)

    def keep(self, index: int, packed: Bytes) -> None:
        """Take a piece; EngineError where it is not what was announced."""
        if not 0 <= index < len(self._cuts):
            raise EngineError(f"A volume of {len(self._cuts)} pieces has none {index}.")
        if self._whole(index, packed) is None:
            raise EngineError("A piece of the volume arrived damaged.")
        try:
            self._make_folder()
            aside = self._folder / f"{uuid4().hex}.partial"
            aside.write_bytes(packed.data)
            aside.replace(self._folder / self._request.pieces[index])
        except OSError:
            self._held[index] = packed

    def assembled(self) -> Iterator[OpenVolume | None]:
        """Put it together piece by piece; last comes the volume, or nothing.

        What was damaged is deleted, and lacks from then on.
        """
        layout = self._layout
        images = [np.empty(layout.shape, dtype) for dtype in layout.dtypes]
        is_whole = True
        for index, cut in enumerate(self._cuts):
            raw = self._read(index)
            if raw is None:
                is_whole = False
                continue
            _bytes_of(images[cut.image], cut)[cut.first : cut.last] = raw
            yield None
        if is_whole:
            touch(self._folder)
            yield self._opening(images)

    def _opening(self, images: list[NDArray[Any]]) -> OpenVolume:
        request = self._request
        opening = OpenVolume(request.volume, images[0], request.geometry, request.modality)
        if not self._layout.others:
            return opening
        return replace(opening, others=np.stack(images[1:]))

    def _read(self, index: int) -> Bytes | None:
        """The bytes of a piece; None where it is missing or damaged."""
        path = self._folder / self._request.pieces[index]
        packed = self._held.get(index)
        try:
            if packed is None and not path.is_symlink():
                packed = np.fromfile(path, np.uint8)
        except OSError:
            return None
        raw = None if packed is None else self._whole(index, packed)
        if raw is None:
            self._held.pop(index, None)
            with suppress(OSError):
                path.unlink()
        return raw

    def _whole(self, index: int, packed: Bytes) -> Bytes | None:
        """What a piece holds; None where that is not what it is named after."""
        cut = self._cuts[index]
        itemsize = self._layout.dtypes[cut.image].itemsize
        try:
            raw = unpack(packed, itemsize, cut.last - cut.first)
        except ValueError:
            return None
        return raw if name_of(raw) == self._request.pieces[index] else None

    def _files(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as entries:
                return list(entries)
        except OSError:
            return []

    def _make_folder(self) -> None:
        """A folder of the cache, for its owner alone: voxels are a patient's."""
        if self._folder.exists():
            return
        evict(load_settings().cache_limit - self._layout.nbytes)
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        entry = {"encoder": _KIND, "shape": self._layout.shape}
        (self._folder / ENTRY).write_text(json.dumps(entry), encoding="utf-8")


def _bytes_of(image: NDArray[Any], cut: Cut) -> Bytes:
    return image[cut.start : cut.stop].reshape(-1).view(np.uint8)


def _digest(request: OpenSent) -> str:
    """By which a volume is found again, whatever it was called."""
    known = repr((request.layout, request.pieces)).encode()
    return hashlib.blake2b(known, digest_size=16).hexdigest()


def _require_room(size: int) -> None:
    free = psutil.virtual_memory().available
    if size > free:
        raise EngineError(
            f"The volume takes {size / 1e9:.3g} GB of memory, of which {free / 1e9:.3g} GB "
            "are free where the engine computes. Open a coarser level of it, or a part."
        )

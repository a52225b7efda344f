"""Computed tokens on disk: found again by signature, checked when read, bounded in size."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec

from napari_dinomed.errors import CacheError
from napari_dinomed.settings import cache_folder, load_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.features.stack import SlicePlan
    from napari_dinomed.volume import Volume, Window

_ENTRY = "entry.json"
_TOKENS = "tokens"


@dataclass(frozen=True)
class CacheEntry:
    """Features of one volume on disk.

    Parameters
    ----------
    folder
        Where they lie.
    encoder
        Name of the encoder.
    shape
        Slices, channels, rows, columns.
    size
        Bytes on disk.
    used
        When they were last used, in seconds since 1970.
    """

    folder: Path
    encoder: str
    shape: tuple[int, ...]
    size: int
    used: float


def feature_signature(
    volume: Volume, window: Window, plan: SlicePlan, encoder: Encoder
) -> str:
    """Hash of everything that the tokens depend on: voxels, window, plan, weights."""
    parts = (volume.fingerprint, window.low, window.high, plan, encoder.signature)
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
    for other in volume.others:
        digest.update(np.ascontiguousarray(other).data)
    return digest.hexdigest()


class FeatureStore:
    """Tokens of one volume: half precision, one checksummed chunk per slice.

    Parameters
    ----------
    folder
        Folder of this signature; made if it is not there.
    shape
        Slices, channels, rows, columns.
    encoder
        Name shown in the list of cached features.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, int, int, int], encoder: str
    ) -> None:
        self.folder = folder
        self.shape = shape
        try:
            self._array = self._open(encoder)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        _touch(folder)

    @classmethod
    def for_signature(
        cls, signature: str, shape: tuple[int, int, int, int], encoder: str
    ) -> FeatureStore:
        """The store of a signature in the cache folder, after making room for it."""
        root = cache_folder() / "features"
        needed = int(np.prod(shape, dtype=np.int64)) * 2
        if not (root / signature).exists():
            evict(load_settings().cache_limit - needed)
        return cls(root / signature, shape, encoder)

    def write(self, start: int, tokens: NDArray[np.float16]) -> None:
        """Keep the tokens (slices, channels, rows, columns) from slice ``start`` on.

        Raises
        ------
        CacheError
            Where there is no space left or the folder cannot be written.
        """
        try:
            self._array[start : start + len(tokens)] = tokens
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def read(self, index: int) -> NDArray[np.float16] | None:
        """Tokens (channels, rows, columns) of a slice; None where missing or damaged."""
        if not self._chunk(index).is_file():
            return None
        try:
            tokens = np.asarray(self._array[index])
        except (OSError, ValueError):
            self._chunk(index).unlink(missing_ok=True)
            return None
        return None if np.isnan(tokens).any() else tokens

    def _chunk(self, index: int) -> Path:
        return self.folder / _TOKENS / "c" / str(index) / "0" / "0" / "0"

    def _open(self, encoder: str) -> zarr.Array:
        if (array := self._found()) is not None:
            return array
        shutil.rmtree(self.folder, ignore_errors=True)
        # Made aside and moved: another process may be making the same one just now.
        aside = self.folder.with_name(f"{self.folder.name}-{uuid4().hex}")
        try:
            aside.mkdir(parents=True)
            self._make(aside, encoder)
            aside.rename(self.folder)
        except OSError:
            if (array := self._found()) is None:
                raise
            return array
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return zarr.open_array(self.folder / _TOKENS, mode="r+")

    def _found(self) -> zarr.Array | None:
        try:
            array = zarr.open_array(self.folder / _TOKENS, mode="r+")
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return array if array.shape == self.shape else None

    def _make(self, folder: Path, encoder: str) -> None:
        (folder / _ENTRY).write_text(
            json.dumps({"encoder": encoder, "shape": self.shape}), encoding="utf-8"
        )
        zarr.create_array(
            folder / _TOKENS,
            shape=self.shape,
            chunks=(1, *self.shape[1:]),
            dtype="float16",
            fill_value=np.nan,
            serializer=BytesCodec(),
            compressors=[Crc32cCodec()],
        )


def list_entries() -> list[CacheEntry]:
    """What the cache holds, least recently used first."""
    root = cache_folder() / "features"
    folders = [path for path in root.glob("*") if path.is_dir()]
    return sorted((_entry(folder) for folder in folders), key=lambda entry: entry.used)


def clear() -> int:
    """Delete everything in the cache; return the bytes freed."""
    freed = sum(entry.size for entry in list_entries())
    shutil.rmtree(cache_folder() / "features", ignore_errors=True)
    return freed


def evict(limit: int) -> None:
    """Delete the least recently used features until at most ``limit`` bytes remain."""
    entries = list_entries()
    size = sum(entry.size for entry in entries)
    for entry in entries:
        if size <= limit:
            return
        shutil.rmtree(entry.folder, ignore_errors=True)
        size -= entry.size


def _entry(folder: Path) -> CacheEntry:
    try:
        values = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = {"encoder": "damaged", "shape": []}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return CacheEntry(
        folder,
        values["encoder"],
        tuple(values["shape"]),
        size,
        folder.stat().st_mtime,
    )


def _touch(folder: Path) -> None:
    now = time.time()
    os.utime(folder, (now, now))


def _cannot_write(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        f"The feature cache {folder.parent} cannot be written: "
        f"{error.strerror or error}. Free some space, run 'napari-dinomed cache clear', "
        "or point NAPARI_DINOMED_HOME at a folder with room."
    )

"""Computed tokens on disk: found again by signature, checked when read, bounded in size.

The disk is a help, not a need: where it fails, tokens stay in memory, and that is said.
What lies in the cache is believed only as far as it is what this module would have written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import zarr
from filelock import FileLock, Timeout
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.storage import MemoryStore

from napari_dinomed.features.cache import (
    ENTRY,
    everything_in,
    evict,
    features_folder,
    remove,
    touch,
)
from napari_dinomed.settings import load_settings
from napari_dinomed.small_file import read_small_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.features.encoder import Encoder, Notice
    from napari_dinomed.features.stack import SlicePlan
    from napari_dinomed.volume import Volume, Window

# Part of every signature: programs that lay tokens out otherwise do not meet.
_LAYOUT = 1
_TOKENS = "tokens"
_HELD = ".held"
_PARTIAL = ".partial"
_CHECKSUM_BYTES = 4
# Another process may evict or make an entry between two steps of this one: again, so often.
_TRIES = 10
_MEANWHILE = (errno.ENOTEMPTY, errno.EEXIST)


def feature_signature(
    volume: Volume, window: Window, plan: SlicePlan, encoder: Encoder
) -> str:
    """Hash of everything that the tokens depend on: voxels, window, plan, weights."""
    known = (volume.fingerprint, window.low, window.high, plan, encoder.signature)
    digest = hashlib.blake2b(repr((_LAYOUT, *known)).encode(), digest_size=16)
    for other in volume.others:
        digest.update(np.ascontiguousarray(other).data)
    return digest.hexdigest()


def slices_kept(signature: str, shape: tuple[int, int, int]) -> int:
    """How many slices' tokens (channels, rows, columns) are on disk; touches nothing."""
    folder = features_folder() / signature / _TOKENS / "c"
    length = 2 * int(np.prod(shape, dtype=np.int64)) + _CHECKSUM_BYTES
    try:
        chunks = [slice_ / "0" / "0" / "0" for slice_ in folder.iterdir()]
        return sum(chunk.is_file() and chunk.stat().st_size == length for chunk in chunks)
    except OSError:
        return 0


class FeatureStore:
    """Tokens of one volume: half precision, one checksummed chunk per slice.

    Nothing here fails: what cannot be kept is computed again.

    Parameters
    ----------
    folder
        Folder of this signature; made if it is not there.
    shape
        Slices, channels, rows, columns.
    encoder
        Name shown in the list of cached features.
    notice
        Told why nothing can be kept, where that is so.
    keeps
        Whether anything is.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int, int, int],
        encoder: str,
        notice: Notice,
        keeps: bool = True,
    ) -> None:
        self.folder = folder
        self.shape = shape
        self._encoder = encoder
        self._notice = notice
        self._array: zarr.Array | None = None
        self._held: FileLock | None = None
        if keeps:
            self._attempt(self._open)

    @classmethod
    def for_signature(
        cls,
        signature: str,
        shape: tuple[int, int, int, int],
        encoder: str,
        notice: Notice,
    ) -> FeatureStore:
        """The store of a signature in the cache folder, after making room for it.

        What is larger than the whole cache may be is not kept.
        """
        root = features_folder()
        needed = int(np.prod(shape, dtype=np.int64)) * 2
        limit = load_settings().cache_limit
        if os.path.lexists(root / signature):
            return cls(root / signature, shape, encoder, notice)
        if needed <= limit:
            evict(limit - needed)
        return cls(root / signature, shape, encoder, notice, needed <= limit)

    def write(self, start: int, tokens: NDArray[np.float16]) -> None:
        """Keep the tokens (slices, channels, rows, columns) from slice ``start`` on.

        Where there is no space left, or the folder cannot be written, no more are kept.
        """
        if self._array is not None:
            self._attempt(lambda: self._put(start, tokens))

    def read(self, index: int) -> NDArray[np.float16] | None:
        """Tokens (channels, rows, columns) of a slice; None where missing or damaged."""
        if self._array is None or not self._is_whole(self._chunk(index)):
            return None
        try:
            tokens = np.asarray(self._array[index])
        except (OSError, ValueError):
            with suppress(OSError):
                self._chunk(index).unlink()
            return None
        return None if np.isnan(tokens).any() else tokens

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do something on the disk; where that fails, go on without it, and say so."""
        for left in reversed(range(_TRIES)):
            try:
                work()
            except OSError as error:
                is_gone = isinstance(error, FileNotFoundError)
                if left and (is_gone or error.errno in _MEANWHILE):
                    continue
                self._array = None
                self._notice(_cannot_write(self.folder, error))
            return

    def _put(self, start: int, tokens: NDArray[np.float16]) -> None:
        if not (self.folder / _TOKENS / "zarr.json").exists():
            self._open()
        assert self._array is not None
        self._array[start : start + len(tokens)] = tokens
        touch(self.folder)

    def _chunk(self, index: int) -> Path:
        return self.folder / _TOKENS / "c" / str(index) / "0" / "0" / "0"

    def _is_whole(self, chunk: Path) -> bool:
        """Whether a chunk is a file of the right length, so that reading it is safe."""
        length = 2 * int(np.prod(self.shape[1:], dtype=np.int64)) + _CHECKSUM_BYTES
        try:
            found = chunk.lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == length

    def _open(self) -> None:
        array = self._found()
        self._array = self._made() if array is None else array
        self._hold()
        touch(self.folder)

    def _made(self) -> zarr.Array:
        remove(self.folder)
        # Made aside and moved: another process may be making the same one just now.
        aside = self.folder.with_name(f"{self.folder.name}-{uuid4().hex}")
        try:
            aside.mkdir(parents=True)
            entry = {"encoder": self._encoder, "shape": self.shape}
            (aside / ENTRY).write_text(json.dumps(entry), encoding="utf-8")
            _create(aside / _TOKENS, self.shape)
            aside.rename(self.folder)
        except OSError:
            if (array := self._found()) is None:
                raise
            return array
        finally:
            remove(aside)
        return _open_array(self.folder)

    def _found(self) -> zarr.Array | None:
        """What is there, if it is laid out as it would be now, without a link in it."""
        if self.folder.is_symlink() or any(
            path.is_symlink() for path in everything_in(self.folder)
        ):
            return None
        try:
            layout = read_small_json(self.folder / _TOKENS / "zarr.json")
        except (OSError, ValueError):
            return None
        if layout != _layout(self.shape):
            return None
        try:
            return _open_array(self.folder)
        except FileNotFoundError:
            return None

    def _hold(self) -> None:
        """Say that this process writes here; sweep what the dead left half-written."""
        others = [path for path in everything_in(self.folder) if path.suffix == _HELD]
        if all(_is_let_go(path) for path in others):
            for path in everything_in(self.folder):
                if path.suffix in (_HELD, _PARTIAL):
                    with suppress(OSError):
                        path.unlink()
        # The system lets go of it when this process dies.
        held = FileLock(self.folder / f"{uuid4().hex}{_HELD}", thread_local=False)
        with suppress(OSError, NotImplementedError, Timeout):
            held.acquire(timeout=0)
            self._held = held


def _is_let_go(path: Path) -> bool:
    """Whether no living process holds a lock; where that cannot be told, it does."""
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (OSError, NotImplementedError, Timeout):
        return False
    lock.release()
    return True


def _create(place: Path | MemoryStore, shape: tuple[int, int, int, int]) -> None:
    zarr.create_array(
        place,
        shape=shape,
        chunks=(1, *shape[1:]),
        dtype="float16",
        fill_value=np.nan,
        serializer=BytesCodec(),
        compressors=[Crc32cCodec()],
    )


def _layout(shape: tuple[int, int, int, int]) -> Any:
    """How tokens of a shape are described where this program writes them."""
    written: dict[str, Any] = {}
    _create(MemoryStore(written), shape)
    return json.loads(written["zarr.json"].to_bytes())


def _open_array(folder: Path) -> zarr.Array:
    return zarr.open_array(folder / _TOKENS, mode="r+", zarr_format=3)


def _cannot_write(folder: Path, error: OSError) -> str:
    return (
        f"The feature cache {folder.parent} cannot be written: {error.strerror or error}. "
        "Features stay in memory, and are computed again next time. Free some space, run "
        "'napari-dinomed cache clear', or point NAPARI_DINOMED_HOME at a folder with room."
    )

"""Zarr stores, on disk or far away, that are read with care.

Links may not lead out of a store, and no chunk is inflated beyond what its array claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zarr.storage import FsspecStore, LocalStore, WrapperStore

from napari_dinomed.errors import ReadError
from napari_dinomed.io.claims import bytes_of, require_inflates, require_pieces
from napari_dinomed.io.source import Source, require_regular


@dataclass(frozen=True)
class _Packing:
    """How the chunks of an array are compressed, and bytes of one that is not."""

    codec: str
    size: int


def open_root(source: Source) -> Any:
    """The root group or array of a store.

    Raises
    ------
    ReadError
        Once something is read that lies elsewhere, or claims what it cannot be.
    """
    import zarr

    if source.url:
        far = FsspecStore.from_url(source.url, read_only=True)
        return zarr.open(_Careful(far, source.name), mode="r")
    root = source.path.resolve()
    store = _Careful(LocalStore(root, read_only=True), source.name, root)
    return zarr.open(store, mode="r")


def watch(array: Any, name: str) -> None:
    """Have the chunks of an array of `open_root` checked before they are inflated.

    Raises
    ------
    ReadError
        Where the chunks that it claims are too many or too large.
    """
    require_pieces(array.shape, array.chunks, array.dtype, name)
    named = [n for n in map(_codec_name, array.compressors) if n != "crc32c"]
    packing = _Packing(named[-1] if named else "", bytes_of(array.chunks, array.dtype))
    array.store.packings[array.path] = packing


def _codec_name(codec: Any) -> str:
    """What zarr or numcodecs call a codec."""
    name = getattr(codec, "codec_id", None) or codec.to_dict()["name"]
    return str(name).removeprefix("numcodecs.")


class _Careful(WrapperStore[Any]):  # type: ignore[misc]
    """A store that looks at what it hands out."""

    def __init__(self, store: Any, name: str = "", root: Path | None = None) -> None:
        super().__init__(store)
        self.packings: dict[str, _Packing] = {}
        self._name, self._root = name, root

    def _with_store(self, store: Any) -> _Careful:
        other = _Careful(store, self._name, self._root)
        other.packings = self.packings
        return other

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """The bytes of a chunk, or of a file of metadata."""
        if self._root is not None:
            self._require_own(key, self._root)
        found = await super().get(key, *args, **options)
        packing = self._packing(key)
        if found is not None and packing is not None:
            require_inflates(packing.codec, found.to_bytes(), packing.size, self._name)
        return found

    def _require_own(self, key: str, root: Path) -> None:
        require_regular(root / key)
        if not (root / key).resolve().is_relative_to(root):
            raise ReadError(
                f"{key} in {self._name} is a link to a place outside of it. Copy the "
                "store with its links resolved and open the copy."
            )

    def _packing(self, key: str) -> _Packing | None:
        """Of the array that a chunk is of; None for metadata."""
        if key.endswith(("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")):
            return None
        paths = (path for path in self.packings if not path or key.startswith(f"{path}/"))
        return self.packings.get(max(paths, key=len, default=""))

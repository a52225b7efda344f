"""NumPy's own files, which know nothing of voxel sizes."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io.claims import RAW, require_memory, require_plausible
from napari_dinomed.io.format import (
    Contents,
    Format,
    Part,
    drop_ones,
    picked_key,
    spaced,
    take_frame,
)
from napari_dinomed.io.pieces import lazy_if_large
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinomed.io.format import Pick
    from napari_dinomed.io.source import Source


class Npy(Format):
    """An array in ``.npy``, or one of several in ``.npz``; never unpickled."""

    name = "NumPy"
    suffixes = (".npy", ".npz")
    has_parts = True

    def sniff(self, head: bytes) -> bool:
        """Only .npy has a magic of its own; .npz is a zip."""
        return head.startswith(b"\x93NUMPY")

    def contents(self, source: Source) -> Contents:
        """Arrays of an archive with at least two axes, and frames."""
        arrays = _arrays(source.path)
        parts = tuple(Part(key, f"{key} {shape}") for key, shape in arrays.items())
        lengths = [shape[0] for shape in arrays.values() if len(shape) == 4]
        frames = lengths[0] if len(parts) == 1 and lengths else 1
        return Contents(parts if len(parts) > 1 else (), frames)

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read an array; a voxel counts as a pixel."""
        arrays = _arrays(source.path)
        if not arrays:
            raise ReadError(f"{source.name} holds no array with two axes or more.")
        array = _load(source.path, picked_key(list(arrays), pick, source.name))
        array = take_frame(drop_ones(array), pick.frame, source.name)
        return spaced(array, (1.0, 1.0, 1.0), "px")


def _arrays(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes; a lone array has the name of its file."""
    if not zipfile.is_zipfile(path):
        return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False).shape}
    found = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".npy"):
                with archive.open(entry) as file:
                    version = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = read(file)
                if len(shape) > 1:
                    # Python's own archives may be packed by bzip2 or LZMA, too.
                    require_plausible(shape, dtype, path.name, entry.file_size, RAW)
                    require_memory(shape, dtype, path.name)
                    found[entry.filename.removesuffix(".npy")] = shape
    return found


def _load(path: Path, key: str) -> Any:
    if not zipfile.is_zipfile(path):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        return lazy_if_large(mapped, path.name, Npy.name)
    with np.load(path, allow_pickle=False) as archive:
        return archive[key]

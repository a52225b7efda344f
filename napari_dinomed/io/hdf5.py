"""HDF5 as ilastik, Fiji and others write it, through h5py."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io.claims import require_inflates, require_pieces, require_plausible
from napari_dinomed.io.format import (
    Contents,
    Format,
    Part,
    picked_key,
    spaced,
    take_picked,
)
from napari_dinomed.io.pieces import lazy_if_large
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from napari_dinomed.io.format import Pick
    from napari_dinomed.io.source import Source

Spacing = tuple[tuple[float, float, float], str]

_CHANNELS = 4
# Bytes of a compressed chunk: what it becomes is no danger.
_SMALL = 2**16
# Attributes in which programs keep the size of a voxel (z, y, x), and its unit.
_SIZES = {"element_size_um": "µm", "resolution": "nm", "voxel_size": "nm"}


class Hdf5(Format):
    """A dataset of an HDF5 file."""

    name = "HDF5"
    suffixes = (".ilp.h5", ".hdf5", ".h5", ".hdf", ".n5.h5")
    has_parts = True

    def sniff(self, head: bytes) -> bool:
        """HDF5's signature."""
        return head.startswith(b"\x89HDF\r\n\x1a\n")

    def contents(self, source: Source) -> Contents:
        """Datasets of numbers with two axes or more, and their frames and channels."""
        with h5py.File(source.path, "r") as file:
            datasets = _datasets(file)
            parts = tuple(Part(d.name, f"{d.name} {d.shape}") for d in datasets)
            if len(parts) != 1:
                return Contents(parts)
            lengths = dict(zip(_axes(datasets[0]), datasets[0].shape, strict=True))
        return Contents(frames=lengths.get("t", 1), channels=lengths.get("c", 1))

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read a dataset with the voxel size that its attributes give."""
        # Where the dataset is large the file stays open for as long as it is read from.
        file = h5py.File(source.path, "r")
        dataset = _find(file, pick, source.name)
        axes, (spacing, unit) = _axes(dataset), _spacing(dataset)
        if dataset.chunks is None:
            size = source.path.stat().st_size
            require_plausible(dataset.shape, dataset.dtype, source.name, size)
            array = lazy_if_large(dataset, source.name, self.name)
        else:
            require_pieces(dataset.shape, dataset.chunks, dataset.dtype, source.name)
            chunked = _Chunked(dataset, source.name)
            array = lazy_if_large(chunked, source.name, self.name, dataset.chunks)
        array = take_picked(array, axes, pick, source.name)
        if isinstance(array, np.ndarray):
            file.close()
        return spaced(array, spacing, unit)


class _Chunked:
    """A dataset in chunks, none of which is inflated beyond what it should be."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.shape, self.dtype = dataset.shape, dataset.dtype
        self._dataset, self._name = dataset, name

    def __getitem__(self, key: Any) -> Any:
        if key is not Ellipsis:
            return self._part(key)
        # The library keeps something for each chunk of what is read at once.
        whole, thickness = np.empty(self.shape, self.dtype), self._dataset.chunks[0]
        for start in range(0, self.shape[0], thickness):
            part = (slice(start, start + thickness), *(slice(0, n) for n in self.shape[1:]))
            whole[part] = self._part(part)
        return whole

    def _part(self, slices: tuple[slice, ...]) -> Any:
        chunks = self._dataset.chunks
        if self._dataset.compression == "gzip":
            size = int(np.prod(chunks)) * self.dtype.itemsize
            sides = zip(slices, self.shape, chunks, strict=True)
            corners = [
                range(s.start // side * side, min(s.stop, n), side) for s, n, side in sides
            ]
            for corner in product(*corners):
                self._require_inflates(corner, size)
        return self._dataset[slices]

    def _require_inflates(self, corner: tuple[int, ...], size: int) -> None:
        place = self._dataset.id
        stored = place.get_chunk_info_by_coord(corner)
        # So small a chunk cannot become large.
        if stored.byte_offset is not None and stored.size > _SMALL:
            _, packed = place.read_direct_chunk(corner)
            require_inflates("zlib", packed, size, self._name)


def _datasets(file: h5py.File) -> list[Any]:
    found = []

    def visit(_: str, item: Any) -> None:
        is_array = isinstance(item, h5py.Dataset) and len(item.shape or ()) > 1
        if is_array and item.dtype.kind in "iufb":
            found.append(item)

    file.visititems(visit)
    return found


def _find(file: h5py.File, pick: Pick, name: str) -> Any:
    datasets = _datasets(file)
    if not datasets:
        raise ReadError(f"{name} holds no dataset of numbers with two axes or more.")
    return file[picked_key([d.name for d in datasets], pick, name)]


def _axes(dataset: Any) -> str:
    """Letters of the axes: as ilastik tags them, else by their number and length."""
    tags = dataset.attrs.get("axistags")
    if tags is not None:
        return "".join(axis["key"] for axis in json.loads(tags)["axes"])
    axes = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}.get(dataset.ndim, "?")
    if dataset.ndim == 4:
        if dataset.shape[-1] <= _CHANNELS:
            return "zyxc"
        return "czyx" if dataset.shape[0] <= _CHANNELS else "tzyx"
    return axes.rjust(dataset.ndim, "?")


def _spacing(dataset: Any) -> Spacing:
    for name, unit in _SIZES.items():
        sizes = np.ravel(dataset.attrs.get(name, ()))
        if len(sizes) == 3 and np.isfinite(sizes).all() and sizes.min() > 0:
            return (float(sizes[0]), float(sizes[1]), float(sizes[2])), unit
    return (1.0, 1.0, 1.0), "px"

"""OME-Zarr 0.4 and 0.5, on disk or far away, through zarr and ome-zarr."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_dinomed.errors import ReadError, VolumeError, WriteError
from napari_dinomed.io.atomic import replacing_folder
from napari_dinomed.io.format import (
    Contents,
    Format,
    Origin,
    Part,
    placed,
    require_upright,
    take_picked,
)
from napari_dinomed.io.guard import is_same
from napari_dinomed.io.label_values import as_labels, unnamed
from napari_dinomed.io.ome_zarr_labels import (
    UNITS,
    attributes_of,
    group_format,
    is_empty,
    list_label,
    require_empty,
    require_labels,
    require_replaceable,
    start_labels,
    write_pyramid,
)
from napari_dinomed.io.pieces import is_large, lazy
from napari_dinomed.io.zarr_store import open_root, watch
from napari_dinomed.volume import NamedLabel, Volume
from napari_dinomed.volume.volume import BYTES_PER_VOXEL

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

_MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_LABEL_NAME = "dinomed"


@dataclass(frozen=True, eq=False)
class PyramidLevel:
    """An array of a pyramid.

    Parameters
    ----------
    key
        Its path in the store.
    array
        The zarr array.
    axes
        A letter for each axis.
    scale, translation
        Of the axes z, y, x, in ``unit``.
    unit
        Of length.
    """

    key: str
    array: Any
    axes: str
    scale: tuple[float, float, float]
    translation: tuple[float, float, float]
    unit: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the axes of space."""
        return tuple(
            n for n, axis in zip(self.array.shape, self.axes, strict=True) if axis in "zyx"
        )

    @property
    def title(self) -> str:
        """What a user picks it by."""
        size = " × ".join(str(n) for n in self.shape)
        spacing = " × ".join(f"{s:.4g}" for s in self.scale[-len(self.shape) :])
        gigabytes = np.prod(self.shape, dtype=float) * self.array.dtype.itemsize / 1e9
        return f"{self.key or 'array'}: {size} at {spacing} {self.unit}, {gigabytes:.3g} GB"


@dataclass(frozen=True)
class OmeZarrHeader:
    """Where a volume came from, so that labels go into the same store."""

    root: Path
    version: str


class OmeZarr(Format):
    """Pyramids; the level to work on is the finest that memory allows."""

    name = "OME-Zarr"
    suffixes = (".ome.zarr", ".zarr")
    writes = (".zarr",)
    has_parts = True

    def sniff_folder(self, folder: Path) -> bool:
        """Whether the metadata of Zarr 2 or 3 lie in it."""
        return any((folder / mark).is_file() for mark in _MARKS)

    def contents(self, source: Source) -> Contents:
        """Levels, time points and channels."""
        levels = levels_of(source)
        lengths = dict(zip(levels[0].axes, levels[0].array.shape, strict=True))
        parts = tuple(Part(level.key, level.title) for level in levels)
        return Contents(
            parts if len(parts) > 1 else (),
            lengths.get("t", 1),
            lengths.get("c", 1),
            is_settled=True,
        )

    def read(self, source: Source, pick: Pick) -> Volume:
        """Open a level; where it is large, voxels are read when they are needed."""
        levels = levels_of(source)
        level, notes = _choose(levels, pick.part, source.name)
        volume = self.opened(source, level, pick)
        if not is_large(volume.array):
            volume = replace(volume, array=volume.array.compute())
        return replace(volume, notes=notes)

    def opened(self, source: Source, level: PyramidLevel, pick: Pick) -> Volume:
        """A level whose voxels are read when they are needed."""
        watch(level.array, source.name)
        array = lazy(level.array, source.name, self.name, level.array.chunks)
        array = take_picked(array, level.axes, pick, source.name)
        matrix = np.zeros((4, 4))
        matrix[[2, 1, 0], [0, 1, 2]] = level.scale
        matrix[[2, 1, 0], 3] = level.translation
        matrix[3, 3] = 1.0
        volume = placed(array, matrix, level.unit, False, source.name)
        header, legend = None, None
        if source.paths:
            attributes, version = attributes_of(open_root(source))
            header = OmeZarrHeader(source.path, version)
            legend = _legend(attributes)
        volume = replace(
            volume,
            header=header,
            origin=Origin(source, replace(pick, part=level.key)),
        )
        return volume if legend is None else as_labels(volume, legend)

    def is_label_place(self, path: Path) -> bool:
        """Whether a path is that of labels in a store: ``image.zarr/labels/NAME``."""
        store = path.parent.parent
        is_store = store.suffix == ".zarr" or self.sniff_folder(store)
        return path.parent.name == "labels" and is_store

    def place(self, path: Path, source: Volume) -> Path:
        """The group that the labels go into, which may be there only if it is our own.

        ``image.zarr`` that the volume came from gets the labels ``dinomed``.
        """
        header = source.header if isinstance(source.header, OmeZarrHeader) else None
        if header is not None and is_same(path, header.root):
            path = path / "labels" / _LABEL_NAME
        if self.is_label_place(path):
            require_labels(path.parent)
        require_replaceable(path)
        return path

    def is_room(self, place: Path, source: Volume) -> bool:
        """Whether a place is among the labels of the store that the volume came from."""
        header = source.header if isinstance(source.header, OmeZarrHeader) else None
        labels = place.resolve().parent
        return (
            header is not None
            and labels.name == "labels"
            and is_same(labels.parent, header.root)
        )

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write labels into the image's own store, or a store of their own.

        ``image.zarr`` that the volume came from gets the labels ``dinomed``;
        ``image.zarr/labels/NAME`` gets others; any other name is a new store.
        """
        if legend is None:
            raise WriteError(f"Only labels are written as OME-Zarr, not {path.name}.")
        header = source.header if isinstance(source.header, OmeZarrHeader) else None
        voxels = source.geometry.to_file_order(array)
        require_upright(source.geometry.file_affine, path.name)
        place = self.place(path, source)
        labels = place.parent
        if not self.is_label_place(place):
            version = header.version if header is not None else "0.5"
            with replacing_folder(place, require_replaceable) as temporary:
                write_pyramid(temporary, voxels, source.geometry, legend, version)
            return
        version = "0.4" if group_format(labels.parent) == 2 else "0.5"
        if is_empty(labels):
            # All at once: a store has no labels, or these.
            with replacing_folder(labels, require_empty) as temporary:
                start_labels(temporary, version)
                inner = temporary / place.name
                write_pyramid(inner, voxels, source.geometry, legend, version)
                list_label(temporary, place.name, version)
            return
        with replacing_folder(place, require_replaceable) as temporary:
            write_pyramid(temporary, voxels, source.geometry, legend, version)
        list_label(labels, place.name, version)


def levels_of(source: Source) -> list[PyramidLevel]:
    """All arrays of all images in a store, each image's finest first."""
    import zarr

    root = open_root(source)
    if isinstance(root, zarr.Array):
        return [_plain(root)]
    attributes, _ = attributes_of(root)
    if "multiscales" in attributes:
        return _pyramid(root, attributes, "")
    images = []
    for name, group in sorted(root.groups(), key=lambda member: str(member[0])):
        inner, _ = attributes_of(group)
        if "multiscales" in inner:
            images.extend(_pyramid(group, inner, f"{name}/"))
    arrays = [_plain(array, name) for name, array in sorted(root.arrays())]
    found = images or [a for a in arrays if a.array.ndim > 1]
    if not found:
        raise ReadError(
            f"{source} is a Zarr store without an image: no multiscales and no arrays. "
            "Open the image inside it (of a plate: one field)."
        )
    return found


def _plain(array: Any, key: str = "") -> PyramidLevel:
    axes = "tczyx"[-array.ndim :] if array.ndim <= 5 else "?" * array.ndim
    return PyramidLevel(key, array, axes, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "px")


def _pyramid(group: Any, attributes: dict[str, Any], prefix: str) -> list[PyramidLevel]:
    scales = attributes["multiscales"][0]
    given = scales.get("axes") or list("tczyx")
    axes = [a if isinstance(a, str) else a["name"] for a in given]
    units = {a["name"]: a.get("unit") for a in given if not isinstance(a, str)}
    unit, factor = UNITS.get(str(units.get("x")), ("px", 1.0))
    common = scales.get("coordinateTransformations") or []
    levels = []
    for dataset in scales["datasets"]:
        array = group[dataset["path"]]
        own = dataset.get("coordinateTransformations") or []
        scale, translation = np.ones(len(axes)), np.zeros(len(axes))
        for transform in (*own, *common):
            by = np.array(transform.get("scale", np.ones(len(axes))), dtype=float)
            scale, translation = scale * by, translation * by
            translation = translation + np.array(transform.get("translation", 0.0))
        place = dict(zip(axes, zip(scale, translation, strict=True), strict=True))
        sizes = [place.get(axis, (1.0, 0.0)) for axis in "zyx"]
        if not all(np.isfinite(s) and s > 0 for s, _ in sizes):
            raise ReadError(
                f"{prefix}{dataset['path']} gives its voxels the sizes "
                f"{[float(s) for s, _ in sizes]}; expected numbers above 0."
            )
        z, y, x = ((float(s) * factor, float(t) * factor) for s, t in sizes)
        levels.append(
            PyramidLevel(
                prefix + dataset["path"],
                array,
                "".join(axes),
                (z[0], y[0], x[0]),
                (z[1], y[1], x[1]),
                unit,
            )
        )
    return levels


def _choose(
    levels: list[PyramidLevel], part: str | None, name: str
) -> tuple[PyramidLevel, tuple[str, ...]]:
    """The level that was picked; else the finest that memory allows, and a note of it."""
    if part is not None:
        for level in levels:
            if level.key == part:
                return level, ()
        known = "; ".join(level.title for level in levels)
        raise VolumeError(f"{name} has no level {part!r}. It has: {known}.")
    first = levels[0].key.rpartition("/")[0]
    own = [level for level in levels if level.key.rpartition("/")[0] == first]
    room = psutil.virtual_memory().available / BYTES_PER_VOXEL
    fits = [level for level in own if np.prod(level.shape, dtype=float) <= room]
    chosen = fits[0] if fits else own[-1]
    if chosen is own[0]:
        return chosen, ()
    return chosen, (
        f"Level {chosen.title}: the finest of {len(own)} that fits into memory.",
    )


def _legend(attributes: dict[str, Any]) -> Legend | None:
    """Names and colours of an image that says it is labels."""
    found = attributes.get("image-label")
    if found is None:
        return None
    names = {
        int(entry["label-value"]): str(entry["name"])
        for entry in found.get("properties", ())
        if "name" in entry
    }
    colors = {
        int(entry["label-value"]): entry["rgba"]
        for entry in found.get("colors", ())
        if entry.get("rgba")
    }
    return tuple(
        _named(value, names.get(value), colors.get(value))
        for value in sorted({*names, *colors})
        if value > 0
    )


def _named(value: int, name: str | None, rgba: list[int] | None) -> NamedLabel:
    label = unnamed(value)
    if rgba is not None:
        r, g, b = (part / 255 for part in rgba[:3])
        label = replace(label, color=(r, g, b))
    return label if name is None else replace(label, name=name)

"""OME-Zarr 0.4 and 0.5, on disk or far away, through zarr and ome-zarr."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_dinomed import __version__
from napari_dinomed.errors import ReadError, VolumeError, WriteError
from napari_dinomed.io.atomic import is_workroom, replacing_folder
from napari_dinomed.io.format import (
    Contents,
    Format,
    Origin,
    Part,
    as_labels,
    placed,
    require_upright,
    take_picked,
    unnamed,
)
from napari_dinomed.io.guard import is_same
from napari_dinomed.io.legend import CREATOR
from napari_dinomed.io.pieces import is_large, lazy
from napari_dinomed.io.zarr_store import open_root, watch
from napari_dinomed.volume import Geometry, NamedLabel, Volume
from napari_dinomed.volume.volume import BYTES_PER_VOXEL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

_UNITS = {
    "angstrom": ("Å", 1.0),
    "nanometer": ("nm", 1.0),
    "micrometer": ("µm", 1.0),
    "millimeter": ("mm", 1.0),
    "centimeter": ("mm", 10.0),
    "meter": ("mm", 1000.0),
}
_NAMES = {unit: name for name, (unit, factor) in _UNITS.items() if factor == 1.0}
_MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_LEVELS = 8
_SMALLEST = 64
_CHUNK = (32, 256, 256)
_LABEL_NAME = "dinomed"
# What lies in a group of labels that this program wrote, beside its levels.
_OWN_FILES = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata", ".DS_Store", "Thumbs.db"}


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
            attributes, version = _attributes(open_root(source))
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
                _write_pyramid(temporary, voxels, source.geometry, legend, version)
            return
        version = "0.4" if group_format(labels.parent) == 2 else "0.5"
        if _is_empty(labels):
            # All at once: a store has no labels, or these.
            with replacing_folder(labels, _require_empty) as temporary:
                start_labels(temporary, version)
                inner = temporary / place.name
                _write_pyramid(inner, voxels, source.geometry, legend, version)
                list_label(temporary, place.name, version)
            return
        with replacing_folder(place, require_replaceable) as temporary:
            _write_pyramid(temporary, voxels, source.geometry, legend, version)
        list_label(labels, place.name, version)


def group_format(folder: Path) -> int | None:
    """2 or 3 where a folder is a Zarr group, None where it is none."""
    if (folder / ".zgroup").is_file():
        return 2
    return 3 if _json(folder / "zarr.json").get("node_type") == "group" else None


def _json(path: Path) -> dict[str, Any]:
    """What is in a file of JSON; nothing where it is not there, or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_empty(folder: Path) -> bool:
    """Whether a folder is not there, or nothing is in it."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(is_workroom(path) for path in folder.iterdir())


def require_labels(labels: Path) -> None:
    """Raise `WriteError` where a store cannot have labels in that folder."""
    store = labels.parent
    if group_format(store) is None:
        found = "is none" if store.exists() else "is not there"
        raise WriteError(
            f"Expected an OME-Zarr image to put labels into, but {store} {found}. Save the "
            "labels as a store of their own, with a new name that ends in .zarr."
        )
    if not _is_empty(labels) and group_format(labels) is None:
        raise WriteError(
            f"{labels} is there, but is no Zarr group of labels, and it stays. Save the "
            "labels as a store of their own, with a new name that ends in .zarr."
        )


def _require_empty(labels: Path) -> None:
    """Raise `WriteError` where somebody else made a group of labels meanwhile."""
    if not _is_empty(labels):
        raise WriteError(f"{labels} was made by another program meanwhile. Save again.")


def require_replaceable(place: Path) -> None:
    """Raise `WriteError` where a place holds anything but labels of this program."""
    if _is_empty(place) or (place.is_dir() and _is_own(place)):
        return
    hint = (
        f" To add the labels to that image, save them as {place / 'labels' / 'NAME'}."
        if place.is_dir() and group_format(place) is not None
        else ""
    )
    raise WriteError(
        f"{place} is there, but is not a group of labels that napari-dinomed wrote, and it "
        f"stays. Choose another name.{hint}"
    )


def _is_own(folder: Path) -> bool:
    """Whether a folder holds labels that this program wrote, and nothing else."""
    attributes = _json(folder / ".zattrs") or _json(folder / "zarr.json").get("attributes")
    creator = attributes.get("_creator") if isinstance(attributes, dict) else None
    known = _OWN_FILES | {f"s{number}" for number in range(_LEVELS)}
    return (
        isinstance(creator, dict)
        and creator.get("name") == CREATOR
        and all(p.name in known or is_workroom(p) for p in folder.iterdir())
    )


def _attributes(node: Any) -> tuple[dict[str, Any], str]:
    """OME metadata of a group, and their version."""
    attributes = dict(node.attrs)
    inner = attributes.get("ome", attributes)
    scales = inner.get("multiscales") or [{}]
    version = inner.get("version") or scales[0].get("version") or "0.4"
    return inner, str(version)


def levels_of(source: Source) -> list[PyramidLevel]:
    """All arrays of all images in a store, each image's finest first."""
    import zarr

    root = open_root(source)
    if isinstance(root, zarr.Array):
        return [_plain(root)]
    attributes, _ = _attributes(root)
    if "multiscales" in attributes:
        return _pyramid(root, attributes, "")
    images = []
    for name, group in sorted(root.groups(), key=lambda member: str(member[0])):
        inner, _ = _attributes(group)
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
    unit, factor = _UNITS.get(str(units.get("x")), ("px", 1.0))
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


def _write_pyramid(
    folder: Path,
    voxels: NDArray[Any],
    geometry: Geometry,
    legend: Legend,
    version: str,
) -> None:
    """A group with the labels, ever coarser by taking every second voxel."""
    group = open_group(folder, version)
    steps = level_steps(voxels.shape, geometry)
    for number, step in enumerate(steps):
        thinned = voxels[tuple(slice(None, None, each) for each in step)]
        chunks = tuple(min(n, side) for n, side in zip(thinned.shape, _CHUNK, strict=True))
        make_level(group, number, thinned.shape, thinned.dtype, chunks)[...] = thinned
    describe_labels(group, geometry, steps, legend, version)


def open_group(folder: Path, version: str) -> Any:
    """A new, empty group for labels."""
    import zarr
    from ome_zarr.format import format_from_version

    layout = format_from_version(version)
    return zarr.open_group(folder, mode="w", zarr_format=layout.zarr_format)


def level_steps(
    shape: Sequence[int], geometry: Geometry
) -> tuple[tuple[int, int, int], ...]:
    """Every how many voxels of the finest each level has, the finest first.

    Parameters
    ----------
    shape
        Voxels along the file's axes.
    geometry
        Its grid.
    """
    scale, _ = _scale_and_origin(geometry)
    steps = np.ones(3, dtype=int)
    found: list[tuple[int, int, int]] = []
    while len(found) < _LEVELS:
        z, y, x = (int(step) for step in steps)
        found.append((z, y, x))
        if min(-(-n // s) for n, s in zip(shape[1:], (y, x), strict=True)) < 2 * _SMALLEST:
            break
        lengths = scale * steps
        steps = np.where(lengths < 2 * lengths.min(), 2 * steps, steps)
    return tuple(found)


def describe_labels(
    group: Any,
    geometry: Geometry,
    steps: Sequence[tuple[int, int, int]],
    legend: Legend,
    version: str,
) -> None:
    """Say of a group of levels that they are labels, where they lie, and what they mean."""
    from ome_zarr.format import format_from_version
    from ome_zarr.writer import write_multiscales_metadata

    scale, origin = _scale_and_origin(geometry)
    unit = _NAMES.get(geometry.unit)
    axes = [
        {"name": axis, "type": "space"} | ({"unit": unit} if unit else {}) for axis in "zyx"
    ]
    datasets = [
        {
            "path": f"s{number}",
            "coordinateTransformations": [
                {"type": "scale", "scale": (scale * step).tolist()},
                {"type": "translation", "translation": origin.tolist()},
            ],
        }
        for number, step in enumerate(steps)
    ]
    layout = format_from_version(version)
    write_multiscales_metadata(group, datasets, fmt=layout, axes=axes)
    about = {
        "version": version,
        "colors": [
            {"label-value": n.id, "rgba": [*(round(255 * c) for c in n.color), 255]}
            for n in legend
        ],
        "properties": [{"label-value": n.id, "name": n.name} for n in legend],
        "source": {"image": "../../"},
    }
    set_metadata(group, {"image-label": about}, version)
    # What this program may replace.
    group.attrs["_creator"] = {"name": CREATOR, "version": __version__}


def _scale_and_origin(
    geometry: Geometry,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the file's axes, which are those of the world."""
    matrix = geometry.file_affine
    worlds = np.argmax(matrix[:3, :3], axis=0)
    return matrix[worlds, range(3)], matrix[worlds, 3]


def make_level(
    group: Any,
    number: int,
    shape: Sequence[int],
    dtype: Any,
    chunks: Sequence[int],
    shards: Sequence[int] | None = None,
) -> Any:
    """An empty array of a level; shards, files of many chunks, are of Zarr 3 alone."""
    is_new = group.metadata.zarr_format == 3
    return group.create_array(
        f"s{number}",
        shape=tuple(shape),
        dtype=dtype,
        chunks=tuple(chunks),
        shards=tuple(shards) if is_new and shards is not None else None,
        chunk_key_encoding={"name": "default" if is_new else "v2", "separator": "/"},
        dimension_names=["z", "y", "x"] if is_new else None,
    )


def set_metadata(group: Any, values: dict[str, Any], version: str) -> None:
    """Add to the OME metadata of a group."""
    if version == "0.4":
        group.attrs.update(values)
    else:
        group.attrs["ome"] = {**group.attrs.get("ome", {}), "version": version, **values}


def start_labels(folder: Path, version: str) -> None:
    """Make a group of labels, without any."""
    import zarr

    zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)


def list_label(folder: Path, name: str, version: str) -> None:
    """Name the labels in their group, beside those that are there."""
    import zarr

    group = zarr.open_group(folder, mode="r+")
    inner, _ = _attributes(group)
    known = list(inner.get("labels", ()))
    if name not in known:
        set_metadata(group, {"labels": [*known, name]}, version)

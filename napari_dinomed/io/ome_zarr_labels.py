"""Labels of an OME-Zarr: what may be replaced, how groups and levels are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed import __version__
from napari_dinomed.errors import WriteError
from napari_dinomed.io.atomic import is_workroom
from napari_dinomed.io.legend import CREATOR
from napari_dinomed.volume import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend

UNITS = {
    "angstrom": ("Å", 1.0),
    "nanometer": ("nm", 1.0),
    "micrometer": ("µm", 1.0),
    "millimeter": ("mm", 1.0),
    "centimeter": ("mm", 10.0),
    "meter": ("mm", 1000.0),
}
_NAMES = {unit: name for name, (unit, factor) in UNITS.items() if factor == 1.0}
_LEVELS = 8
_SMALLEST = 64
_CHUNK = (32, 256, 256)
# What lies in a group of labels that this program wrote, beside its levels.
_OWN_FILES = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata", ".DS_Store", "Thumbs.db"}


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


def is_empty(folder: Path) -> bool:
    """Whether a folder is not there, or nothing is in it."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(is_workroom(path) for path in folder.iterdir())


def require_labels(labels: Path) -> None:
    """Raise `WriteError` where a store cannot have labels in that folder."""
    import zarr

    store = labels.parent
    if group_format(store) is None:
        found = "is none" if store.exists() else "is not there"
        raise WriteError(
            f"Expected an OME-Zarr image to put labels into, but {store} {found}. Save the "
            "labels as a store of their own, with a new name that ends in .zarr."
        )
    if not is_empty(labels) and group_format(labels) is None:
        raise WriteError(
            f"{labels} is there, but is no Zarr group of labels, and it stays. Save the "
            "labels as a store of their own, with a new name that ends in .zarr."
        )
    if not is_empty(labels):
        try:
            _listed(zarr.open_group(labels, mode="r"))
        except Exception as error:
            raise WriteError(
                f"{labels} cannot be added to: what it lists cannot be read. It may be "
                "damaged; copy the store again."
            ) from error


def require_empty(labels: Path) -> None:
    """Raise `WriteError` where somebody else made a group of labels meanwhile."""
    if not is_empty(labels):
        raise WriteError(f"{labels} was made by another program meanwhile. Save again.")


def require_replaceable(place: Path) -> None:
    """Raise `WriteError` where a place holds anything but labels of this program."""
    if is_empty(place) or (place.is_dir() and _is_own(place)):
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


def write_pyramid(
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
    known = _listed(group)
    if name not in known:
        set_metadata(group, {"labels": [*known, name]}, version)


def _listed(group: Any) -> list[str]:
    """Names of the labels in their group; any error where they cannot be read."""
    inner, _ = attributes_of(group)
    return list(inner.get("labels", ()))


def attributes_of(node: Any) -> tuple[dict[str, Any], str]:
    """OME metadata of a group, and their version."""
    attributes = dict(node.attrs)
    inner = attributes.get("ome", attributes)
    scales = inner.get("multiscales") or [{}]
    version = inner.get("version") or scales[0].get("version") or "0.4"
    return inner, str(version)

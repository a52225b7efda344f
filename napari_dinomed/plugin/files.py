"""napari's reader and writers for the formats of `napari_dinomed.io`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info

from napari_dinomed.errors import Cancelled, UnevenError
from napari_dinomed.io import (
    Source,
    can_read,
    is_lone_picture,
    list_contents,
    read_volume,
    volume_suffixes,
    write_image,
    write_labels,
)
from napari_dinomed.io.dicom import DicomHeader
from napari_dinomed.plugin.aside import aside
from napari_dinomed.plugin.layers import (
    METADATA_KEY,
    image_options,
    labels_options,
    volume_of,
)
from napari_dinomed.plugin.orientation import show_orientation
from napari_dinomed.plugin.pick_dialog import ask, ask_to_resample
from napari_dinomed.plugin.warming import warm_up
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.io import Pick

    LayerData = tuple[Any, ...]
    Reader = Callable[[str | list[str]], list[LayerData]]

# What napari takes for "read, and nothing to show".
_NOTHING: list[LayerData] = [(None,)]


def get_reader(path: str | list[str]) -> Reader | None:
    """A reader for a file, a folder or the slices of a stack, or None; never raises."""
    try:
        return _read if can_read(path) and not is_lone_picture(path) else None
    except Exception:  # noqa: BLE001 - napari must be able to go on to other readers
        return None


def write_labels_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer on the grid of the file that its volume came from."""
    labels = np.asarray(data)
    write_labels(Path(path), labels, _volume_behind(labels, attributes))
    return [path]


def write_image_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer, its type kept, on the grid of the file it came from."""
    array = np.asarray(data)
    write_image(Path(path), array, _volume_behind(array, attributes))
    return [path]


def layer_name(path: Path) -> str:
    """A file's name without the suffix of its format."""
    for suffix in volume_suffixes():
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def _volume_behind(array: np.ndarray[Any, Any], attributes: dict[str, Any]) -> Volume:
    volume = attributes.get("metadata", {}).get(METADATA_KEY)
    if isinstance(volume, Volume):
        return volume
    options = {key: attributes[key] for key in ("scale", "units") if key in attributes}
    return volume_of(Image(array, **options))


def _read(path: str | list[str]) -> list[LayerData]:
    source = Source.of(path)
    viewer = napari.current_viewer()
    if viewer is not None and _is_shown(viewer, source):
        return _NOTHING
    try:
        contents = aside(lambda: list_contents(source), f"Looking into {source.name} …")
        pick = ask(source.name, contents)
        volume = None if pick is None else _read_evenly(source, pick)
    except Cancelled:
        return _NOTHING
    if volume is None:
        return _NOTHING
    for note in volume.notes:
        show_info(note)
    if viewer is not None:
        show_orientation(viewer)
        viewer.canvas.overlays.scale_bar.visible |= volume.geometry.unit != "px"
    name = layer_name(Path(source.name))
    if volume.legend is not None:
        return [(np.asarray(volume.array), labels_options(volume, name), "labels")]
    voxels = volume.array if volume.colours is None else volume.colours
    return [(voxels, image_options(volume, name), "image")]


def _read_evenly(source: Source, pick: Pick) -> Volume | None:
    try:
        return _read_aside(source, pick)
    except UnevenError as error:
        even = ask_to_resample(str(error), pick)
        if even is None:
            raise
        return _read_aside(source, even)


def _read_aside(source: Source, pick: Pick) -> Volume:
    """A volume, with all that takes long and that the window will ask for."""

    def read() -> Volume:
        warm_up()
        volume = read_volume(source, pick)
        if volume.legend is None:
            _ = volume.fingerprint, volume.grey_range
        return volume

    return aside(read, f"Reading {source.name} …")


def _is_shown(viewer: napari.Viewer, source: Source) -> bool:
    """Whether a file is a slice of a series that is open already.

    napari opens the files that are dropped on it one by one, and the first of them has
    brought the whole series.
    """
    if source.url or len(source.paths) != 1:
        return False
    path = source.path.resolve()
    for layer in viewer.layers:
        volume = layer.metadata.get(METADATA_KEY)
        header = volume.header if isinstance(volume, Volume) else None
        if isinstance(header, DicomHeader) and path in header.paths:
            return True
    return False

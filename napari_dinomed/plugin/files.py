"""napari's reader and writer for the formats of `napari_dinomed.io`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_dinomed.io import can_read, read_volume, volume_suffixes, write_labels
from napari_dinomed.plugin.layers import METADATA_KEY, image_options, volume_of
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable

    LayerData = tuple[Any, dict[str, Any], str]
    Reader = Callable[[str | list[str]], list[LayerData]]


def get_reader(path: str | list[str]) -> Reader | None:
    """A reader for the file or files, or None; never raises."""
    paths = [path] if isinstance(path, str) else path
    return _read if paths and all(can_read(Path(p)) for p in paths) else None


def write_labels_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer on the grid of the file that its volume came from."""
    volume = attributes.get("metadata", {}).get(METADATA_KEY)
    labels = np.asarray(data)
    if not isinstance(volume, Volume):
        options = {key: attributes[key] for key in ("scale", "units") if key in attributes}
        volume = volume_of(Image(labels, **options))
    write_labels(Path(path), labels, volume)
    return [path]


def layer_name(path: Path) -> str:
    """A file's name without the suffix of its format."""
    for suffix in volume_suffixes():
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def _read(path: str | list[str]) -> list[LayerData]:
    paths = [path] if isinstance(path, str) else path
    layers: list[LayerData] = []
    for each in map(Path, paths):
        volume = read_volume(each)
        layers.append((volume.array, image_options(volume, layer_name(each)), "image"))
    return layers

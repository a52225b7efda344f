"""Files in and out: one module per format, one registry that recognises them."""

from napari_dinomed.io.format import Contents, Origin, Part, Pick
from napari_dinomed.io.info import describe
from napari_dinomed.io.registry import (
    can_read,
    is_lone_picture,
    label_formats,
    label_suffixes,
    list_contents,
    read_labels,
    read_volume,
    require_place,
    require_places,
    require_writable,
    volume_suffixes,
    write_image,
    write_labels,
)
from napari_dinomed.io.source import Source

__all__ = [
    "Contents",
    "Origin",
    "Part",
    "Pick",
    "Source",
    "can_read",
    "describe",
    "is_lone_picture",
    "label_formats",
    "label_suffixes",
    "list_contents",
    "read_labels",
    "read_volume",
    "require_place",
    "require_places",
    "require_writable",
    "volume_suffixes",
    "write_image",
    "write_labels",
]

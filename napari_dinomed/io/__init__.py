"""Files in and out: one module per format, one registry that recognises them."""

import importlib
from typing import TYPE_CHECKING, Any

from napari_dinomed.io.format import Contents, Origin, Part, Pick
from napari_dinomed.io.source import Source

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """What needs the libraries of all formats, once it is asked for.

    An engine is given voxels and seldom reads a file; those libraries are a fifth of what
    it takes to start, which is waited for when one has died.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "info" if name == "describe" else "registry"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)

"""Files in and out: one module per format, one registry that recognises them."""

from napari_dinomed.io.registry import (
    can_read,
    label_suffixes,
    read_labels,
    read_volume,
    require_writable,
    volume_suffixes,
    write_labels,
)

__all__ = [
    "can_read",
    "label_suffixes",
    "read_labels",
    "read_volume",
    "require_writable",
    "volume_suffixes",
    "write_labels",
]

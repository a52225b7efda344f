"""What the user chose on napari's own preferences page of this plugin."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings

_PLUGIN = "napari-dinomed"
NEUROLOGICAL = "neurological (patient's left on the left)"


def is_neurological() -> bool:
    """Whether patients are shown as if seen from above, not from their feet."""
    return bool(_chosen("display", "convention", "") == NEUROLOGICAL)


def keeps_beside_image() -> bool:
    """Whether documents are kept beside their images, not in the user's data folder."""
    return bool(_chosen("documents", "beside_image", False))


def engine_command() -> str:
    """The command line that leads to an engine; empty for one on this machine."""
    return str(_chosen("engine", "command", ""))


def _chosen(page: str, name: str, default: Any) -> Any:
    try:
        return getattr(getattr(get_plugin_settings(_PLUGIN), page), name)
    except (AttributeError, KeyError):
        # The plugin is used from a script that did not go through napari's registry.
        return default

"""What the user chose on napari's own preferences page of this plugin."""

from __future__ import annotations

from napari.settings import get_plugin_settings

_PLUGIN = "napari-dinomed"
NEUROLOGICAL = "neurological (patient's left on the left)"


def is_neurological() -> bool:
    """Whether patients are shown as if seen from above, not from their feet."""
    try:
        chosen: str = get_plugin_settings(_PLUGIN).display.convention
    except (AttributeError, KeyError):
        # The plugin is used from a script that did not go through napari's registry.
        return False
    return chosen == NEUROLOGICAL

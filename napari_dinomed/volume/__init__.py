"""What a volume is: voxels, where they lie in the world, how grey values are shown."""

from napari_dinomed.volume.channels import (
    require_same_grid,
    require_seen_together,
    seen_with,
)
from napari_dinomed.volume.colours import luminance, with_colours, without_opacity
from napari_dinomed.volume.geometry import Geometry
from napari_dinomed.volume.volume import Modality, NamedLabel, Planes, Volume
from napari_dinomed.volume.window import (
    CT_PRESETS,
    PET_PRESETS,
    PRESET_TITLES,
    PRESETS,
    Window,
    choose_window,
)

__all__ = [
    "CT_PRESETS",
    "PET_PRESETS",
    "PRESETS",
    "PRESET_TITLES",
    "Geometry",
    "Modality",
    "NamedLabel",
    "Planes",
    "Volume",
    "Window",
    "choose_window",
    "luminance",
    "require_same_grid",
    "require_seen_together",
    "seen_with",
    "with_colours",
    "without_opacity",
]

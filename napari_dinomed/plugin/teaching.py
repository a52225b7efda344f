"""Whether paint teaches always: remembered on this machine."""

from __future__ import annotations

from dataclasses import replace

from napari_dinomed.errors import DinomedError
from napari_dinomed.settings import load_settings, save_settings


def paint_teaches() -> bool:
    """What was chosen last; settings that cannot be read choose nothing."""
    try:
        return load_settings().paint_teaches
    except DinomedError:
        return False


def remember_paint_teaches(always: bool) -> None:
    """Keep the choice; DinomedError where the settings cannot be kept."""
    save_settings(replace(load_settings(), paint_teaches=always))

"""What the user has chosen for this machine: where the cache lies, what was accepted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import platformdirs

from napari_dinomed.errors import DinomedError
from napari_dinomed.small_file import read_small_json

_APP = "napari-dinomed"
_GIB = 1024**3


@dataclass(frozen=True)
class Settings:
    """Choices that outlive a session.

    Parameters
    ----------
    cache_limit
        Bytes that cached features may take; the least recently used go first.
    offline
        Never reach for the network.
    accepted_licences
        Names of weights' licences that the user has accepted.
    label_suffix
        The format that labels were last saved in.
    models
        Paths of taught models, the last used first.
    weight_files
        Encoders (``file:PATH``) that the user chose on this machine, the last first.
    encoders
        The encoder chosen last, by kind of volume.
    paint_teaches
        Whether what brush and eraser correct becomes prompts at once.
    recent
        Files and folders of volumes that were worked on, the last first.
    """

    cache_limit: int = 20 * _GIB
    offline: bool = False
    accepted_licences: tuple[str, ...] = ()
    label_suffix: str = ".nii.gz"
    models: tuple[str, ...] = ()
    weight_files: tuple[str, ...] = ()
    encoders: Mapping[str, str] = field(default_factory=dict)
    paint_teaches: bool = False
    recent: tuple[str, ...] = ()

    def accepting(self, licence: str) -> Settings:
        """These settings with one more licence accepted."""
        return replace(self, accepted_licences=(*self.accepted_licences, licence))

    def preferring(self, modality: str, encoder: str) -> Settings:
        """These settings with an encoder for one kind of volume."""
        return replace(self, encoders={**self.encoders, modality: encoder})


def data_folder() -> Path:
    """Folder of weights and settings; ``NAPARI_DINOMED_HOME`` moves it."""
    home = os.environ.get("NAPARI_DINOMED_HOME")
    return Path(home) if home else platformdirs.user_data_path(_APP, appauthor=False)


def cache_folder() -> Path:
    """Folder of computed features; ``NAPARI_DINOMED_HOME`` moves it."""
    home = os.environ.get("NAPARI_DINOMED_HOME")
    if home:
        return Path(home) / "cache"
    return platformdirs.user_cache_path(_APP, appauthor=False)


def load_settings() -> Settings:
    """The stored settings, or the defaults.

    Raises
    ------
    DinomedError
        Where the settings file is damaged.
    """
    path = data_folder() / "settings.json"
    if not path.exists():
        return Settings()
    try:
        values = read_small_json(path)
        return Settings(
            cache_limit=int(values["cache_limit"]),
            offline=bool(values["offline"]),
            accepted_licences=tuple(values["accepted_licences"]),
            label_suffix=str(values["label_suffix"]),
            models=tuple(values.get("models", ())),
            weight_files=tuple(values.get("weight_files", ())),
            encoders=dict(values.get("encoders", {})),
            paint_teaches=bool(values.get("paint_teaches", False)),
            recent=tuple(map(str, values.get("recent", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DinomedError(
            f"The settings in {path} are damaged ({error}). Delete the file to start "
            "from the defaults."
        ) from error


def save_settings(settings: Settings) -> None:
    """Store the settings for later runs.

    Raises
    ------
    DinomedError
        Where the folder cannot be written; the old settings stay.
    """
    # Only now: libraries of the formats come with it.
    from napari_dinomed.io.atomic import write_text

    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DinomedError(
            f"Cannot store settings in {folder}: {error.strerror}. Set NAPARI_DINOMED_HOME "
            "to a folder that can be written."
        ) from error
    write_text(folder / "settings.json", json.dumps(asdict(settings), indent=1))

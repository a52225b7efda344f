"""Which encoder a kind of volume begins with, and what was measured of that choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError
from napari_dinomed.features.naming import EncoderName
from napari_dinomed.settings import load_settings, save_settings

if TYPE_CHECKING:
    from napari_dinomed.volume import Modality

FILTERS = "filters"
# Dice after five clicks, filters and a small transformer: docs/benchmark.
_EM = (
    "EM: a transformer finds cell parts better. Mitochondria after five clicks: Dice .70, "
    "filters .45; membranes are alike."
)
_PATIENTS = (
    "CT and MR: filters do as well as a small transformer: Dice .82 and .83 after five "
    "clicks"
)


def remembered(modality: Modality) -> str:
    """The encoder chosen last for such a volume; the filters where that is not at hand."""
    try:
        name = load_settings().encoders.get(modality, FILTERS)
        files = EncoderName.parse(name).files
    except DinomedError:
        return FILTERS
    return name if all(file.exists() for file in files) else FILTERS


def remember(modality: Modality, name: str) -> None:
    """Begin the next volume of this kind with this encoder.

    Raises
    ------
    DinomedError
        Where the settings cannot be kept.
    """
    settings = load_settings()
    if settings.encoders.get(modality, FILTERS) != name:
        save_settings(settings.preferring(modality, name))


def advice(modality: Modality, name: str) -> str:
    """What speaks for another choice; empty where nothing that was measured does."""
    return _EM if modality == "EM" and name == FILTERS else ""


def known_of(modality: Modality) -> str:
    """What was measured on such volumes; empty where nothing was."""
    return {"EM": _EM, "CT": _PATIENTS, "MR": _PATIENTS}.get(modality, "")

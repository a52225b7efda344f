"""What suits a modality, as measured; the figures are in ``docs/concepts.md``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinomed.annotation.labels import Meaning

if TYPE_CHECKING:
    from napari_dinomed.volume import Modality


@dataclass(frozen=True)
class Defaults:
    """How a volume is encoded and clicked on unless the user says otherwise, and read.

    Parameters
    ----------
    meaning
        What a click on something means.
    has_membranes
        Whether membranes are everywhere. Where voxels are no cubes, slices are serial
        sections then: stain and thickness vary.
    """

    meaning: Meaning
    has_membranes: bool = False


_DEFAULTS: dict[Modality, Defaults] = {
    "CT": Defaults(Meaning.OBJECT),
    "MR": Defaults(Meaning.OBJECT),
    "PET": Defaults(Meaning.OBJECT),
    "EM": Defaults(Meaning.ALL_LIKE_THIS, has_membranes=True),
    "other": Defaults(Meaning.OBJECT),
}


def defaults_for(modality: Modality) -> Defaults:
    """The row of a modality."""
    return _DEFAULTS[modality]

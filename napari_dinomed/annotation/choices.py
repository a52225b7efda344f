"""How prompts are read: by which encoder, in which grey values, with which readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from napari_dinomed.volume import Planes


@dataclass(frozen=True)
class Choices:
    """How prompts are read.

    Parameters
    ----------
    encoder
        Name of the encoder.
    window
        Name of the window that the encoder sees; empty for the volume's own.
    head
        Readout.
    threshold
        Probability from which a voxel belongs to a label.
    others
        Fingerprints of further images that the encoder sees.
    planes
        Along how many axes it sees slices.
    """

    encoder: str = "filters"
    window: str = ""
    head: str = "auto"
    threshold: Annotated[float, Field(ge=0.01, le=0.99)] = 0.5
    others: tuple[str, ...] = ()
    planes: Planes = "auto"

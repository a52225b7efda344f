"""Handing a volume to an engine, whole, by its place or piece by piece; and closing it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from napari_dinomed.engine.messages.arrays import Array
from napari_dinomed.engine.pieces import Layout
from napari_dinomed.io import Origin, Pick, Source
from napari_dinomed.volume import Geometry, Modality, Volume


@dataclass(frozen=True, eq=False)
class OpenVolume:
    """Hand over a volume under a name of the asker's choice; it replaces an older one.

    Parameters
    ----------
    volume
        The name.
    voxels, geometry, modality
        The volume.
    others
        (n, z, y, x), further images of the same voxels; see `Volume`.
    colours
        (z, y, x, 3) of a picture in colour; empty where it is grey.
    """

    volume: str
    voxels: Array
    geometry: Geometry
    modality: Modality
    others: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint16))
    colours: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 3), np.uint8))


@dataclass(frozen=True)
class OpenSource:
    """Open a volume where it lies; for volumes that are too large to hand over."""

    volume: str
    source: Source
    pick: Pick


@dataclass(frozen=True, eq=False)
class OpenSent:
    """As `OpenVolume`, where the voxels are sent piece by piece, and only those missing.

    Parameters
    ----------
    volume
        The name.
    layout, pieces
        How the images are cut, and the name of each piece by its content.
    geometry, modality
        The volume.
    """

    volume: str
    layout: Layout
    pieces: tuple[str, ...]
    geometry: Geometry
    modality: Modality


@dataclass(frozen=True, eq=False)
class SendPiece:
    """One of the pieces that were lacking.

    Parameters
    ----------
    volume
        Name given to `OpenSent`.
    index, data
        Which piece, and its bytes (n,), packed.
    """

    volume: str
    index: int
    data: Array


@dataclass(frozen=True)
class CloseVolume:
    """Forget a volume and its tokens in memory."""

    volume: str


@dataclass(frozen=True)
class Opened:
    """Result of opening: the hash by which the volume is found again."""

    fingerprint: str


@dataclass(frozen=True)
class Lacking:
    """Result of `OpenSent` where voxels are missing yet: the indices of their pieces."""

    pieces: tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """Result of `SendPiece`."""


@dataclass(frozen=True)
class Closed:
    """Result of `CloseVolume`."""


def open_request(name: str, volume: Volume) -> OpenVolume | OpenSource:
    """How an engine is given a volume: its voxels, or, if lazy, where they are."""
    if volume.is_lazy and isinstance(volume.origin, Origin):
        return OpenSource(name, volume.origin.source, volume.origin.pick)
    request = OpenVolume(name, np.asarray(volume.array), volume.geometry, volume.modality)
    if volume.colours is not None:
        return replace(request, colours=np.ascontiguousarray(volume.colours))
    if not volume.others:
        return request
    return replace(request, others=np.stack(volume.others))

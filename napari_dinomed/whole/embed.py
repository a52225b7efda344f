"""What a volume of a table looks like, in one row of numbers: read, encoded, pooled."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.errors import VolumeError
from napari_dinomed.io import read_labels, read_volume
from napari_dinomed.io.region import region_of
from napari_dinomed.taught.sight import sight_of
from napari_dinomed.volume import require_same_grid
from napari_dinomed.whole.pooling import pooled

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.headless import OnEvent
    from napari_dinomed.io import Pick
    from napari_dinomed.taught.header import Sight
    from napari_dinomed.volume import Volume
    from napari_dinomed.whole.eye import Eye
    from napari_dinomed.whole.table import Row

    Floats = NDArray[np.float32]


def embedded(row: Row, eye: Eye, on_event: OnEvent) -> tuple[Floats, Sight]:
    """What a volume looks like (parts,), and how it was seen.

    Raises
    ------
    DinomedError
        Where a file cannot be read or encoded, or the region is empty or on another grid.
    """
    volume = _volume_of(row)
    volume.require_content()
    mask = _region_of(row, volume)
    plane = eye.tokens(volume, on_event)
    channels = plane.bank.channels - plane.encoder.position_channels
    return pooled(plane.bank, channels, mask), sight_of(volume, [plane])


def tiles_of(row: Row, side: int) -> tuple[Row, ...]:
    """Rows for the tiles of a slide's level, from its first corner on.

    What is left at the far ends counts where it is half a tile or more.
    """
    _, height, width = _level_of(row.volume, row.pick).geometry.shape
    corners = [
        (top, left, min(side, height - top), min(side, width - left))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]
    return tuple(
        replace(row, pick=replace(row.pick, region=corner))
        for corner in corners
        if 2 * min(corner[2:]) >= side
    )


def _volume_of(row: Row) -> Volume:
    """The volume of a row, or its part of one."""
    if row.pick.region is None:
        return read_volume(row.volume, row.pick)
    return region_of(_level_of(row.volume, replace(row.pick, region=None)), row.pick.region)


@lru_cache(maxsize=1)
def _level_of(path: Path, pick: Pick) -> Volume:
    """A level of a slide, which is read once for all its tiles."""
    return read_volume(path, pick)


def _region_of(row: Row, volume: Volume) -> NDArray[np.bool_] | None:
    """Voxels (z, y, x) that a volume is looked at within; None for all."""
    if row.roi is None:
        return None
    labels, stored = read_labels(row.roi)
    require_same_grid(volume, stored)
    mask = labels > 0
    if not mask.any():
        raise VolumeError(f"Expected a region of interest, but {row.roi} has no label.")
    return mask

"""Further images of the same voxels, to be looked at beside a volume."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.errors import VolumeError
from napari_dinomed.volume.window import choose_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinomed.volume.volume import Volume

MOST_OTHERS = 2
WHITE = 65_535
# Of a voxel: how far grids may lie apart and still count as the same.
_APART = 0.1


def seen_with(volume: Volume, others: Sequence[Volume]) -> Volume:
    """The volume with others of the same grid as further channels for the encoder.

    Parameters
    ----------
    volume
        The volume that labels are made on.
    others
        At most two more: other MR sequences, other detectors.

    Raises
    ------
    VolumeError
        Where there are more, or one does not lie on the same grid.
    """
    require_seen_together(volume, others)
    return replace(
        volume,
        others=tuple(
            np.rint(choose_window(other).apply(other.array) * WHITE).astype(np.uint16)
            for other in others
        ),
    )


def require_seen_together(volume: Volume, others: Sequence[Volume]) -> None:
    """Raise `VolumeError` where `seen_with` would, without its work."""
    if len(others) > MOST_OTHERS:
        raise VolumeError(
            f"Expected at most {MOST_OTHERS} images beside the first, got {len(others)}."
        )
    for other in others:
        if volume.colours is not None or other.colours is not None:
            raise VolumeError(
                "A picture in colour is looked at alone: its colours take the place of "
                "other images. Pick one of its channels to see it with others."
            )
        if volume.is_lazy or other.is_lazy:
            raise VolumeError(
                "Images that are too large for memory cannot be looked at together. Open a "
                "coarser level of each."
            )
        require_same_grid(volume, other)


def require_same_grid(volume: Volume, other: Volume) -> None:
    """Raise `VolumeError` where two volumes do not lie voxel on voxel."""
    own, theirs = volume.geometry, other.geometry
    corners = np.array(own.shape) * [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    if own.shape == theirs.shape:
        gap = np.abs(own.to_world(corners) - theirs.to_world(corners)).max()
        if gap <= _APART * min(own.spacing):
            return
    raise VolumeError(
        f"Expected an image on the same grid ({own}), got {theirs}. Register and resample "
        "it to the first one."
    )

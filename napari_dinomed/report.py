"""A result to look at and to keep: an overlay picture and a table of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.volume import Volume, Window

    Picture = NDArray[np.uint8]

_OPACITY = 0.45
_HEIGHT = 420
_GAP = 6


def measure(
    volume: Volume, labels: NDArray[Any], named: tuple[Label, ...]
) -> list[dict[str, Any]]:
    """Voxels, physical volume, mean grey value and slices of each label.

    Parameters
    ----------
    volume
        The grey values.
    labels
        (z, y, x) of label ids.
    named
        The labels to measure.
    """
    rows = []
    for label in named:
        mask = labels == label.id
        count = int(mask.sum())
        rows.append(
            {
                "label": label.id,
                "name": label.name,
                "voxels": count,
                "volume": count * volume.geometry.voxel_volume,
                "unit": f"{volume.geometry.unit}³",
                "mean": float(volume.array[mask].mean()) if count else None,
                "slices": int(mask.any((1, 2)).sum()),
            }
        )
    return rows


def overlay_picture(
    volume: Volume,
    window: Window,
    labels: NDArray[Any],
    named: tuple[Label, ...],
    height: int = _HEIGHT,
) -> Picture:
    """Three planes through the labels' centre at one scale: (rows, columns, 3).

    The first plane is so many pixels high.
    """
    marked = np.argwhere(labels > 0)
    centre = (
        np.rint(marked.mean(0)).astype(int) if len(marked) else np.array(labels.shape) // 2
    )
    scale = height / (labels.shape[1] * volume.geometry.spacing[1])
    planes = [
        _plane(volume, window, labels, named, axis, centre[axis], scale)
        for axis in range(3)
    ]
    height = max(len(plane) for plane in planes)
    gap = np.zeros((height, _GAP, 3), dtype=np.uint8)
    first, second, third = (_pad(plane, height) for plane in planes)
    return np.concatenate([first, gap, second, gap, third], axis=1)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture; its ending chooses the format, and errors are as `replacing`."""
    import imageio.v3 as imageio

    from napari_dinomed.io.atomic import replacing

    with replacing(path) as temporary:
        imageio.imwrite(temporary, picture)


def _plane(
    volume: Volume,
    window: Window,
    labels: NDArray[Any],
    named: tuple[Label, ...],
    axis: int,
    index: int,
    scale: float,
) -> Picture:
    """One plane at its true proportions, ``scale`` pixels to a unit of length."""
    grey = window.apply(volume.array.take(index, axis))
    zoom = scale * np.delete(volume.geometry.spacing, axis)
    smooth = ndimage.zoom(grey, zoom, order=1, mode="nearest", grid_mode=True)
    ids = ndimage.zoom(
        labels.take(index, axis), zoom, order=0, mode="nearest", grid_mode=True
    )
    picture = np.repeat(smooth[..., None], 3, axis=2)
    for label in named:
        mask = ids == label.id
        opacity = np.where(mask & ~ndimage.binary_erosion(mask), 1.0, _OPACITY)
        mixed = (1 - opacity[..., None]) * picture + opacity[..., None] * np.array(
            label.color
        )
        picture[mask] = mixed[mask]
    return np.asarray(np.rint(255 * np.clip(picture, 0, 1)), dtype=np.uint8)


def _pad(plane: Picture, height: int) -> Picture:
    above = (height - len(plane)) // 2
    return np.pad(plane, ((above, height - len(plane) - above), (0, 0), (0, 0)))

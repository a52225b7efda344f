"""A region of a picture that is too large to be looked at as a whole.

In: a volume, read piece by piece or in memory, and rows and columns. Out: the volume of
these, in its place in the world.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import VolumeError
from napari_dinomed.io.claims import require_memory
from napari_dinomed.io.pieces import is_large

if TYPE_CHECKING:
    from napari_dinomed.volume import Volume

Region = tuple[int, int, int, int]


def parse_region(text: str) -> Region:
    """Rows and columns from ``ROW,COLUMN,ROWS,COLUMNS``.

    Raises
    ------
    VolumeError
        Where they are not four whole numbers.
    """
    try:
        row, column, rows, columns = (int(part) for part in text.split(","))
    except ValueError:
        raise VolumeError(
            f"Expected a region as ROW,COLUMN,ROWS,COLUMNS, got {text!r}."
        ) from None
    return row, column, rows, columns


def region_of(volume: Volume, region: Region) -> Volume:
    """The part of a volume in some rows and columns, of all its slices.

    Raises
    ------
    VolumeError
        Where the region is not inside, or the volume is of a patient: its file's header
        says where all of it lies.
    """
    row, column, rows, columns = region
    depth, height, width = volume.geometry.shape
    is_inside = 0 <= row < row + rows <= height and 0 <= column < column + columns <= width
    if not is_inside:
        raise VolumeError(
            f"Expected a region (row, column, rows, columns) inside {height} x {width} "
            f"pixels, got {', '.join(map(str, region))}."
        )
    if volume.geometry.patient or volume.header is not None:
        raise VolumeError("Expected a picture to take a region of, got a patient's volume.")
    box = (slice(None), slice(row, row + rows), slice(column, column + columns))
    colours = None if volume.colours is None else _held(volume.colours[box])
    return replace(
        volume,
        array=_held(volume.array[box]),
        colours=colours,
        geometry=volume.geometry.part((0, row, column), (depth, rows, columns)),
    )


def _held(array: Any) -> Any:
    """In memory, unless it is large still."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array)
    if is_large(array):
        return array
    require_memory(array.shape, array.dtype, "the region")
    return np.asarray(array)

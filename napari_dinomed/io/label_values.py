"""Labels as files have them: whole numbers, each with a name and a colour."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.volume import (
    NamedLabel,
    Volume,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Legend = tuple[NamedLabel, ...]


# Labels are counted by a flag for each number below this.
_MOST_FLAGS = 2**26


def whole_labels(labels: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Labels in the narrowest unsigned type that holds them.

    Raises
    ------
    ValueError
        Where some are negative or not whole; its message says which came.
    """
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"values of type {labels.dtype}")
    if labels.dtype.kind == "f":
        odd = ~np.isfinite(labels)
        odd |= labels != np.rint(np.where(odd, 0, labels))
        if odd.any():
            raise ValueError(f"{labels[odd][0]:g}")
    highest, lowest = (labels.max(), labels.min()) if labels.size else (0, 0)
    if lowest < 0 or highest >= 2.0**63:
        raise ValueError(f"{lowest if lowest < 0 else highest:g}")
    types = (np.uint8, np.uint16, np.uint32, np.uint64)
    narrowest = next(each for each in types if highest <= np.iinfo(each).max)
    return labels.astype(narrowest)


def numbers_in(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The numbers above 0 that there are, in order; quicker than sorting all voxels."""
    highest = int(labels.max(initial=0))
    if highest >= _MOST_FLAGS:
        found = np.unique(labels)
        return found[found > 0].astype(np.int64)
    flags = np.zeros(highest + 1, dtype=bool)
    for plane in labels:
        flags[np.maximum(plane, 0).astype(np.intp)] = True
    return np.flatnonzero(flags[1:]) + 1


def as_labels(volume: Volume, legend: Legend, is_complete: bool = True) -> Volume:
    """A volume whose file says that its voxels are labels, and how they are called.

    Numbers without a name get one. Voxels that cannot be labels stay an image.

    Parameters
    ----------
    volume, legend
        What was read.
    is_complete
        Whether the legend of a volume that is read piece by piece is taken for all that
        there is; else all pieces are looked at.
    """
    array = volume.array
    if volume.is_lazy:
        whole = array if array.dtype.kind in "iu" else array.astype(np.int64)
        pieces = [] if is_complete else whole.to_delayed().ravel()
        numbers = {n for p in pieces for n in numbers_in(p.compute()).tolist()}
        others = (unnamed(n) for n in sorted(numbers - {label.id for label in legend}))
        return replace(volume, array=whole, legend=(*legend, *others))
    if array.dtype.kind not in "iu":
        try:
            array = whole_labels(array)
        except ValueError:
            return volume
    known = {label.id for label in legend}
    others = (unnamed(n) for n in numbers_in(array).tolist() if n not in known)
    return replace(volume, array=array, legend=(*legend, *others))


def unnamed(number: int) -> NamedLabel:
    """A label that nobody gave a name."""
    return NamedLabel(number, f"Label {number}", distinct_color(number))


def distinct_color(number: int) -> tuple[float, float, float]:
    """A colour for a label that has none: hues a golden section apart."""
    return colorsys.hsv_to_rgb(number * 0.618 % 1, 0.7, 0.9)

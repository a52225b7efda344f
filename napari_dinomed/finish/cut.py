"""Cut a label: by grey values, or by an outline drawn in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from skimage.draw import polygon2mask

from napari_dinomed.finish.options import Amount, Choice, Measure, Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Site

    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GreyRange:
    """Keep the voxels whose grey values lie between two, both included."""

    low: Annotated[float, Amount("From", Measure.GREY, 0.0)]
    high: Annotated[float, Amount("To", Measure.GREY, 1.0)]


def grey_range(site: Site, options: GreyRange) -> Bools:
    """Voxels of the label from the low to the high value."""
    grey = site.grey
    return np.asarray(site.mask & (grey >= options.low) & (grey <= options.high))


class Side(Texts):
    """What an outline removes."""

    INSIDE = "inside", "remove inside"
    OUTSIDE = "outside", "keep inside"


@dataclass(frozen=True)
class Lasso:
    """Draw round a part in the slice in view: it is cut through the whole label.

    Parameters
    ----------
    outline
        Corners (n, 2) in voxels, along the two axes of the plane, ascending.
    axis
        The axis along which it cuts.
    side
        What goes.
    """

    outline: tuple[tuple[float, float], ...]
    axis: int
    side: Annotated[Side, Choice("Cut")] = Side.INSIDE


def lasso(site: Site, options: Lasso) -> Bools:
    """The label without the voxels whose centres the outline holds, or with them alone."""
    plane = [axis for axis in range(3) if axis != options.axis]
    shape = tuple(site.mask.shape[axis] for axis in plane)
    start = [site.start[axis] for axis in plane]
    inside = polygon2mask(shape, np.subtract(options.outline, start))
    stays = inside if options.side is Side.OUTSIDE else ~inside
    return np.asarray(site.mask & np.expand_dims(stays, options.axis))

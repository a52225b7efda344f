"""Connected parts and holes. Voxels that share a face are connected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import cc3d
import numpy as np
from scipy import ndimage

from napari_dinomed.finish.options import Amount, Choice, Measure, Texts
from napari_dinomed.segment.regions import connected, largest, within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Site

    Bools = NDArray[np.bool_]

_FACES: Final = 6


class Holes(Texts):
    """What closes a hole."""

    VOLUME = "volume", "in 3-D"
    Z = "z", "in each z slice"
    Y = "y", "in each y slice"
    X = "x", "in each x slice"


@dataclass(frozen=True)
class FillHoles:
    """Fill what the label encloses on all sides, in 3-D or within each slice."""

    where: Annotated[Holes, Choice("Holes")] = Holes.VOLUME


def fill_holes(site: Site, options: FillHoles) -> Bools:
    """What no way leads out of, so far as no other label has it."""
    if options.where is Holes.VOLUME:
        # Beyond the box, and the volume, everything is outside: one way round the label.
        around = np.pad(~site.mask, 1, constant_values=True)
        parts = cc3d.connected_components(around, connectivity=_FACES)
        outside = parts == parts[0, 0, 0]
    else:
        outside = _outside_of_slices(site.mask, "zyx".index(options.where))
    return np.asarray(site.mask | (site.free & ~outside[1:-1, 1:-1, 1:-1]))


def _outside_of_slices(mask: Bools, axis: int) -> Bools:
    """What is outside of a mask in each slice along an axis, with a rim of one voxel."""
    around = np.pad(~mask, 1, constant_values=True)
    structure = ndimage.generate_binary_structure(3, 1)
    structure[tuple(slice(None) if a == axis else 1 for a in range(3))] = False
    structure[1, 1, 1] = True
    parts, count = ndimage.label(around, structure)
    is_outside = np.zeros(count + 1, dtype=np.bool_)
    is_outside[parts[tuple(slice(None) if a == axis else 0 for a in range(3))]] = True
    return np.asarray(is_outside[parts])


@dataclass(frozen=True)
class KeepLargest:
    """Keep the largest connected part, remove all others."""


def keep_largest(site: Site, options: KeepLargest) -> Bools:
    """The part that has most voxels."""
    del options
    return largest(site.mask)


@dataclass(frozen=True)
class RemoveSmall:
    """Remove connected parts that are smaller than a volume."""

    volume: Annotated[float, Amount("Smaller than", Measure.VOLUME, 1.0)]


def remove_small(site: Site, options: RemoveSmall) -> Bools:
    """The parts that have at least the volume."""
    parts = cc3d.connected_components(site.mask, connectivity=_FACES)
    stays = np.bincount(parts.ravel()) * np.prod(site.spacing) >= options.volume
    stays[0] = False
    return np.asarray(stays[parts])


@dataclass(frozen=True)
class KeepTouched:
    """Keep the connected parts that you click on, remove all others.

    Parameters
    ----------
    voxels
        What was clicked on (z, y, x), counted in the volume.
    """

    voxels: tuple[tuple[int, int, int], ...]


def keep_touched(site: Site, options: KeepTouched) -> Bools:
    """The parts that hold one of the voxels."""
    clicked = np.array(options.voxels, dtype=np.int64).reshape(-1, 3) - site.start
    clicked = clicked[within(clicked, site.mask.shape)]
    return connected(site.mask, clicked[site.mask[tuple(clicked.T)]])

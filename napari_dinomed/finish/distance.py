"""Grow, shrink, hollow and smooth: tools that go by the distance to the label's edge.

Distances are Euclidean, from voxel to voxel (Felzenszwalb and Huttenlocher 2012), in the
volume's unit. Where the volume ends, nothing is known: the label is neither worn away nor
rounded off there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import cc3d
import edt
import numpy as np
from scipy import ndimage

from napari_dinomed.finish.options import Amount, Measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Site

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]

# Of the finest voxel width: distances of whole voxels are not exact in single precision.
_SLACK = 1e-3
# Of a Gaussian's spread: beyond, a thousandth of its weight is left.
SMOOTH_REACH = 3.0


@dataclass(frozen=True)
class Grow:
    """Add what lies within a distance of the label; it goes round other labels."""

    distance: Annotated[float, Amount("Distance", Measure.LENGTH, 2.0)]


def grow(site: Site, options: Grow) -> Bools:
    """What is near enough, and connected to the label by what is free."""
    near = _depth(~site.mask, site.spacing) <= options.distance + _slack(site)
    near &= site.free
    parts, count = cc3d.connected_components(
        near & site.free, connectivity=6, return_N=True
    )
    is_reached = np.zeros(count + 1, dtype=np.bool_)
    is_reached[parts[site.mask]] = True
    return np.asarray(is_reached[parts])


@dataclass(frozen=True)
class Shrink:
    """Remove what lies within a distance of the label's edge."""

    distance: Annotated[float, Amount("Distance", Measure.LENGTH, 2.0)]


def shrink(site: Site, options: Shrink) -> Bools:
    """What is deep enough inside."""
    deep = _depth(site.mask, site.spacing) > options.distance + _slack(site)
    return np.asarray(site.mask & deep)


@dataclass(frozen=True)
class Hollow:
    """Keep a shell of the label: what lies within a thickness of its edge."""

    thickness: Annotated[float, Amount("Thickness", Measure.LENGTH, 3.0)]


def hollow(site: Site, options: Hollow) -> Bools:
    """What is not too deep inside."""
    deep = _depth(site.mask, site.spacing) > options.thickness + _slack(site)
    return np.asarray(site.mask & ~deep)


@dataclass(frozen=True)
class Smooth:
    """Smooth the surface; details smaller than the radius go, the volume stays."""

    radius: Annotated[float, Amount("Radius", Measure.LENGTH, 2.0)]


def smooth(site: Site, options: Smooth) -> Bools:
    """The signed distance to the edge, blurred by a Gaussian and cut anew.

    It is cut not at 0, which would shrink whatever is convex, but where as many voxels as
    before lie above: the volume is kept to the voxel, but for ties.
    """
    # Of two labels the distance to the other is found in one go, on either side.
    depth = _depth(site.mask.astype(np.uint8) + 1, site.spacing)
    signed = np.where(site.mask, depth, -depth)
    spread = [options.radius / step for step in site.spacing]
    even = ndimage.gaussian_filter(signed, spread, mode="nearest", truncate=SMOOTH_REACH)
    return _highest(even, site.free, int(np.count_nonzero(site.mask)))


def _highest(values: Floats, allowed: Bools, count: int) -> Bools:
    """The allowed voxels of highest value: as near to a count as ties let it be."""
    level = np.partition(values[allowed], -count)[-count]
    over, from_it = allowed & (values > level), allowed & (values >= level)
    short = count - np.count_nonzero(over)
    is_nearer = short < np.count_nonzero(from_it) - count
    return np.asarray(over if is_nearer else from_it)


def _depth(mask: Bools | NDArray[np.uint8], spacing: tuple[float, ...]) -> Any:
    """Distance of each voxel to the nearest that has not its number, 0 where it has 0."""
    return edt.edt(mask, anisotropy=spacing, black_border=False)


def _slack(site: Site) -> float:
    return _SLACK * min(site.spacing)

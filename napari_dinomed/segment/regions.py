"""Connected parts of masks, and boxes around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cc3d
import edt
import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Box = tuple[slice, ...]

# Cells that share a face are connected; things touch by corners, too.
_FACES: Final = 6
_CORNERS: Final = 26


def connected(mask: Bools, seeds: NDArray[np.integer[Any]]) -> Bools:
    """The parts of a mask that hold one of the seeds (n, 3)."""
    mask, where = mask.copy(), tuple(seeds.T)
    mask[where] = True
    components, count = cc3d.connected_components(mask, connectivity=_FACES, return_N=True)
    wanted = np.zeros(count + 1, dtype=bool)
    wanted[components[where]] = True
    return np.asarray(wanted[components])


def numbered(labels: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """A number for each thing of a mask or of labels, of which each is its own; how many.

    A slice of nothing after the last along each axis: where a length is odd, cc3d has no
    room for single cells in the corners.
    """
    padded = np.pad(labels, ((0, 1),) * 3)
    things, count = cc3d.connected_components(padded, connectivity=_CORNERS, return_N=True)
    return things[:-1, :-1, :-1], int(count)


def largest(mask: Bools) -> Bools:
    """The connected part of a mask that has most cells."""
    components = cc3d.connected_components(mask, connectivity=_FACES)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray(components == sizes.argmax()) & mask


def bounding_box(mask: Bools, margin: int = 0) -> Box:
    """The smallest box around a mask, grown by a margin within the grid."""
    (box,) = ndimage.find_objects(mask.astype(np.int8))
    return tuple(
        slice(max(0, part.start - margin), min(length, part.stop + margin))
        for part, length in zip(box, mask.shape, strict=True)
    )


def grown(box: Box, room: int, whole: Box) -> Box:
    """A box with so much room around it, within another."""
    return tuple(
        slice(max(limit.start, part.start - room), min(limit.stop, part.stop + room))
        for part, limit in zip(box, whole, strict=True)
    )


def depth_in(
    mask: Bools, spacing: tuple[float, ...], whole: Sequence[int]
) -> NDArray[np.float32]:
    """How far each voxel of a mask is from what is not of it.

    Parameters
    ----------
    mask
        The mask, in a box that holds it.
    spacing
        Size of a voxel along each axis.
    whole
        Voxels of the volume along each axis: of one slice, no voxel lies at the edge.
    """
    beyond = float(np.dot(whole, spacing))
    steps = [
        step if length > 1 else beyond for step, length in zip(spacing, whole, strict=True)
    ]
    mask = np.ascontiguousarray(mask)
    return np.asarray(edt.edt(mask, anisotropy=steps, black_border=True))


def deepest(
    mask: Bools, spacing: tuple[float, ...], whole: Sequence[int]
) -> NDArray[np.int64]:
    """The voxel (3,) of a mask that is farthest from what is not of it; as `depth_in`."""
    depth = depth_in(mask, spacing, whole)
    return np.array(np.unravel_index(np.argmax(depth), depth.shape), dtype=np.int64)


def start_of(box: Box) -> NDArray[np.int64]:
    """The first voxel (3,) of a box."""
    return np.array([part.start for part in box], dtype=np.int64)


def within(places: NDArray[np.integer[Any]], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Which places (n, 3) lie on a grid of a shape."""
    return np.asarray(((places >= 0) & (places < shape)).all(1))


def moved(box: Box, start: NDArray[np.integer[Any]]) -> Box:
    """A box as counted from a start (3,)."""
    return tuple(
        slice(part.start - int(n), part.stop - int(n))
        for part, n in zip(box, start, strict=True)
    )


def shared(a: Box, b: Box) -> Box:
    """What two boxes have in common; of no length where that is nothing."""
    starts = [max(p.start, q.start) for p, q in zip(a, b, strict=True)]
    return tuple(
        slice(start, max(start, min(p.stop, q.stop)))
        for start, p, q in zip(starts, a, b, strict=True)
    )


def hull(a: Box, b: Box) -> Box:
    """The smallest box around two."""
    return tuple(
        slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True)
    )

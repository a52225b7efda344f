"""A simulated user who clicks where the mask is most wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cc3d
import edt
import numpy as np
from scipy import ndimage

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.segment.regions import depth_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cells that share a corner touch.
_TOUCHING: Final = 26
_TOUCHING_IN_PLANE: Final = 8
# Pixels that a hand keeps away from an edge, where there is room.
_CLEAR_OF_RIM: Final = 2


def next_click(
    truth: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    label: int = 1,
    random: np.random.Generator | None = None,
) -> Point | None:
    """The voxel deepest inside the largest error; None where there is no error.

    The rule of the CVPR 2025 challenge on interactive 3-D segmentation: the largest
    26-connected component of the error, its voxel farthest from the component's edge;
    included where the mask missed, excluded where it spilled.

    Parameters
    ----------
    truth, mask
        Expert and current mask, (z, y, x).
    spacing
        Voxel size along (z, y, x), for distances.
    label
        Label that the click is for.
    random
        Draws the voxel from the deeper half of the component instead: real clicks are
        off-centre.
    """
    components, count = cc3d.connected_components(
        truth ^ mask, connectivity=_TOUCHING, return_N=True
    )
    if count == 0:
        return None
    largest = int(np.argmax(np.bincount(components.ravel())[1:])) + 1
    box = ndimage.find_objects(components, max_label=largest)[largest - 1]
    inside = components[box] == largest
    depth = depth_in(inside, spacing, truth.shape)
    place = np.unravel_index(np.argmax(depth), depth.shape)
    if random is not None:
        place = tuple(random.choice(np.argwhere(depth >= depth.max() / 2)))
    z, y, x = (int(p) + s.start for p, s in zip(place, box, strict=True))
    return Point((z, y, x), label, include=bool(truth[z, y, x]))


def first_stroke(
    truth: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> Stroke | None:
    """A stroke through a truth (z, y, x) in one slice; None where there is nothing.

    It lies in the slice of the deepest voxel, in the part that holds it and clear of its
    rim, and follows the middle of that part from end to end, down or across, wherever the
    part is longer.
    """
    point = next_click(truth, np.zeros_like(truth), spacing)
    if point is None:
        return None
    z, row, column = point.voxel
    parts = cc3d.connected_components(truth[z], connectivity=_TOUCHING_IN_PLANE)
    part = parts == parts[row, column]
    depth = edt.edt(part, black_border=True)
    part = depth > min(_CLEAR_OF_RIM, depth.max() / 2)
    painted = np.zeros_like(truth)
    plane = painted[z]
    height, width = (int(np.ptp(places)) for places in np.nonzero(part))
    if width > height:
        part, plane = part.T, plane.T
    for own, line in zip(part, plane, strict=True):
        if own.any():
            middle = int(np.median(own.nonzero()[0]))
            line[middle] = own[middle]
    return Stroke(Mask.of(painted), point.label)


def random_click(
    truth: NDArray[np.bool_], mask: NDArray[np.bool_], random: np.random.Generator
) -> Point | None:
    """Any voxel (z, y, x) of the error, each as likely; None where there is no error."""
    wrong = np.flatnonzero(truth ^ mask)
    if not len(wrong):
        return None
    z, y, x = (int(n) for n in np.unravel_index(random.choice(wrong), truth.shape))
    return Point((z, y, x), 1, include=bool(truth[z, y, x]))

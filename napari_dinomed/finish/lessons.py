"""Paint that teaches: what brush and eraser corrected, said as prompts.

In: a document in which a label was corrected by hand. Out: the same with prompts that say
so, to be answered anew; what the hand set stays as it is.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import edt
import numpy as np
from scipy import ndimage

from napari_dinomed.annotation.by_hand import paint_of
from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.errors import DocumentError
from napari_dinomed.segment.regions import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.annotation.prompts import Prompt

    Bools = NDArray[np.bool_]
    Spacing = tuple[float, float, float]

# Of the largest corrected parts: each is answered in turn, in a tenth of a second or two.
_MOST_CLICKS = 3
# Pixels from a part's edge to its middle: what is thinner puts an outline right, and says
# nothing of what the thing looks like.
_LEAST_DEPTH = 2.0


def taught_by_paint(document: Document, label: int, spacing: Spacing) -> Document:
    """What was painted and erased by hand, said as prompts: the label is answered anew.

    One object is told by clicks in the middle of the parts that were added and taken
    away: what answers was taught by clicks in the middle of errors, and voxels along an
    outline mislead it. Where all that looks alike is meant, every voxel is an example.

    Parameters
    ----------
    document
        The document.
    label
        The label.
    spacing
        Distance of voxels (z, y, x).

    Raises
    ------
    DocumentError
        Where the label is done, or nothing was painted that teaches anything new.
    """
    document.require_open(label)
    known = document.find(label)
    added, erased = paint_of(document, label)
    if known.meaning is Meaning.ALL_LIKE_THIS:
        said: list[Prompt] = [
            Stroke(mask, label, include)
            for mask, include in ((added, True), (erased, False))
            if mask
        ]
    else:
        said = _clicks(document, label, added, erased, spacing)
    taught = document
    for prompt in said:
        taught = taught.with_prompt(prompt)
    if not said:
        raise DocumentError(
            f"Nothing was painted on {known.name} that teaches anything new: correct a "
            "part of it by brush or eraser first, not its outline alone."
        )
    return taught


def _clicks(
    document: Document, label: int, added: Mask, erased: Mask, spacing: Spacing
) -> list[Prompt]:
    """Clicks in the middle of the largest parts in which there is none yet."""
    clicked = {
        include: [
            point.voxel
            for point in document.prompts.points
            if point.label == label and point.include == include
        ]
        for include in (True, False)
    }
    parts = [
        (part, start, include)
        for mask, include in ((added, True), (erased, False))
        for part, start in _parts(mask)
        if not any(_holds(part, start, voxel) for voxel in clicked[include])
    ]
    parts.sort(key=lambda one: -np.count_nonzero(one[0]))
    middles = ((_middle(part, spacing), start, include) for part, start, include in parts)
    found = (
        Point(_voxel(middle + start), label, include)
        for middle, start, include in middles
        if middle is not None
    )
    return list(islice(found, _MOST_CLICKS))


def _parts(mask: Mask) -> Iterator[tuple[Bools, NDArray[np.int64]]]:
    """The connected parts of a mask, each in its box, and where that begins."""
    if not mask:
        return
    start = np.array([part.start for part in mask.box])
    numbers, _ = numbered(mask.array(mask.box))
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        yield numbers[box] == number, start + [part.start for part in box]


def _holds(part: Bools, start: NDArray[np.int64], voxel: tuple[int, int, int]) -> bool:
    place = np.subtract(voxel, start)
    is_near = bool(((place >= 0) & (place < part.shape)).all())
    return is_near and bool(part[tuple(place)])


def _middle(part: Bools, spacing: Spacing) -> NDArray[np.int64] | None:
    """The deepest voxel of a part's fullest slice; None where it is thin there.

    A hand paints in a plane: that across which the part is thinnest.
    """
    lengths = np.multiply(part.shape, spacing)
    is_flat = np.array(part.shape) == min(part.shape)
    axis = int(np.argmin(np.where(is_flat, lengths, np.inf)))
    other = tuple(a for a in range(3) if a != axis)
    index = int(part.sum(other).argmax())
    pixel = tuple(spacing[a] for a in other)
    plane = np.ascontiguousarray(part.take(index, axis))
    depth = edt.edt(plane, anisotropy=pixel, black_border=True)
    if depth.max() < _LEAST_DEPTH * max(pixel):
        return None
    place = np.array(np.unravel_index(depth.argmax(), depth.shape))
    return np.insert(place, axis, index)


def _voxel(place: NDArray[np.int64]) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in place)
    return z, y, x

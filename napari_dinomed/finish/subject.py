"""What a tool works on: the label's voxels in a box, and what lies around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import FinishError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Mask

    Bools = NDArray[np.bool_]
    Box = tuple[slice, slice, slice]
    GreyOf = Callable[[Box], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A label among others, on the grid of a volume.

    Parameters
    ----------
    name
        What the user calls it.
    own
        Its voxels.
    others
        Voxels of each other label: no tool takes one of them.
    shape, spacing
        Of the volume (z, y, x).
    grey_of
        From a box to its grey values; None where there is no image.
    """

    name: str
    own: Mask
    others: tuple[Mask, ...]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    grey_of: GreyOf | None = None

    @property
    def diagonal(self) -> float:
        """From one corner of the volume to the other."""
        return math.hypot(*np.multiply(self.shape, self.spacing).tolist())

    def around(self, reach: float) -> Site:
        """The label's box with so much room around it, so far as the volume goes."""
        return Site(self, with_room(self.own.box, reach, self.shape, self.spacing))


@dataclass(frozen=True, eq=False)
class Site:
    """A box of a volume with a label in it.

    Parameters
    ----------
    subject
        The label.
    box
        Where.
    """

    subject: Subject
    box: Box

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of voxels along (z, y, x)."""
        return self.subject.spacing

    @property
    def start(self) -> tuple[int, ...]:
        """The first voxel of the box."""
        return tuple(part.start for part in self.box)

    @cached_property
    def mask(self) -> Bools:
        """The label's voxels."""
        return self.subject.own.array(self.box)

    @cached_property
    def free(self) -> Bools:
        """Voxels that no other label has."""
        free = np.ones(self.mask.shape, dtype=np.bool_)
        for other in self.subject.others:
            free &= ~other.array(self.box)
        return free

    @cached_property
    def grey(self) -> NDArray[Any]:
        """Grey values.

        Raises
        ------
        FinishError
            Where there is no image.
        """
        if self.subject.grey_of is None:
            raise FinishError("Expected the image, for its grey values; got labels alone.")
        return np.asarray(self.subject.grey_of(self.box))


def with_room(
    box: tuple[slice, ...],
    reach: float,
    shape: tuple[int, ...],
    spacing: tuple[float, float, float],
) -> Box:
    """A box with so much room around it, so far as a grid goes."""
    found = []
    for part, length, step in zip(box, shape, spacing, strict=True):
        # One voxel more: that something ends is seen only beside it.
        room = int(min(np.ceil(reach / step), length)) + 1
        found.append(slice(max(0, part.start - room), min(length, part.stop + room)))
    return found[0], found[1], found[2]

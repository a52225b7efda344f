"""A volume as an encoder sees it: windowed slices along an axis, read a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume import Volume, Window

Planes = Literal["auto", "one", "three"]

_ISOTROPIC = 2.5
_PER_TOKEN = 3


@dataclass(frozen=True)
class SlicePlan:
    """How slices are cut and brought to an encoder.

    Parameters
    ----------
    height, width
        Pixels that a slice is resized to before patches are cut.
    axis
        Axis of the volume (z, y, x) that the slices are taken along.
    step
        Every how many of them.
    """

    height: int
    width: int
    axis: int = 0
    step: int = 1


def slice_plans(volume: Volume, side: int, stride: int, planes: Planes) -> list[SlicePlan]:
    """Plans for one plane or three, in which a pixel has the same size in the world.

    Across the second and third plane, slices nearer to each other than a third of a token
    are left out: they would say the same.

    Parameters
    ----------
    volume
        The volume.
    side
        Pixels for the shorter side of a slice along z.
    stride
        Pixels per token.
    planes
        One plane, or three; ``"auto"`` takes three where voxels are nearly cubes.
    """
    spacing = np.array(volume.geometry.spacing)
    extent = spacing * volume.array.shape
    pixel = extent[1:].min() / side
    first = SlicePlan(*_pixels(extent[1:], pixel))
    if planes == "auto":
        planes = "three" if spacing.max() <= _ISOTROPIC * spacing.min() else "one"
    if planes == "one":
        return [first]
    others = []
    for axis in (1, 2):
        size = np.maximum(_pixels(np.delete(extent, axis), pixel), 2 * stride)
        step = max(1, int(stride * pixel / _PER_TOKEN / spacing[axis]))
        step = min(step, volume.array.shape[axis])
        others.append(SlicePlan(int(size[0]), int(size[1]), axis, step))
    return [first, *others]


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Every ``step``-th slice along an axis, as grey values in [0, 1]."""

    volume: Volume
    window: Window
    axis: int = 0
    step: int = 1

    @property
    def depth(self) -> int:
        """Number of slices."""
        length = int(self.volume.array.shape[self.axis])
        return len(range(self.step // 2, length, self.step))

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        rows, columns = (
            n for axis, n in enumerate(self.volume.array.shape) if axis != self.axis
        )
        return (rows, columns)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Slices ``start`` to ``stop`` as (n, rows, columns); past the ends they repeat."""
        indices = np.clip(np.arange(start, stop), 0, self.depth - 1)
        first, last = int(indices[0]), int(indices[-1])
        low, high = (self.step // 2 + end * self.step for end in (first, last))
        wanted = (slice(None),) * self.axis + (slice(low, high + 1, self.step),)
        slab = np.moveaxis(np.asarray(self.volume.array[wanted]), self.axis, 0)
        return self.window.apply(slab)[indices - first]


def _pixels(extent: NDArray[np.float64], pixel: float) -> tuple[int, int]:
    height, width = (max(1, round(float(length) / pixel)) for length in extent)
    return height, width

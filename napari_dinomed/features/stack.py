"""A volume as an encoder sees it: windowed slices along an axis, read a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np

from napari_dinomed.volume import Window
from napari_dinomed.volume.channels import WHITE
from napari_dinomed.volume.colours import COLOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume import Planes, Volume

_PER_TOKEN = 3
# Numbers that the tokens of one stack may take in memory; of a volume that is itself
# too large for it, fewer.
_MOST_NUMBERS = 500_000_000
_MOST_NUMBERS_LAZY = 200_000_000
# Pixels of a slice of such a volume; filters hold several dozen slices at a time.
_MOST_PIXELS_LAZY = 512 * 1024
# Of further images: they are windowed before they come.
_WHOLE = Window(0, WHITE)
# Bytes of a slab that is kept to read the next slices from.
_SLAB = 128 * 1024**2


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
    shrink
        Pixels along a side of the blocks that are averaged before anything else.
    """

    height: int
    width: int
    axis: int = 0
    step: int = 1
    shrink: int = 1


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
        One plane, or three; ``"auto"`` takes three where voxels are nearly cubes, and
        slices across are at least a token wide.
    """
    spacing = np.array(volume.geometry.spacing)
    extent = spacing * volume.array.shape
    pixel = extent[1:].min() / side
    first = SlicePlan(*_pixels(extent[1:], pixel))
    if planes == "auto":
        # Across what is thinner than a token, as a picture, there is nothing to see.
        is_thick = extent[0] >= stride * pixel
        planes = "three" if is_thick and volume.geometry.is_nearly_cubic else "one"
    if planes == "one":
        return [first]
    others = []
    for axis in (1, 2):
        size = np.maximum(_pixels(np.delete(extent, axis), pixel), 2 * stride)
        step = max(1, int(stride * pixel / _PER_TOKEN / spacing[axis]))
        step = min(step, volume.array.shape[axis])
        others.append(SlicePlan(int(size[0]), int(size[1]), axis, step))
    return [first, *others]


def dense_plan(volume: Volume, channels: int, stride: int) -> SlicePlan:
    """A plan for an encoder that works at the slices' own resolution, along z.

    A volume whose tokens would not fit into memory is thinned out, the finest axes first.

    Parameters
    ----------
    volume
        The volume.
    channels, stride
        Numbers per token, and pixels per token.
    """
    spacing = volume.geometry.spacing
    depth, height, width = volume.array.shape
    most, widest = (
        (_MOST_NUMBERS_LAZY, _MOST_PIXELS_LAZY) if volume.is_lazy else (_MOST_NUMBERS, None)
    )
    step = shrink = 1
    while True:
        slices = len(range(step // 2, depth, step))
        rows, columns = (-(-n // (stride * shrink)) for n in (height, width))
        is_wide = widest is not None and height * width / shrink**2 > widest
        if slices * rows * columns * channels <= most and not is_wide:
            return SlicePlan(height, width, 0, step, shrink)
        if spacing[0] * step < spacing[1] * shrink and not is_wide:
            step += 1
        else:
            shrink += 1


class SliceStack:
    """Every ``step``-th slice along an axis, as grey values or colours in [0, 1].

    Parameters
    ----------
    volume, window
        Voxels, and how grey values are brought to [0, 1].
    axis, step, shrink
        As in the plan.
    """

    def __init__(
        self, volume: Volume, window: Window, axis: int = 0, step: int = 1, shrink: int = 1
    ) -> None:
        self.volume, self.window = volume, window
        self.axis, self.step, self.shrink = axis, step, shrink
        self._slabs = [_Slabs(array, axis) for array in (volume.array, *volume.others)]
        channels = () if volume.colours is None else np.moveaxis(volume.colours, -1, 0)
        self._channels = [_Slabs(channel, axis) for channel in channels]

    @property
    def depth(self) -> int:
        """Number of slices."""
        length = int(self.volume.array.shape[self.axis])
        return len(range(self.step // 2, length, self.step))

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        rows, columns = (
            -(-n // self.shrink)
            for axis, n in enumerate(self.volume.array.shape)
            if axis != self.axis
        )
        return (rows, columns)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of slices, rows and columns, in the volume's unit."""
        across = self.volume.geometry.spacing[self.axis] * self.step
        rows, columns = (
            length * self.shrink
            for axis, length in enumerate(self.volume.geometry.spacing)
            if axis != self.axis
        )
        return (across, rows, columns)

    @property
    def images(self) -> int:
        """How many grey images of the same voxels there are."""
        return len(self._slabs)

    def read(self, start: int, stop: int, image: int = 0) -> NDArray[np.float32]:
        """Slices ``start`` to ``stop`` as (n, rows, columns); past the ends they repeat.

        Of a picture in colour that is the luminance.
        """
        window = _WHOLE if image else self.window
        return self._read(self._slabs[image], window, start, stop)

    def colours(self, start: int, stop: int) -> NDArray[np.float32]:
        """Slices (n, colours, rows, columns): red, green and blue of a picture in colour.

        Else one grey, or three of several images; of two, the third colour is their mean.
        """
        if self._channels:
            images = [self._read(one, self.window, start, stop) for one in self._channels]
            return np.stack(images, axis=1)
        images = [self.read(start, stop, image) for image in range(self.images)]
        if len(images) == COLOURS - 1:
            images.append(np.mean(images, axis=0, dtype=np.float32))
        return np.stack(images, axis=1)

    def _read(
        self, slabs: _Slabs, window: Window, start: int, stop: int
    ) -> NDArray[np.float32]:
        indices = np.clip(np.arange(start, stop), 0, self.depth - 1)
        first, last = int(indices[0]), int(indices[-1])
        slices = [
            self._shrunk(window.apply(slabs.slice(self.step // 2 + number * self.step)))
            for number in range(first, last + 1)
        ]
        return np.stack(slices)[indices - first]

    def _shrunk(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.shrink == 1:
            return plane
        pad = [(0, -length % self.shrink) for length in plane.shape]
        padded = np.pad(plane, pad, mode="edge")
        rows, columns = self.slice_shape
        blocks = padded.reshape(rows, self.shrink, columns, self.shrink)
        return np.asarray(blocks.mean((1, 3)))


class _Slabs:
    """Slices of an array along an axis; of a lazy one, whole chunks are read at once."""

    def __init__(self, array: Any, axis: int) -> None:
        self._array, self._axis = array, axis
        self._start, self._slab = 0, np.empty(0)

    def slice(self, index: int) -> NDArray[Any]:
        """One slice (rows, columns)."""
        if isinstance(self._array, np.ndarray):
            return np.asarray(self._array.take(index, self._axis))
        if not self._start <= index < self._start + len(self._slab):
            self._start, stop = self._chunk(index)
            self._slab = self._read(self._start, stop)
        return np.asarray(self._slab[index - self._start])

    def _chunk(self, index: int) -> tuple[int, int]:
        """The chunk that holds a slice, or, where it is too thick to keep, a part of it."""
        ends = np.cumsum(self._array.chunks[self._axis])
        number = int(np.searchsorted(ends, index, side="right"))
        stop = int(ends[number])
        start = stop - int(self._array.chunks[self._axis][number])
        slice_bytes = self._array.nbytes / self._array.shape[self._axis]
        thickness = max(1, int(_SLAB // slice_bytes))
        if stop - start <= thickness:
            return start, stop
        start += (index - start) // thickness * thickness
        return start, min(stop, start + thickness)

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        wanted = (slice(None),) * self._axis + (slice(start, stop),)
        lazy = dask.array.moveaxis(self._array[wanted], self._axis, 0)
        # The old slab must go before the new one comes.
        self._slab = np.empty(0)
        slab = np.empty(lazy.shape, lazy.dtype)
        dask.array.store(lazy, slab, lock=False)
        return slab


def _pixels(extent: NDArray[np.float64], pixel: float) -> tuple[int, int]:
    height, width = (max(1, round(float(length) / pixel)) for length in extent)
    return height, width

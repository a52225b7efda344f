"""The built-in encoder: multi-scale 3-D filters, for when there are no weights.

The filter set is the one of pixel classification (Sommer et al., ilastik, ISBI 2011) with
the context of wide Gaussians and the position in the volume added, so that a forest can
tell two organs of the same grey value apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.device import CPU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.encoder import EncoderSpec
    from napari_dinomed.features.stack import SlicePlan, SliceStack
    from napari_dinomed.volume import Volume, Window

    Floats = NDArray[np.float32]

# The response that is the grey value, smoothed by two pixels.
GREY_CHANNEL = 4
_STRIDE = 2
_COARSE = 4
_REACH = 3.0
_FINE = (1.0, 2.0, 4.0)
_WIDE = (8.0, 16.0)


class FilterEncoder:
    """Tokens of 17 filter responses to each image, and of the position in the volume.

    There is one for every 2 × 2 pixels of every slice.

    Scales are in pixels of the slice; across slices they shrink with the spacing, so
    that a filter is as wide in millimetres through the plane as it is within it.
    """

    spec: EncoderSpec = FILTERS
    signature = "filters-3"
    device = "CPU (filters)"
    torch_device = CPU
    window: Window | None = None
    metric = "euclidean"
    is_learnt = False
    is_planar = False
    position_channels = 3
    block = 16

    def remarks(self, volume: Volume, plan: SlicePlan) -> tuple[str, ...]:
        """Nothing: it was not trained on anything."""
        del volume, plan
        return ()

    def channels(self, images: int) -> int:
        """Numbers per token."""
        one = self.spec.channels - self.position_channels
        return one * images + self.position_channels

    def grid(self, slice_shape: tuple[int, int], plan: SlicePlan) -> tuple[int, int]:
        """Rows and columns of tokens."""
        del plan
        return (-(-slice_shape[0] // _STRIDE), -(-slice_shape[1] // _STRIDE))

    def encode(
        self, stack: SliceStack, start: int, stop: int, plan: SlicePlan
    ) -> NDArray[np.float16]:
        """Tokens (slices, channels, rows, columns) of slices ``start`` to ``stop``."""
        del plan
        spacing = stack.spacing
        flatness = min(1.0, spacing[1] / spacing[0])
        channels: list[Floats] = []
        for image in range(stack.images):
            channels.extend(_fine_channels(stack, start, stop, flatness, image))
            channels.extend(_wide_channels(stack, start, stop, flatness, image))
        channels.extend(_position(stack, start, stop))
        return np.stack(channels, axis=1).astype(np.float16)


def _fine_channels(
    stack: SliceStack, start: int, stop: int, flatness: float, image: int
) -> list[Floats]:
    """Smoothed grey, edges, ridges and texture, on the token grid."""
    halo = int(np.ceil(_REACH * _FINE[-1] * flatness)) + 3
    slab = stack.read(start - halo, stop + halo, image)

    def kept(response: Floats) -> Floats:
        return _block_mean(response[halo:-halo], _STRIDE)

    channels = [kept(slab)]
    for sigma in _FINE:
        smooth = _gaussian(slab, sigma, flatness)
        slopes = [_slope(smooth, axis, flatness) for axis in range(3)]
        channels.append(kept(smooth))
        channels.append(sigma * kept(np.sqrt(sum(slope**2 for slope in slopes))))
        if sigma == _FINE[0]:
            channels.append(sigma**2 * kept(_laplacian(slopes, flatness)))
            continue
        eigenvalues = _hessian_eigenvalues([kept(s) for s in _hessian(slopes, flatness)])
        channels.extend(sigma**2 * np.moveaxis(eigenvalues, -1, 0))
    mean = _gaussian(slab, 2.0, flatness)
    variance = _gaussian(slab**2, 2.0, flatness) - mean**2
    channels.append(np.sqrt(np.maximum(kept(variance), 0)))
    return channels


def _wide_channels(
    stack: SliceStack, start: int, stop: int, flatness: float, image: int
) -> list[Floats]:
    """What surrounds a voxel, 8 and 16 pixels wide; computed on a coarser grid."""
    halo = int(np.ceil(_REACH * _WIDE[-1] * flatness))
    slab = stack.read(start - halo, stop + halo, image)
    coarse = _block_mean(slab, _COARSE)
    rows, columns = (-(-size // _STRIDE) for size in stack.slice_shape)
    zoom = _STRIDE / _COARSE
    # A token's centre, on the coarse grid.
    start_at = (zoom - 1) / 2
    channels = []
    for sigma in _WIDE:
        sigmas = (sigma * flatness, sigma / _COARSE, sigma / _COARSE)
        wide = ndimage.gaussian_filter(coarse, sigmas, mode="nearest", truncate=_REACH)
        channels.append(
            ndimage.affine_transform(
                wide[halo : len(wide) - halo],
                (1, zoom, zoom),
                offset=(0, start_at, start_at),
                output_shape=(stop - start, rows, columns),
                order=1,
                mode="nearest",
            )
        )
    return channels


def _position(stack: SliceStack, start: int, stop: int) -> list[Floats]:
    """Where a token lies in the volume, from 0 to 1 along each axis."""
    rows, columns = stack.slice_shape
    axes = (
        np.arange(start, stop) / max(1, stack.depth - 1),
        np.arange(0, rows, _STRIDE) / rows,
        np.arange(0, columns, _STRIDE) / columns,
    )
    return [
        np.asarray(axis, dtype=np.float32) for axis in np.meshgrid(*axes, indexing="ij")
    ]


def _gaussian(slab: Floats, sigma: float, flatness: float) -> Floats:
    sigmas = (sigma * flatness, sigma, sigma)
    return np.asarray(
        ndimage.gaussian_filter(slab, sigmas, mode="nearest", truncate=_REACH)
    )


def _slope(smooth: Floats, axis: int, flatness: float) -> Floats:
    """Change per pixel of the slice: between thick slices grey values are far apart."""
    if smooth.shape[axis] == 1:
        return np.zeros_like(smooth)
    return np.asarray(np.gradient(smooth, axis=axis) * (flatness if axis == 0 else 1.0))


def _hessian(slopes: list[Floats], flatness: float) -> list[Floats]:
    """Second derivatives zz, zy, zx, yy, yx, xx of a smoothed slab."""
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    return [_slope(slopes[a], b, flatness) for a, b in pairs]


def _laplacian(slopes: list[Floats], flatness: float) -> Floats:
    return np.asarray(
        sum(_slope(slope, axis, flatness) for axis, slope in enumerate(slopes))
    )


def _hessian_eigenvalues(parts: list[Floats]) -> Floats:
    """Eigenvalues of the symmetric 3×3 matrices, ascending, along the last axis."""
    zz, zy, zx, yy, yx, xx = parts
    matrix = np.stack([zz, zy, zx, zy, yy, yx, zx, yx, xx], axis=-1)
    return np.asarray(np.linalg.eigvalsh(matrix.reshape(*zz.shape, 3, 3)))


def _block_mean(slab: Floats, size: int) -> Floats:
    """In-plane mean over size × size blocks; edges repeat to fill the last block."""
    pad = [(0, 0), *((0, -length % size) for length in slab.shape[1:])]
    padded = np.pad(slab, pad, mode="edge")
    depth, rows, columns = padded.shape
    return np.asarray(
        padded.reshape(depth, rows // size, size, columns // size, size).mean((2, 4))
    )

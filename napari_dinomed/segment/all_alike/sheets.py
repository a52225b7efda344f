"""Thin sheets in volumes of nearly cubic voxels: membranes as FIB-SEM shows them.

The largest curvature of the smoothed grey values, less what they are curved along the
sheet (Sato et al., Radiology 1998): there a sheet is flat. It is measured on voxels, which
are about as large as membranes are thick, and told by its mean over each cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_dinomed.segment.all_alike.thin import (
    AROUND,
    WIDTH,
    Thin,
    are_bright,
    standardised,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# Kernels end at so many standard deviations.
_REACH = 4.0
# Voxels whose curvatures are measured at once: some hundred megabytes.
_AT_ONCE = 2_000_000


def sheets_of(
    voxels: NDArray[np.generic],
    grey: Floats,
    spacing: NDArray[np.float64],
    pooled: Callable[[Floats], Floats],
) -> Thin:
    """Sheets in a volume.

    Parameters
    ----------
    voxels
        Grey values (z, y, x).
    grey
        The same on the working grid, smoothed.
    spacing
        Edges of a voxel along (z, y, x), in nanometres.
    pooled
        From values of voxels to their means over cells.
    """
    dark, bright = map(pooled, _curvatures(voxels, spacing))
    is_bright = are_bright(bright, dark)
    score = bright if is_bright else dark
    towards = standardised(grey if is_bright else -grey)
    sides = np.divide(voxels.shape, score.shape) * spacing
    sizes = [2 * round(AROUND / side) + 1 for side in sides]
    return Thin.of(score, ndimage.uniform_filter(score, sizes), towards)


def _curvatures(
    voxels: NDArray[np.generic], spacing: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """How much of a dark and of a bright sheet there is in every voxel."""
    dark, bright = (np.empty(voxels.shape, dtype=np.float32) for _ in range(2))
    # A filter less than a voxel wide is none.
    widths = WIDTH / np.minimum(spacing, WIDTH)
    halo = int(np.ceil(_REACH * widths[0])) + 1
    size = max(1, _AT_ONCE // voxels[0].size)
    for start in range(0, len(voxels), size):
        stop = min(len(voxels), start + size)
        before = min(start, halo)
        slab = voxels[start - before : stop + halo].astype(np.float32)
        least, middle, most = (
            part[before : before + stop - start] for part in _eigenvalues(slab, widths)
        )
        dark[start:stop] = most - np.maximum(middle, 0) - np.maximum(least, 0)
        bright[start:stop] = np.minimum(middle, 0) + np.minimum(most, 0) - least
    return dark, bright


def _eigenvalues(
    slab: Floats, widths: NDArray[np.float64]
) -> tuple[Floats, Floats, Floats]:
    """Curvatures of grey values smoothed by widths in voxels, ascending, in those units.

    Those of a symmetric 3 × 3 matrix in closed form (Smith, Comm. ACM 1961).
    """
    zz, yy, xx, zy, zx, yx = (
        np.float32((widths**order).prod())
        * ndimage.gaussian_filter(slab, widths, order, truncate=_REACH)
        for order in ((2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (1, 0, 1), (0, 1, 1))
    )
    mean = (zz + yy + xx) / 3
    zz, yy, xx = zz - mean, yy - mean, xx - mean
    squares = zz**2 + yy**2 + xx**2 + 2 * (zy**2 + zx**2 + yx**2)
    spread = np.maximum(np.sqrt(squares / 6), np.finfo(np.float32).tiny)
    zz, yy, xx, zy, zx, yx = (part / spread for part in (zz, yy, xx, zy, zx, yx))
    determinant = (
        zz * (yy * xx - yx**2) - zy * (zy * xx - yx * zx) + zx * (zy * yx - yy * zx)
    )
    angle = np.arccos(np.clip(determinant / 2, -1, 1)) / 3
    most = 2 * spread * np.cos(angle)
    least = 2 * spread * np.cos(angle + np.float32(2 * np.pi / 3))
    return mean + least, mean - most - least, mean + most

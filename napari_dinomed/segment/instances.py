"""A mask split into the things it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.cluster.hierarchy import DisjointSet

from napari_dinomed.segment.regions import bounding_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Depths = NDArray[np.float32]
    Basins = NDArray[np.int32]

_NECK = 0.75
_OUTGROWTH = 0.33


def split_instances(
    mask: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.int32]:
    """Number the things in a mask; those that touch at a neck are told apart.

    A watershed of the distance to the background (Beucher and Lantuéjoul 1979) has one
    basin for each of its maxima, far too many where outlines are rough. Two that touch
    are one thing unless the passage between them is narrower than three quarters of the
    narrower one; what is less than a third as wide as its neighbour is an outgrowth of it.

    Parameters
    ----------
    mask
        Voxels (z, y, x).
    spacing
        Distance of voxels along each axis.

    Returns
    -------
    NDArray[np.int32]
        0 outside the mask; inside 1, 2, …, the first for the largest.
    """
    instances = np.zeros(mask.shape, dtype=np.int32)
    if not mask.any():
        return instances
    # Beyond the box there is background, but beyond the volume the thing may go on.
    box = bounding_box(mask, 1)
    instances[box] = by_size(_split(mask[box], spacing))
    return instances


def split_labels(
    labels: NDArray[np.uint8] | NDArray[np.uint16], spacing: tuple[float, float, float]
) -> NDArray[np.int32]:
    """The things of each label, numbered on from label to label.

    Parameters
    ----------
    labels
        Voxels (z, y, x), 0 for none.
    spacing
        Distance of voxels along each axis.
    """
    instances = np.zeros(labels.shape, dtype=np.int32)
    for label in np.unique(labels[labels > 0]):
        things = split_instances(labels == label, spacing)
        instances += np.where(things > 0, things + instances.max(), 0)
    return instances


def by_size(parts: Basins) -> Basins:
    """Parts numbered anew from 1, the largest first; 0 stays."""
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    numbers = np.zeros(len(sizes), dtype=np.int32)
    numbers[order] = np.arange(1, len(order) + 1)
    return np.asarray(numbers[parts])


def _split(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Basins:
    from skimage.segmentation import watershed

    if mask.all():
        return np.ones(mask.shape, dtype=np.int32)
    depth: Depths = ndimage.distance_transform_edt(mask, spacing).astype(np.float32)
    touching = np.ones((3, 3, 3), dtype=bool)
    peaks = mask & (ndimage.maximum_filter(depth, footprint=touching) == depth)
    seeds, _ = ndimage.label(peaks, touching)
    basins = watershed(-depth, seeds, connectivity=touching, mask=mask)
    return np.asarray(_joined(basins.astype(np.int32), depth), dtype=np.int32)


def _joined(basins: Basins, depth: Depths) -> Basins:
    """Basins joined, from the widest passage to the narrowest, where they are one thing."""
    count = int(basins.max())
    widest = ndimage.maximum(depth, basins, np.arange(count + 1))
    things = DisjointSet(range(count + 1))
    for first, second, passage in _passages(basins, depth):
        narrow, wide = sorted((widest[things[first]], widest[things[second]]))
        if passage >= _NECK * narrow or narrow < _OUTGROWTH * wide:
            things.merge(first, second)
            widest[things[first]] = wide
    return np.array([things[basin] for basin in range(count + 1)], dtype=np.int32)[basins]


def _passages(basins: Basins, depth: Depths) -> list[tuple[int, int, float]]:
    """Pairs of basins that touch, and the depth of the passage, the deepest first."""
    firsts, seconds, passages = [], [], []
    for axis in range(3):
        here, there = (
            tuple(part if number == axis else slice(None) for number in range(3))
            for part in (slice(None, -1), slice(1, None))
        )
        border = (basins[here] != basins[there]) & (basins[here] > 0) & (basins[there] > 0)
        firsts.append(basins[here][border])
        seconds.append(basins[there][border])
        passages.append(np.minimum(depth[here][border], depth[there][border]))
    pairs = np.sort([np.concatenate(firsts), np.concatenate(seconds)], axis=0)
    passage = np.concatenate(passages)
    order = np.argsort(-passage, kind="stable")
    _, deepest = np.unique(pairs[:, order], axis=1, return_index=True)
    chosen = order[np.sort(deepest)]
    return list(zip(*pairs[:, chosen].tolist(), passage[chosen].tolist(), strict=True))

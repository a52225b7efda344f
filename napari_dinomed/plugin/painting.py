"""From packed masks to the array of a layer, and from napari's edits to packed masks.

In: masks with their values; edits as napari tells of them. Out: what changed, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.annotation.mask import EMPTY, Mask, hull

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Box

    Boxes = Mapping[int, Box]
    Parts = Iterable[tuple[int, Mask]]


def boxes_of(*masks: Mask) -> dict[int, Box]:
    """The box in each slice that holds all masks."""
    return joined(*({n: plane.box for n, plane in mask.planes.items()} for mask in masks))


def joined(*several: Mapping[int, Box]) -> dict[int, Box]:
    """The box in each slice that holds all boxes."""
    found: dict[int, Box] = {}
    for boxes in several:
        for index, box in boxes.items():
            found[index] = hull(found[index], box) if index in found else box
    return found


def repaint(array: NDArray[Any], boxes: Boxes, parts: Parts) -> bool:
    """Make boxes of an array (z, y, x) hold the values of masks; whether any voxel changed.

    Later masks lie over earlier ones.
    """
    parts, changed = list(parts), False
    for index, box in boxes.items():
        wanted = np.zeros([part.stop - part.start for part in box], dtype=array.dtype)
        for value, mask in parts:
            plane = mask.planes.get(index)
            if plane is not None:
                wanted[plane.within(box)] = value
        if not np.array_equal(array[index][box], wanted):
            array[index][box] = wanted
            changed = True
    return changed


def edits_of(
    atoms: Iterable[Any], shape: tuple[int, ...], kept: Parts = ()
) -> list[tuple[int, Mask]]:
    """Values that were painted, each with its voxels, from a `Labels.events.paint`.

    Of a stroke that comes back over itself, the last value counts.

    Parameters
    ----------
    atoms
        Each is a box (``slice_key``) with a mask in it and one new value, or a tuple of
        indices with their old values and one or many new ones.
    shape
        Of the layer.
    kept
        Values with voxels that a hand went over and that had them already.
    """
    edits: dict[int, Mask] = {}
    for value, mask in kept:
        edits[value] = edits.get(value, EMPTY) | mask
    for atom in atoms:
        boxed = hasattr(atom, "slice_key")
        for value, mask in _of_box(atom, shape) if boxed else _of_indices(*atom):
            for other in edits:
                edits[other] = edits[other] - mask
            edits[value] = edits.get(value, EMPTY) | mask
    return [(value, mask) for value, mask in edits.items() if mask]


def _of_box(atom: Any, shape: tuple[int, ...]) -> Iterable[tuple[int, Mask]]:
    box = [range(n)[part] for part, n in zip(atom.slice_key, shape, strict=True)]
    painted = np.ones([len(part) for part in box], dtype=np.bool_)
    if atom.mask is not None:
        painted = np.asarray(atom.mask).reshape(painted.shape)
    yield int(atom.new_value), Mask.of(painted, [part.start for part in box])


def _of_indices(indices: Any, old: Any, new: Any) -> Iterable[tuple[int, Mask]]:
    voxels = np.stack([np.asarray(i) for i in indices], axis=-1).reshape(-1, 3)
    values = np.broadcast_to(np.asarray(new), len(voxels))
    changed = np.broadcast_to(np.asarray(old), len(voxels)) != values
    for value in np.unique(values[changed]):
        yield int(value), Mask.of_voxels(voxels[changed & (values == value)])

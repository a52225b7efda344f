"""The smooth surface of a label, which encloses as much as its voxels do.

Marching cubes (Lewiner and others 2003) on the label's own box, then Taubin's smoothing
(*A signal processing approach to fair surface design*, 1995): it takes the steps of voxels
away and, unlike a plain mean, does not shrink what is round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from skimage.measure import marching_cubes

from napari_dinomed.errors import FinishError
from napari_dinomed.volume.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.volume import Geometry

    Bools = NDArray[np.bool_]
    Faces = NDArray[np.int32]
    Floats = NDArray[np.floating[Any]]
    Points = NDArray[np.float64]

# Taubin's own two weights, and the rounds after which steps of single voxels are gone.
_IN, _OUT, _ROUNDS = 0.5, -0.53, 15
# Of a voxel's share that is inside: at a half exactly, corners that touch are a tie, which
# marching cubes decides differently on the two sides of a face and leaves a crack.
_LEVEL = 0.49
# A part that smoothing leaves less of, as a single voxel, stays as it was.
_LEAST_LEFT = 0.5
# Steps outwards or inwards by which the volume becomes that of the voxels.
_STEPS = 3
# Voxels of a box that are made a surface of in about a second.
_MOST_SHOWN = 4_000_000
_TINY = float(np.finfo(np.float64).tiny)


def surface_of(mask: Mask, geometry: Geometry, is_smooth: bool = True) -> Mesh:
    """A label's surface, in world coordinates (X, Y, Z).

    Parameters
    ----------
    mask
        The label's voxels.
    geometry
        Their grid.
    is_smooth
        Whether the steps of voxels are smoothed away.

    Raises
    ------
    FinishError
        Where there is no voxel.
    """
    vertices, faces = _surface(mask, (1, 1, 1), geometry.spacing, is_smooth)
    return _outwards(geometry.to_world(vertices), faces)


def shown_surface(mask: Mask, geometry: Geometry) -> Mesh:
    """As `surface_of` in voxel indices (z, y, x), coarser where the label is large."""
    size = [part.stop - part.start for part in mask.box]
    spacing, shrink = np.array(geometry.spacing), np.ones(3, dtype=np.int64)
    while np.prod(np.array(size) / shrink, dtype=np.float64) > _MOST_SHOWN:
        # The finest axis first, so that what is shown becomes even.
        shrink[np.argmin(spacing * shrink)] += 1
    z, y, x = (int(n) for n in shrink)
    return _outwards(*_surface(mask, (z, y, x), geometry.spacing, True))


def _surface(
    mask: Mask,
    shrink: tuple[int, int, int],
    spacing: tuple[float, float, float],
    is_smooth: bool,
) -> tuple[Floats, Faces]:
    """Vertices in voxel indices (z, y, x), and faces."""
    if not mask:
        raise FinishError("Expected a label with voxels to make a surface of, got none.")
    box, step = mask.box, np.array(shrink)
    inside = _shrunk(mask.array(box), shrink)
    # One empty voxel around, or the surface would be open where the label ends.
    padded = np.pad(inside, 1)
    vertices, faces, _, _ = marching_cubes(padded, _LEVEL)
    # In lengths of the world: voxels may be longer one way than the other.
    length = step * spacing
    places = vertices.astype(np.float64) * length
    if is_smooth:
        places = _smoothed(places, faces)
    places = _filled(places, faces, float(inside.sum(dtype=np.float64) * length.prod()))
    start = np.array([part.start for part in box])
    # A block's middle lies half a block, less half a voxel, after its first voxel.
    placed = (places / length - 1) * step + (step - 1) / 2 + start
    return placed.astype(np.float32), faces.astype(np.int32)


def _shrunk(inside: Bools, shrink: tuple[int, int, int]) -> Floats:
    """Means of blocks (z, y, x)."""
    pad = [(0, -n % step) for n, step in zip(inside.shape, shrink, strict=True)]
    padded = np.pad(inside, pad)
    z, y, x = (n // step for n, step in zip(padded.shape, shrink, strict=True))
    blocks = padded.reshape(z, shrink[0], y, shrink[1], x, shrink[2])
    return np.asarray(blocks.mean((1, 3, 5), dtype=np.float32))


def _smoothed(vertices: Points, faces: Faces) -> Points:
    """The vertices (n, 3) brought towards those around them, and back; Taubin's way."""
    count = len(vertices)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    joined = sparse.coo_array(
        (np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), (count, count)
    ).tocsr()
    joined = ((joined + joined.T) > 0).astype(np.float32)
    means = sparse.diags_array(1 / joined.sum(axis=1)) @ joined
    places = vertices
    for _ in range(_ROUNDS):
        for weight in (_IN, _OUT):
            places = places + weight * (means @ places - places)
    _, part = sparse.csgraph.connected_components(joined)
    before, after = (_volumes(each, faces, part) for each in (vertices, places))
    is_lost = np.abs(after) < _LEAST_LEFT * np.abs(before)
    return np.where(is_lost[part][:, None], vertices, places)


def _volumes(vertices: Points, faces: Faces, part: NDArray[np.int32]) -> Floats:
    """What each part of a surface encloses; ``part`` is that of each vertex."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    each = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    return np.asarray(np.bincount(part[faces[:, 0]], weights=each), dtype=np.float64)


def _filled(vertices: Points, faces: Faces, volume: float) -> Points:
    """A surface moved along its normals until it encloses a volume."""
    for _ in range(_STEPS):
        a, b, c = np.moveaxis(vertices[faces], 1, 0)
        across = np.cross(b - a, c - a)
        enclosed = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
        area = np.linalg.norm(across, axis=1).sum() / 2
        normals = np.zeros_like(vertices)
        for corner in range(3):
            np.add.at(normals, faces[:, corner], across)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), _TINY)
        # Normals look the way that the faces turn, which enclose a negative volume inwards.
        missing = volume - abs(enclosed)
        vertices = vertices + np.sign(enclosed) * missing / max(area, _TINY) * normals
    return vertices


def _outwards(vertices: Floats, faces: Faces) -> Mesh:
    """A mesh whose faces look outwards, whichever way the axes turn."""
    mesh = Mesh(vertices.astype(np.float32), faces)
    return mesh if mesh.volume > 0 else Mesh(mesh.vertices, faces[:, ::-1].copy())

"""A closed surface in the world: what a label looks like from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles.

    Parameters
    ----------
    vertices
        (n, 3), points.
    faces
        (m, 3), three vertices each, counter-clockwise as seen from outside.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]

    @property
    def volume(self) -> float:
        """What it encloses, in cubes of the vertices' unit; negative if inside out."""
        a, b, c = self._corners
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)

    @property
    def area(self) -> float:
        """Of its triangles, in squares of the vertices' unit."""
        a, b, c = self._corners
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    @property
    def is_closed(self) -> bool:
        """Whether every edge is passed once each way: no hole, no flap."""
        ends = self.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
        count = len(self.vertices)
        there, back = (np.sort(ends[:, a] * count + ends[:, 1 - a]) for a in (0, 1))
        is_once = len(np.unique(there)) == len(there)
        return bool(len(ends)) and is_once and np.array_equal(there, back)

    @property
    def normals(self) -> NDArray[np.float32]:
        """Of each triangle (m, 3), outwards, of length one."""
        a, b, c = self._corners
        across = np.cross(b - a, c - a)
        length = np.linalg.norm(across, axis=1, keepdims=True)
        normals = across / np.maximum(length, np.finfo(np.float64).tiny)
        return np.asarray(normals, dtype=np.float32)

    @property
    def _corners(self) -> tuple[NDArray[np.float64], ...]:
        return tuple(np.moveaxis(self.vertices[self.faces].astype(np.float64), 1, 0))

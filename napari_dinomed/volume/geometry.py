"""Where voxels lie in the world, and how the array in memory relates to the file.

Voxel indices are ordered (z, y, x), slowest first; world points are (X, Y, Z). For
patient images the world is RAS+ millimetres and the canonical array runs head to feet,
front to back, and patient right to left, so that every plane is upright and in the
radiological convention when rows are drawn downwards. Other images keep the file's axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Index3 = tuple[int, int, int]
Matrix = tuple[tuple[float, ...], ...]

NANOMETRES = {"Å": 0.1, "nm": 1.0, "µm": 1e3, "mm": 1e6}
# World axis and sign that each canonical axis follows: z to feet, y to back, x to left.
_CANONICAL = ((2, -1.0), (1, -1.0), (0, -1.0))
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))


# Edges of a voxel differ by this factor at most where it is nearly a cube.
_NEARLY_CUBIC = 2.5


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume.

    Parameters
    ----------
    shape
        Number of voxels along (z, y, x) of the canonical array.
    affine
        4×4 matrix from canonical (z, y, x, 1) to world (X, Y, Z, 1), row by row.
    unit
        Length unit of the world: ``"mm"``, ``"µm"``, ``"nm"``, ``"Å"`` or ``"px"``.
    patient
        Whether the world is patient space (RAS+).
    file_axes
        Canonical axis ``a`` is axis ``file_axes[a]`` of the file's (k, j, i) array.
    flips
        Whether canonical axis ``a`` runs against that file axis.
    """

    shape: Index3
    affine: Matrix
    unit: str = "px"
    patient: bool = False
    file_axes: Index3 = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def from_file(
        cls, shape: Index3, affine: ArrayLike, unit: str, patient: bool
    ) -> Geometry:
        """Build the canonical geometry of a file's grid.

        Parameters
        ----------
        shape
            Shape of the file's array, slowest axis first (k, j, i).
        affine
            4×4 matrix from (k, j, i, 1) to world (X, Y, Z, 1).
        unit, patient
            As for the class.
        """
        matrix = np.asarray(affine, dtype=np.float64)
        if not patient:
            return cls(shape, _freeze(matrix), unit, patient)
        axes, flips = _canonical_order(matrix[:3, :3])
        to_file = _to_file_matrix(shape, axes, flips)
        canonical_shape = (shape[axes[0]], shape[axes[1]], shape[axes[2]])
        return cls(canonical_shape, _freeze(matrix @ to_file), unit, patient, axes, flips)

    @classmethod
    def from_spacing(
        cls, shape: Index3, spacing: tuple[float, float, float], unit: str = "px"
    ) -> Geometry:
        """Axis-aligned grid at the origin, spacing along (z, y, x)."""
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = spacing
        affine[3, 3] = 1.0
        return cls(shape, _freeze(affine), unit)

    @property
    def matrix(self) -> Floats:
        """The affine as an array."""
        return np.array(self.affine, dtype=np.float64)

    @property
    def file_shape(self) -> Index3:
        """Shape of the file's array, slowest axis first (k, j, i)."""
        shape = [0, 0, 0]
        for axis, file_axis in enumerate(self.file_axes):
            shape[file_axis] = self.shape[axis]
        return (shape[0], shape[1], shape[2])

    @property
    def file_affine(self) -> Floats:
        """4×4 matrix from the file's (k, j, i, 1) to world (X, Y, Z, 1)."""
        to_file = _to_file_matrix(self.file_shape, self.file_axes, self.flips)
        return np.asarray(self.matrix @ _inverse(to_file))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (z, y, x), in ``unit``."""
        lengths = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    def part(self, start: Index3, shape: Index3) -> Geometry:
        """The grid of a box of the volume, in its place in the world.

        Parameters
        ----------
        start, shape
            First voxel and size of the box (z, y, x).
        """
        matrix = self.matrix
        matrix[:3, 3] = self.to_world(np.array([start], dtype=np.float64))[0]
        return replace(self, shape=shape, affine=_freeze(matrix))

    @property
    def is_nearly_cubic(self) -> bool:
        """Whether planes along any axis show about as much as those along the others."""
        return max(self.spacing) <= _NEARLY_CUBIC * min(self.spacing)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel, in cubic ``unit``."""
        return float(abs(np.linalg.det(self.matrix[:3, :3])))

    @property
    def orientation(self) -> str:
        """Letters of the directions in which z, y and x grow, or ``zyx``."""
        if not self.patient:
            return "zyx"
        directions = self.matrix[:3, :3]
        letters = ""
        for axis in range(3):
            world = int(np.argmax(np.abs(directions[:, axis])))
            letters += _LETTERS[world][0 if directions[world, axis] > 0 else 1]
        return letters

    @property
    def translation(self) -> tuple[float, float, float]:
        """World position of voxel (0, 0, 0) along the displayed axes (z, y, x)."""
        origin = self.matrix[:3, 3][::-1] * (-1.0 if self.patient else 1.0)
        return (float(origin[0]), float(origin[1]), float(origin[2]))

    def to_world(self, index: ArrayLike) -> Floats:
        """World points (n, 3) of canonical voxel indices (n, 3)."""
        return _transform(self.matrix, index)

    def from_world(self, point: ArrayLike) -> Floats:
        """Canonical, fractional voxel indices (n, 3) of world points (n, 3)."""
        return _transform(_inverse(self.matrix), point)

    def index_to_file(self, index: ArrayLike) -> Indices:
        """File indices (k, j, i) of canonical indices (z, y, x); shapes (n, 3)."""
        to_file = _to_file_matrix(self.file_shape, self.file_axes, self.flips)
        return np.rint(_transform(to_file, index)).astype(np.int64)

    def index_from_file(self, index: ArrayLike) -> Indices:
        """Canonical indices (z, y, x) of file indices (k, j, i); shapes (n, 3)."""
        to_file = _to_file_matrix(self.file_shape, self.file_axes, self.flips)
        return np.rint(_transform(_inverse(to_file), index)).astype(np.int64)

    def to_file_order(self, array: NDArray[Any]) -> NDArray[Any]:
        """The canonical array as a view on the file's axes (k, j, i)."""
        unflipped = array[tuple(_slices(self.flips))]
        return unflipped.transpose(np.argsort(self.file_axes))

    def from_file_order(self, array: NDArray[Any]) -> NDArray[Any]:
        """The file's array as a view on the canonical axes (z, y, x)."""
        return array.transpose(self.file_axes)[tuple(_slices(self.flips))]

    def __str__(self) -> str:
        size = " × ".join(str(n) for n in self.shape)
        spacing = " × ".join(f"{s:.4g}" for s in self.spacing)
        return f"{size} voxels of {spacing} {self.unit}, axes {self.orientation}"


def _freeze(matrix: Floats) -> Matrix:
    return tuple(tuple(float(value) for value in row) for row in matrix)


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _slices(flips: tuple[bool, bool, bool]) -> list[slice]:
    return [slice(None, None, -1 if flip else 1) for flip in flips]


def _transform(matrix: Floats, points: ArrayLike) -> Floats:
    points = np.asarray(points, dtype=np.float64)
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def _canonical_order(directions: Floats) -> tuple[Index3, tuple[bool, bool, bool]]:
    """File axis and flip of the axes nearest to head-feet, front-back and right-left."""
    cosines = directions / np.linalg.norm(directions, axis=0)
    worlds = [world for world, _ in _CANONICAL]
    axes = max(
        permutations(range(3)),
        key=lambda order: sum(
            abs(cosines[w, a]) for w, a in zip(worlds, order, strict=True)
        ),
    )
    flips = [
        bool(cosines[world, axis] * sign < 0)
        for (world, sign), axis in zip(_CANONICAL, axes, strict=True)
    ]
    return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])


def _to_file_matrix(
    file_shape: Index3, axes: Index3, flips: tuple[bool, bool, bool]
) -> Floats:
    """4×4 matrix from canonical (z, y, x, 1) to file (k, j, i, 1) indices."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for axis, (file_axis, flip) in enumerate(zip(axes, flips, strict=True)):
        matrix[file_axis, axis] = -1.0 if flip else 1.0
        matrix[file_axis, 3] = file_shape[file_axis] - 1 if flip else 0.0
    return matrix

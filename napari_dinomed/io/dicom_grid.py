"""Where the slices of a series lie: whether evenly, and if not, on what even grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Of the spacing: slices may be off by so much and still count as evenly spaced.
_UNEVEN = 0.02
# Of a pixel: how far slices may be shifted against each other, per slice.
_SHEARED = 0.02


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one orientation.

    Parameters
    ----------
    positions
        (n, 3), the first voxel of each slice, in LPS mm.
    orientation
        (2, 3), directions of a row and of a column.
    pixel
        Distance of rows and of columns, in mm.
    thickness
        Used as the spacing where there is only one slice.
    """

    positions: Floats
    orientation: Floats
    pixel: tuple[float, float]
    thickness: float

    @property
    def normal(self) -> Floats:
        """Direction across the slices."""
        return np.cross(self.orientation[0], self.orientation[1])

    @property
    def along(self) -> Floats:
        """Place of each slice along the normal."""
        return np.asarray(self.positions @ self.normal)

    @property
    def order(self) -> NDArray[np.int64]:
        """Which slice comes first, second and so on."""
        return np.argsort(self.along, kind="stable")

    def sorted(self) -> Stack:
        """The same slices in order."""
        return replace(self, positions=self.positions[self.order])

    @property
    def step(self) -> float:
        """Usual distance between slices."""
        if len(self.positions) < 2:
            return self.thickness
        return float(np.percentile(np.diff(self.along), 50, method="lower"))

    @property
    def shifts(self) -> Floats:
        """(n, 2), how far each slice is moved along rows and columns, in pixels."""
        moved = (self.positions - self.positions[0]) @ self.orientation.T
        return np.asarray(moved[:, ::-1] / self.pixel)

    def fault(self) -> str | None:
        """Why this is no even stack, in words; None where it is one."""
        gaps, step = np.diff(self.along), self.step
        if len(gaps) == 0:
            return None
        wide = np.flatnonzero(gaps > 1.5 * step)
        if len(wide):
            named = ", ".join(
                f"about {round(gaps[i] / step) - 1} between slices {i + 1} and {i + 2} "
                f"({self.along[i]:.1f} and {self.along[i + 1]:.1f} mm)"
                for i in wide[:5]
            )
            return f"slices are missing, {named}"
        if np.abs(gaps - step).max() > _UNEVEN * step:
            low, high = gaps.min(), gaps.max()
            return f"the distance between slices varies from {low:.3g} to {high:.3g} mm"
        drift = np.abs(np.diff(self.shifts, axis=0)).max(axis=0)
        if drift.max() > _SHEARED:
            angle = np.degrees(np.arctan2((drift * self.pixel).max(), step))
            return f"the slices are sheared by {angle:.1f}° (a tilted gantry)"
        return None

    def matrix(self) -> Floats:
        """(3, 4) from (k, j, i, 1) to LPS mm, from the first and last slice."""
        matrix = np.zeros((3, 4))
        last = len(self.positions) - 1
        matrix[:, 0] = (
            (self.positions[-1] - self.positions[0]) / last
            if last
            else self.normal * self.thickness
        )
        matrix[:, 1] = self.orientation[1] * self.pixel[0]
        matrix[:, 2] = self.orientation[0] * self.pixel[1]
        matrix[:, 3] = self.positions[0]
        return matrix


def even_stack(stack: Stack, count: int) -> Stack:
    """The grid that `resampled` fills; the stack itself where it has that many slices."""
    if count == len(stack.positions) and stack.fault() is None:
        return stack
    steps = np.arange(count)[:, None] * stack.step * stack.normal
    return replace(stack, positions=stack.positions[0] + steps)


def resampled(stack: Stack, array: NDArray[Any]) -> NDArray[np.float32]:
    """An uneven or sheared stack on an even grid of the usual spacing.

    Parameters
    ----------
    stack
        The slices, in order.
    array
        Their voxels (n, rows, columns).

    Returns
    -------
    numpy.ndarray
        (m, rows, columns), linear in between; what lies outside is the lowest value.
    """
    low = float(array.min())
    upright = np.stack(
        [
            ndimage.shift(plane.astype(np.float32), shift, order=1, cval=low)
            for plane, shift in zip(array, stack.shifts, strict=True)
        ]
    )
    along = stack.along - stack.along[0]
    wanted = np.arange(round(along[-1] / stack.step) + 1) * stack.step
    upper = np.clip(np.searchsorted(along, wanted), 1, len(along) - 1)
    share = np.clip((wanted - along[upper - 1]) / np.diff(along)[upper - 1], 0, 1)
    share = share.astype(np.float32)[:, None, None]
    return np.asarray(upright[upper - 1] * (1 - share) + upright[upper] * share)


def labels_on_slices(stack: Stack, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels (m, rows, columns) of the even grid on the slices as they were taken."""
    if stack.fault() is None:
        return labels
    nearest = np.rint((stack.along - stack.along[0]) / stack.step).astype(int)
    nearest = np.clip(nearest, 0, len(labels) - 1)
    return np.stack(
        [
            ndimage.shift(labels[index], -shift, order=0)
            for index, shift in zip(nearest, stack.shifts, strict=True)
        ]
    )

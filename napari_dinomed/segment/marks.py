"""Marks as those who answer use them: painted and clicked ones, in one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.prompts import Painted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Mark

_WEIGHT_OF_FIRST = 3.0


def all_marks(painted: Painted, clicks: tuple[Mark, ...]) -> Painted:
    """Painted marks, then the clicks in order."""
    voxels = np.array([voxel for voxel, _ in clicks], dtype=np.int32).reshape(-1, 3)
    belongs = np.array([belongs for _, belongs in clicks], dtype=np.bool_)
    return Painted(
        np.concatenate([painted.voxels, voxels]), np.concatenate([painted.belongs, belongs])
    )


def typical(included: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of what was measured at included marks (n, ...), in the order they were made.

    The first counts most: it shows what is meant, later ones only what was missed.
    """
    weights = [_WEIGHT_OF_FIRST] + [1.0] * (len(included) - 1)
    return np.asarray(np.average(included, axis=0, weights=weights))

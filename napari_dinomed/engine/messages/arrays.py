"""Arrays in messages."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainValidator

Array = Annotated[NDArray[Any], PlainValidator(np.asarray)]


def pasted(
    start: tuple[int, int, int], labels: NDArray[Any], shape: tuple[int, int, int]
) -> NDArray[Any]:
    """Labels (z, y, x) of a box, from its first voxel on, in a whole volume."""
    whole = np.zeros(shape, dtype=labels.dtype)
    box = tuple(
        slice(first, first + length)
        for first, length in zip(start, labels.shape, strict=True)
    )
    whole[box] = labels
    return whole

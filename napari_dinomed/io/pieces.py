"""Voxels that stay where they are and are read piece by piece, when they are needed.

They are read long after a file was opened, by whoever needs them: what is damaged then
must be told as it would have been told at opening.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np

from napari_dinomed.errors import DinomedError, ReadError
from napari_dinomed.io.claims import bytes_of, piece_count, require_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Arrays over this size stay on disk and are read piece by piece.
LARGE = 1024**3
# What dask keeps for a piece adds up: 100,000 of them take a tenth of a gigabyte and
# seconds for each look. Small pieces are read together until there are no more.
_MOST_PIECES = 50_000
# The largest that pieces become by that.
_LARGEST_PIECE = 2**28


@contextmanager
def one_error(name: str, kind: str) -> Iterator[None]:
    """Turn whatever a library makes of a damaged file into one clear error.

    Parameters
    ----------
    name
        Of the file.
    kind
        Of its format.
    """
    try:
        yield
    except DinomedError:
        raise
    except MemoryError as error:
        raise ReadError(
            f"{name} takes more memory than is free. Close other programs or volumes."
        ) from error
    except Exception as error:
        raise ReadError(
            f"Expected whole {kind} data, but {name} cannot be read: "
            f"{first_line(error)}. It may be truncated; copy or export it again."
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, in short."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def lazy_if_large(
    array: Any, name: str, kind: str, pieces: Sequence[int] | None = None
) -> Any:
    """The array in memory, or, where it is large, read piece by piece when needed.

    Parameters
    ----------
    array
        Anything with a shape, a dtype and slicing.
    name, kind
        Of the file and of its format.
    pieces
        Shape of the pieces; planes of the first axes if None.

    Raises
    ------
    ReadError
        Where it claims more than there is room for.
    """
    if is_large(array):
        return lazy(array, name, kind, pieces)
    require_memory(array.shape, array.dtype, name)
    return np.asarray(array[...])


def is_large(array: Any) -> bool:
    """Whether an array stays where it is."""
    return bytes_of(array.shape, array.dtype) > LARGE


def lazy(array: Any, name: str, kind: str, pieces: Sequence[int] | None = None) -> Any:
    """A dask array of whatever can be sliced; parameters and errors as `lazy_if_large`."""
    guarded = _Guarded(array, name, kind)
    if pieces is None:
        pieces = (1,) * (guarded.ndim - 2) + guarded.shape[-2:]
    chunks = _grown(guarded.shape, pieces, guarded.dtype, name)
    nothing = np.empty((0,) * len(guarded.shape), guarded.dtype)
    return dask.array.from_array(guarded, chunks, name=False, asarray=True, meta=nothing)


class _Guarded:
    """An array that tells what is damaged as the readers do."""

    def __init__(self, array: Any, name: str, kind: str) -> None:
        self.shape = tuple(int(length) for length in array.shape)
        self.dtype = np.dtype(array.dtype)
        self.ndim = len(self.shape)
        self._array, self._name, self._kind = array, name, kind

    def __getitem__(self, key: Any) -> Any:
        with one_error(self._name, self._kind):
            return np.asarray(self._array[key])


def _grown(
    shape: tuple[int, ...], pieces: Sequence[int], dtype: Any, name: str
) -> tuple[int, ...]:
    """Pieces that are read together, so that there are not too many."""
    sides = [min(max(int(side), 1), n) for side, n in zip(pieces, shape, strict=True)]
    while (count := piece_count(shape, sides)) > _MOST_PIECES:
        if 2 * bytes_of(sides, dtype) > _LARGEST_PIECE:
            raise ReadError(
                f"{name} claims {' × '.join(map(str, shape))} voxels in {count:.3g} "
                "pieces, more than can be kept track of. Its header is wrong, or a "
                "coarser level must be opened."
            )
        axis = max(range(len(sides)), key=lambda a: shape[a] / sides[a])
        sides[axis] = min(2 * sides[axis], shape[axis])
    return tuple(sides)

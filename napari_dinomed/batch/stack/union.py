"""Things that go on in the next block: numbered as one, over all of a stack.

In: the faces of every block, with the numbers that things have there. Out: for each block,
the number that each of its things has in the whole: 1, 2, …, without holes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_dinomed.errors import WriteError
from napari_dinomed.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.taught.boxes import Index3

_FOLDER = ".faces"
_NUMBERS = ".numbers"


@dataclass(frozen=True, eq=False)
class Faces:
    """Numbers of the things in the six outermost planes of a block.

    Parameters
    ----------
    first, last
        The planes at both ends, along (z, y, x).
    labels
        The label of each thing, from the first on.
    """

    first: tuple[NDArray[np.uint32], ...]
    last: tuple[NDArray[np.uint32], ...]
    labels: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, parts: NDArray[np.uint32], labels: NDArray[np.integer[Any]]) -> Self:
        """The faces of a block of numbered things, each of one label."""
        first = tuple(np.asarray(parts.take(0, axis)) for axis in range(3))
        last = tuple(np.asarray(parts.take(-1, axis)) for axis in range(3))
        own = np.zeros(int(parts.max()) + 1, dtype=labels.dtype)
        own[parts] = labels
        return cls(first, last, own[1:])

    def write(self, out: Path, index: Index3) -> None:
        """Keep them beside the manifest until all blocks are there."""
        folder = out / _FOLDER
        _make(folder)
        names: dict[str, Any] = {"labels": self.labels}
        names |= {f"first{axis}": plane for axis, plane in enumerate(self.first)}
        names |= {f"last{axis}": plane for axis, plane in enumerate(self.last)}
        with replacing(folder / _file(index)) as temporary:
            np.savez_compressed(temporary, **names)


def write_numbers(out: Path, things: Mapping[Index3, int]) -> int:
    """Number the things of all blocks; how many there are in the whole.

    Parameters
    ----------
    out
        Folder with the faces.
    things
        How many things each block has.
    """
    order = sorted(things)
    starts = np.cumsum([0, *(things[index] for index in order)])
    first = dict(zip(order, starts.tolist(), strict=False))
    total = int(starts[-1])
    pairs = [
        pair
        for index in order
        for axis in range(3)
        if (after := _next(index, axis)) in things
        for pair in _touching(out, index, after, axis, first)
    ]
    if not total:
        return 0
    links = np.concatenate([np.zeros((2, 0), dtype=np.int64), *pairs], axis=1)
    graph = coo_array((np.ones(links.shape[1], dtype=bool), links), shape=(total, total))
    _, group = connected_components(graph, directed=False)
    # Numbered in the order in which they are first met.
    _, met, group = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(met), dtype=np.uint32)
    rank[np.argsort(met)] = np.arange(1, len(met) + 1)
    folder = out / _NUMBERS
    _make(folder)
    for index in order:
        own = rank[group[first[index] : first[index] + things[index]]]
        with replacing(folder / _file(index)) as temporary:
            np.savez(temporary, numbers=np.concatenate([[0], own]).astype(np.uint32))
    return len(met)


def forget(out: Path) -> None:
    """Remove what was kept until things had their numbers."""
    for folder in (_FOLDER, _NUMBERS):
        shutil.rmtree(out / folder, ignore_errors=True)


def numbers_of(out: Path, index: Index3) -> NDArray[np.uint32]:
    """For each number that a block's things have there, the one in the whole."""
    with np.load(out / _NUMBERS / _file(index)) as file:
        return np.asarray(file["numbers"])


def _touching(
    out: Path, index: Index3, after: Index3, axis: int, first: Mapping[Index3, int]
) -> list[NDArray[np.int64]]:
    """Pairs (2, n) of things of two blocks that have a face in common."""
    with np.load(out / _FOLDER / _file(index)) as file:
        here, own = file[f"last{axis}"].astype(np.int64), file["labels"]
    with np.load(out / _FOLDER / _file(after)) as file:
        there, theirs = file[f"first{axis}"].astype(np.int64), file["labels"]
    both = (here > 0) & (there > 0)
    pairs = np.unique(np.stack([here[both], there[both]]) - 1, axis=1)
    pairs = pairs[:, own[pairs[0]] == theirs[pairs[1]]]
    return [pairs + np.array([[first[index]], [first[after]]])]


def _next(index: Index3, axis: int) -> Index3:
    z, y, x = (n + (axis == number) for number, n in enumerate(index))
    return z, y, x


def _file(index: Index3) -> str:
    return f"{'-'.join(map(str, index))}.npz"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"Cannot make the folder {folder}: {error}") from error

"""An OME-Zarr image that is too large to be held, and labels that grow in its store.

In: boxes of voxels to read. Out: a group of labels beside the image, which many processes
write at once, each of them whole shards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.atomic import replacing_folder
from napari_dinomed.io.format import Pick
from napari_dinomed.io.ome_zarr import (
    OmeZarr,
    OmeZarrHeader,
    describe_labels,
    group_format,
    level_steps,
    levels_of,
    list_label,
    make_level,
    open_group,
    require_labels,
    require_replaceable,
    start_labels,
)
from napari_dinomed.io.pieces import one_error
from napari_dinomed.io.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend
    from napari_dinomed.volume import Volume

    Index3 = tuple[int, int, int]
    Box3 = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Stack:
    """One level of an image.

    Parameters
    ----------
    path
        The store.
    level
        Key of the level.
    volume
        Its grid, and voxels that are read when they are asked for.
    version
        Of OME-Zarr.
    """

    path: Path
    level: str
    volume: Volume
    version: str
    _array: Any

    def read(self, box: Box3) -> NDArray[Any]:
        """Voxels of a box that lies within it."""
        index = [0] * (self._array.ndim - 3)
        with one_error(self.path.name, OmeZarr.name):
            return np.asarray(self._array[(*index, *box)])


def open_stack(path: Path, level: str | None, spacing: Sequence[float]) -> Stack:
    """Open a level of an image.

    Parameters
    ----------
    path
        An OME-Zarr image on disk.
    level
        Key of the level; the one whose voxels are nearest to the spacing if None.
    spacing
        Size of a voxel along (z, y, x).

    Raises
    ------
    ReadError
        Where it is none, or has no such level.
    """
    form, source = OmeZarr(), Source.of(path)
    if not path.is_dir() or not form.sniff_folder(path):
        raise ReadError(
            f"Expected an OME-Zarr image to read block by block, got {path.name}."
        )
    levels = levels_of(source)
    found = [one for one in levels if level in (None, one.key)]
    if not found:
        known = "; ".join(one.title for one in levels)
        raise ReadError(f"{path.name} has no level {level!r}. It has: {known}.")

    def unlike(scale: Sequence[float]) -> float:
        pairs = zip(scale, spacing, strict=True)
        return sum(abs(math.log(own / theirs)) for own, theirs in pairs)

    chosen = min(found, key=lambda one: unlike(one.scale))
    if chosen.axes[-3:] != "zyx":
        raise ReadError(
            f"Expected a level with the axes z, y, x, but {chosen.title} has {chosen.axes}."
        )
    volume = form.opened(source, chosen, Pick(part=chosen.key))
    header = volume.header
    if not isinstance(header, OmeZarrHeader):
        raise ReadError(f"Expected an OME-Zarr image on disk, got {path.name}.")
    return Stack(path, chosen.key, volume, header.version, chosen.array)


@dataclass(frozen=True)
class Growing:
    """Labels that are being written into the store of an image.

    Parameters
    ----------
    store, name
        The image, and what the labels are called.
    """

    store: Path
    name: str

    @property
    def place(self) -> Path:
        """Their group."""
        return self.store / "labels" / self.name

    def begin(
        self,
        stack: Stack,
        legend: Legend,
        dtype: Any,
        chunks: Index3,
        shards: Index3,
    ) -> None:
        """Make the group, with nothing in it; it is listed when it is complete.

        Raises
        ------
        WriteError
            Where the store cannot have labels, or has others of that name.
        """
        require_labels(self.place.parent)
        require_replaceable(self.place)
        if group_format(self.place.parent) is None:
            start_labels(self.place.parent, stack.version)
        geometry = stack.volume.geometry
        steps = level_steps(geometry.shape, geometry)
        with replacing_folder(self.place, require_replaceable) as temporary:
            group = open_group(temporary, stack.version)
            for number, step in enumerate(steps):
                shape = [-(-n // s) for n, s in zip(geometry.shape, step, strict=True)]
                make_level(group, number, shape, dtype, chunks, shards)
            describe_labels(group, geometry, steps, legend, stack.version)

    def level(self, number: int) -> Any:
        """The array of a level, to be read and written.

        Raises
        ------
        WriteError
            Where it is not there.
        """
        import zarr

        try:
            return zarr.open_array(self.place / f"s{number}", mode="r+")
        except (FileNotFoundError, ValueError) as error:
            raise WriteError(
                f"{self.place} has no level s{number}: somebody removed it. Say "
                "--overwrite to begin anew."
            ) from error

    def write(self, level: int, box: Box3, labels: NDArray[Any]) -> None:
        """Write a box that is made of whole shards.

        Raises
        ------
        WriteError
            Where there is no room, or nothing may be written.
        """
        try:
            self.level(level)[box] = labels
        except OSError as error:
            raise WriteError(
                f"Cannot write {self.place}: {error.strerror or error}. What is done is "
                "kept: make room, and begin again."
            ) from error

    def thin(self, level: int, box: Box3) -> None:
        """Fill a box of a coarser level with every second voxel of the finer one."""
        finer, array = self.level(level - 1), self.level(level)
        steps = [round(a / b) for a, b in zip(finer.shape, array.shape, strict=True)]
        source = tuple(
            slice(part.start * step, min(part.stop * step, length))
            for part, step, length in zip(box, steps, finer.shape, strict=True)
        )
        thinned = tuple(slice(None, None, step) for step in steps)
        self.write(level, box, np.asarray(finer[source])[thinned])

    def levels(self) -> Iterator[tuple[int, Index3]]:
        """Levels that are coarser than the finest, and their shapes."""
        number = 1
        while (self.place / f"s{number}").is_dir():
            z, y, x = self.level(number).shape
            yield number, (z, y, x)
            number += 1

    def finish(self, version: str) -> None:
        """Name the labels in their group, so that they are seen."""
        for torn in self.place.rglob("*.partial"):
            # A chunk whose writer was killed.
            torn.unlink(missing_ok=True)
        list_label(self.place.parent, self.name, version)

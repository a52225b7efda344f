"""An image that is too large to be held, and labels that grow in a store.

In: boxes of voxels to read, of an OME-Zarr image or of a slide. Out: a group of labels, in
the image's own store or in one beside it, which many processes write at once, each of them
whole shards.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.atomic import replacing_folder
from napari_dinomed.io.format import Format, Pick
from napari_dinomed.io.ome_zarr import OmeZarr, OmeZarrHeader, levels_of
from napari_dinomed.io.ome_zarr_labels import (
    describe_labels,
    group_format,
    level_steps,
    list_label,
    make_level,
    open_group,
    require_labels,
    require_replaceable,
    start_labels,
)
from napari_dinomed.io.pieces import one_error
from napari_dinomed.io.slides import Slides, open_levels
from napari_dinomed.io.source import Source
from napari_dinomed.io.tiff import Tiff, slide_levels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend
    from napari_dinomed.volume import Volume

    Index3 = tuple[int, int, int]
    Box3 = tuple[slice, slice, slice]

# Bytes that a TIFF is known by.
_MAGIC = 4
# Of a store that is made for a slide's labels.
_OWN_VERSION = "0.5"


@dataclass(frozen=True, eq=False)
class Stack:
    """One level of an image.

    Parameters
    ----------
    path
        The store, or the file.
    level
        Key of the level.
    volume
        Its grid, and voxels that are read when they are asked for.
    version
        Of OME-Zarr, of its labels.
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

    def read_colours(self, box: Box3) -> NDArray[Any] | None:
        """Red, green and blue of a box (z, y, x, 3); None of what is grey."""
        if self.volume.colours is None:
            return None
        with one_error(self.path.name, OmeZarr.name):
            return np.asarray(self.volume.colours[box])


def open_stack(path: Path, level: str | None, spacing: Sequence[float]) -> Stack:
    """Open a level of an image.

    Parameters
    ----------
    path
        An OME-Zarr image on disk, or a slide: a TIFF, or what OpenSlide reads.
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
    if is_slide(path):
        return _open_slide(source, level, spacing)
    if not path.is_dir() or not form.sniff_folder(path):
        raise ReadError(
            "Expected an OME-Zarr image or a slide to read block by block, got "
            f"{path.name}."
        )
    with one_error(path.name, form.name):
        levels = levels_of(source)
    chosen = _nearest(levels, level, spacing, path.name)
    if chosen.axes[-3:] != "zyx":
        raise ReadError(
            f"Expected a level with the axes z, y, x, but {chosen.title} has {chosen.axes}."
        )
    volume = form.opened(source, chosen, Pick(part=chosen.key))
    header = volume.header
    if not isinstance(header, OmeZarrHeader):
        raise ReadError(f"Expected an OME-Zarr image on disk, got {path.name}.")
    return Stack(path, chosen.key, volume, header.version, chosen.array)


def is_slide(path: Path) -> bool:
    """Whether a path is a file that is read as slides are."""
    if not path.is_file():
        return False
    if path.name.lower().endswith(Slides.suffixes):
        return True
    with path.open("rb") as file:
        return Tiff().sniff(file.read(_MAGIC))


def _open_slide(source: Source, level: str | None, spacing: Sequence[float]) -> Stack:
    """A level of a slide; as far as that is large, it is read piece by piece."""
    path = source.path
    form: Format = Slides() if path.name.lower().endswith(Slides.suffixes) else Tiff()
    with one_error(path.name, form.name):
        levels: Sequence[_Level] = (
            slide_levels(path) if isinstance(form, Tiff) else open_levels(path)
        )
        chosen = _nearest(levels, level, spacing, path.name)
        volume = form.read(source, Pick(part=chosen.key))
    return Stack(path, chosen.key, volume, _OWN_VERSION, volume.array)


class _Level(Protocol):
    """A level that may be read."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def title(self) -> str:
        """What users are told of it."""

    @property
    def scale(self) -> Sequence[float]:
        """Size of its voxels along (z, y, x)."""


_AnyLevel = TypeVar("_AnyLevel", bound=_Level)


def _nearest(
    levels: Sequence[_AnyLevel], level: str | None, spacing: Sequence[float], name: str
) -> _AnyLevel:
    """The level of a key, or the one whose voxels are nearest to a spacing."""
    if not levels:
        raise ReadError(f"Expected a store that lists levels, but {name} lists none.")
    found = [one for one in levels if level in (None, one.key)]
    if not found:
        known = "; ".join(one.title for one in levels)
        raise ReadError(f"{name} has no level {level!r}. It has: {known}.")

    def unlike(one: _AnyLevel) -> float:
        pairs = zip(one.scale, spacing, strict=True)
        return sum(abs(math.log(own / theirs)) for own, theirs in pairs)

    return min(found, key=unlike)


def start_store(path: Path, version: str) -> None:
    """Make a store that has nothing but room for labels, unless it is there.

    Raises
    ------
    WriteError
        Where it cannot be made.
    """
    if group_format(path) is not None:
        return
    try:
        start_labels(path, version)
    except OSError as error:
        raise WriteError(f"Cannot make {path}: {error.strerror or error}.") from error


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
            Where the store cannot have labels, has others of that name, or may not be
            written.
        """
        with self._writing():
            require_labels(self.place.parent)
            require_replaceable(self.place)
            start_store(self.place.parent, stack.version)
            self._make(stack, legend, dtype, chunks, shards)

    def _make(
        self, stack: Stack, legend: Legend, dtype: Any, chunks: Index3, shards: Index3
    ) -> None:
        """Make the group with all its levels."""
        geometry = stack.volume.geometry
        steps = level_steps(geometry.shape, geometry)
        with replacing_folder(self.place, require_replaceable) as temporary:
            group = open_group(temporary, stack.version)
            for number, step in enumerate(steps):
                shape = [-(-n // s) for n, s in zip(geometry.shape, step, strict=True)]
                make_level(group, number, shape, dtype, chunks, shards)
            describe_labels(group, geometry, steps, legend, stack.version)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say in one line what the disk does not allow."""
        try:
            yield
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> WriteError:
        return WriteError(
            f"Cannot write {self.place}: {error.strerror or error}. What is done is "
            "kept: make room, or have it made writable, and begin again."
        )

    def level(self, number: int) -> Any:
        """The array of a level, to be read and written.

        Raises
        ------
        WriteError
            Where it is not there, or may not be written.
        """
        import zarr

        try:
            return zarr.open_array(self.place / f"s{number}", mode="r+")
        except (FileNotFoundError, ValueError) as error:
            raise WriteError(
                f"{self.place} has no level s{number}: somebody removed it. Say "
                "--overwrite to begin anew."
            ) from error
        except OSError as error:
            raise self._refused(error) from error

    def write(self, level: int, box: Box3, labels: NDArray[Any]) -> None:
        """Write a box that is made of whole shards.

        Raises
        ------
        WriteError
            Where there is no room, or nothing may be written.
        """
        with self._writing():
            self.level(level)[box] = labels

    def thin(self, level: int, box: Box3) -> None:
        """Fill a box of a coarser level with every second voxel of the finer one.

        Raises
        ------
        DinomedError
            Where the finer one cannot be read, or nothing may be written.
        """
        finer, array = self.level(level - 1), self.level(level)
        steps = [round(a / b) for a, b in zip(finer.shape, array.shape, strict=True)]
        source = tuple(
            slice(part.start * step, min(part.stop * step, length))
            for part, step, length in zip(box, steps, finer.shape, strict=True)
        )
        thinned = tuple(slice(None, None, step) for step in steps)
        with one_error(str(self.place), OmeZarr.name):
            voxels = np.asarray(finer[source])[thinned]
        self.write(level, box, voxels)

    def levels(self) -> Iterator[tuple[int, Index3]]:
        """Levels that are coarser than the finest, and their shapes."""
        number = 1
        while (self.place / f"s{number}").is_dir():
            z, y, x = self.level(number).shape
            yield number, (z, y, x)
            number += 1

    def finish(self, version: str) -> None:
        """Name the labels in their group, so that they are seen.

        Raises
        ------
        WriteError
            Where nothing may be written.
        """
        with self._writing():
            for torn in self.place.rglob("*.partial"):
                # A chunk whose writer was killed.
                torn.unlink(missing_ok=True)
            list_label(self.place.parent, self.name, version)

"""Slides that are no TIFF (MIRAX, Hamamatsu's VMS, Zeiss's CZI), through OpenSlide.

OpenSlide is an extra: its library is under the LGPL, and few need it. SVS, NDPI and SCN are
TIFFs, and read as such.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io.claims import require_memory
from napari_dinomed.io.format import (
    Contents,
    Format,
    Origin,
    Part,
    coloured,
    picked_key,
    spaced,
    take_along,
)
from napari_dinomed.io.pieces import is_large, lazy
from napari_dinomed.io.tiff import MOST_PIXELS, told_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Pick
    from napari_dinomed.io.source import Source
    from napari_dinomed.volume import Volume

# Pixels along the sides of pieces that are read at once.
_PIECE = 1024
# What is shown where nothing was scanned.
_GLASS = 255


class Slides(Format):
    """Levels of a slide, in colour."""

    name = "slide"
    suffixes = (".mrxs", ".vms", ".vmu", ".czi")
    has_parts = True

    def contents(self, source: Source) -> Contents:
        """The levels."""
        levels = open_levels(source.path)
        parts = tuple(Part(level.key, level.title) for level in levels)
        return Contents(
            parts if len(parts) > 1 else (),
            is_settled=levels[0].pixels <= MOST_PIXELS,
            has_colours=True,
        )

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read a level; of one that is large, what is needed when it is needed."""
        levels = open_levels(source.path)
        notes: tuple[str, ...] = ()
        if pick.part is not None:
            key = picked_key([level.key for level in levels], pick, source.name)
            level = levels[int(key)]
        elif pick.region is not None:
            level = levels[0]
        else:
            fitting = (level for level in levels if level.pixels <= MOST_PIXELS)
            level = next(fitting, levels[-1])
            if level.number:
                notes = (told_of(level.number, len(levels), source.name),)
        if is_large(level):
            array = lazy(level, source.name, self.name, (1, _PIECE, _PIECE, 3))
        else:
            require_memory(level.shape, level.dtype, source.name)
            array = level[:, :, :, :]
        if pick.channel is None:
            volume = coloured(array, level.scale, level.unit, source.name)
        else:
            grey = take_along(array, 3, pick.channel, source.name)
            volume = spaced(grey, level.scale, level.unit)
        # A MIRAX slide is a file and a folder of its name.
        folder = source.path.with_suffix("")
        origin = Origin(source, pick, (folder,) if folder.is_dir() else ())
        return replace(volume, origin=origin, notes=(*volume.notes, *notes))


@dataclass(frozen=True, eq=False)
class OpenLevel:
    """A level that is read by slicing it, (1, rows, columns, 3).

    Parameters
    ----------
    slide, number
        The open slide, and which of its levels.
    scale, unit
        Size of a pixel along (z, y, x).
    """

    slide: Any
    number: int
    scale: tuple[float, float, float]
    unit: str
    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def key(self) -> str:
        """Its number."""
        return str(self.number)

    @property
    def title(self) -> str:
        """What users are told of it."""
        _, rows, columns, _ = self.shape
        return f"level {self.number}: {rows} × {columns} pixels"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """One picture of red, green and blue."""
        columns, rows = self.slide.level_dimensions[self.number]
        return 1, int(rows), int(columns), 3

    @property
    def pixels(self) -> int:
        """How many."""
        return self.shape[1] * self.shape[2]

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[np.uint8]:
        """Pixels of a box whose slices have no step; numbers take one and drop the axis."""
        z, y, x, colours = (
            slice(part, part + 1)
            if isinstance(part, int)
            else slice(*part.indices(length)[:2])
            for part, length in zip(key, self.shape, strict=True)
        )
        dropped = tuple(0 if isinstance(part, int) else slice(None) for part in key)
        # Places are those of the finest level, sizes those of this one.
        coarse = self.slide.level_downsamples[self.number]
        corner = (round(x.start * coarse), round(y.start * coarse))
        size = (x.stop - x.start, y.stop - y.start)
        pixels = np.asarray(self.slide.read_region(corner, self.number, size), np.float32)
        opacity = pixels[..., 3:] / 255
        seen = pixels[..., :3] * opacity + _GLASS * (1 - opacity)
        box = seen.round().astype(np.uint8)[None, ..., colours][z]
        return np.asarray(box[dropped])


def open_levels(path: Path) -> tuple[OpenLevel, ...]:
    """The levels of a slide, the finest first.

    Raises
    ------
    ReadError
        Where OpenSlide is not there, or cannot read the file.
    """
    slide = _opened(path)
    (rows, columns), unit = _pixel_size(slide)
    return tuple(
        OpenLevel(slide, number, (rows * coarse, rows * coarse, columns * coarse), unit)
        for number, coarse in enumerate(slide.level_downsamples)
    )


def _opened(path: Path) -> Any:
    if importlib.util.find_spec("openslide") is None:
        raise ReadError(
            f"Reading {path.name} takes OpenSlide: pip install 'napari-dinomed[slides]'"
        )
    import openslide

    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideError as error:
        raise ReadError(
            f"Expected a slide that OpenSlide reads, but {path.name} cannot be read: "
            f"{error}."
        ) from error


def _pixel_size(slide: Any) -> tuple[tuple[float, float], str]:
    """Rows and columns of a pixel of the finest level, and their unit."""
    found = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "yx"]
    if None in found:
        return (1.0, 1.0), "px"
    rows, columns = (float(size) for size in found)
    return (rows, columns), "µm"

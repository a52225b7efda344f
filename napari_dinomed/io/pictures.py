"""Stacks of pictures, one file a slice, in natural order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import imageio.v3 as imageio
import numpy as np

from napari_dinomed.errors import ReadError, VolumeError
from napari_dinomed.io.format import Contents, Format, Pick, coloured, spaced
from napari_dinomed.io.pieces import lazy_if_large
from napari_dinomed.io.source import Source
from napari_dinomed.io.tiff import Tiff
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path

_TIFF = (".tif", ".tiff")
_COLOURS = (3, 4)


class Pictures(Format):
    """A folder, or a list, of equally large PNG, TIFF, JPEG or BMP files."""

    name = "stack of pictures"
    suffixes = (".png", ".jpg", ".jpeg", ".bmp")

    def sniff(self, head: bytes) -> bool:
        """PNG, JPEG and BMP."""
        return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (
            head.startswith(b"BM") and head[6:10] == bytes(4)
        )

    def sniff_folder(self, folder: Path) -> bool:
        """Whether there are at least two pictures of one kind in it."""
        return len(_members(folder)) > 1

    def contents(self, source: Source) -> Contents:
        """Whether they are in colour."""
        shape = _read_one(_files(source)[0], None).shape
        return Contents(has_colours=len(shape) == 3)

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read the files in natural order (slice 2 before slice 10)."""
        files = _files(source)
        first = _read_one(files[0], pick.channel)
        stack = _Stack(files, first, pick.channel)
        array = lazy_if_large(stack, source.name, self.name)
        if first.ndim == 3:
            return coloured(array, *_spacing(files[0]), source.name)
        return spaced(array, *_spacing(files[0]))


class _Stack:
    """Pictures as an array (z, y, x), or (z, y, x, colours), read when they are needed."""

    def __init__(self, files: list[Path], first: Any, channel: int | None) -> None:
        self.shape = (len(files), *first.shape)
        self.dtype = first.dtype
        self._files, self._first, self._channel = files, first, channel

    def __getitem__(self, key: Any) -> Any:
        planes, *inside = key if isinstance(key, tuple) else (slice(None),)
        files: Any = self._files[planes]
        pictures = [_read_alike(file, self._first, self._channel) for file in files]
        return np.stack(pictures)[(slice(None), *inside)]


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sorts names with numbers in them as people count."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]


def _members(folder: Path) -> list[Path]:
    """The pictures in a folder, of the kind that there are most of."""
    kinds: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        suffix = path.suffix.lower()
        is_picture = suffix in (*Pictures.suffixes, *_TIFF) and path.is_file()
        if is_picture and not path.name.startswith("."):
            kinds.setdefault(suffix, []).append(path)
    return max(kinds.values(), key=len, default=[])


def _files(source: Source) -> list[Path]:
    paths = list(source.paths)
    if len(paths) == 1 and paths[0].is_dir():
        paths = _members(paths[0])
    return sorted(paths, key=natural_key)


def _read_one(path: Path, channel: int | None) -> Any:
    picture = np.asarray(imageio.imread(path))
    if picture.ndim == 3 and picture.shape[2] in _COLOURS and channel is not None:
        if not 0 <= channel < picture.shape[2]:
            raise VolumeError(
                f"{path.name} has channels 0 to {picture.shape[2] - 1}; {channel} is not "
                "one of them."
            )
        picture = picture[..., channel]
    return picture


def _read_alike(path: Path, first: Any, channel: int | None) -> Any:
    picture = _read_one(path, channel)
    if picture.shape != first.shape or picture.dtype != first.dtype:
        raise ReadError(
            f"Expected slices of {first.shape} pixels of {first.dtype}, got "
            f"{picture.shape} of {picture.dtype} in {path.name}. Put only the slices of "
            "one stack into a folder."
        )
    return picture


def _spacing(path: Path) -> tuple[tuple[float, float, float], str]:
    """What a TIFF says about its pixels; other pictures do not."""
    if path.suffix.lower() not in _TIFF:
        return (1.0, 1.0, 1.0), "px"
    geometry = Tiff().read(Source((path,)), Pick(channel=0)).geometry
    return geometry.spacing, geometry.unit

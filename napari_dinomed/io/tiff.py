"""TIFF, BigTIFF, OME-TIFF and ImageJ TIFF stacks, through tifffile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.claims import (
    DEFLATED,
    RAW,
    UNBOUND,
    bytes_of,
    require_inflates,
    require_memory,
    require_pieces,
    require_plausible,
)
from napari_dinomed.io.format import (
    Contents,
    Format,
    Origin,
    Part,
    coloured,
    picked_key,
    spaced,
    take_along,
    take_picked,
)
from napari_dinomed.io.label_values import as_labels
from napari_dinomed.io.legend import CREATOR, from_text, to_text
from napari_dinomed.io.pieces import is_large, lazy
from napari_dinomed.io.tiff_spacing import spacing_of
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source
    from napari_dinomed.io.tiff_spacing import Spacing

# Compressions that tifffile's own decoders inflate to any size.
_CODECS = {8: "zlib", 32946: "zlib", 34925: "lzma", 50000: "zstd"}
_NAMESPACE = f"{CREATOR}/labels"
# Pixels of a page that are labelled at once: of a larger one that has coarser levels, one
# of these is opened unless another is picked. Twice 4096 squared.
MOST_PIXELS = 2**25
# Axes of tifffile along which pages were counted without saying what they are.
_UNNAMED = "IQ"


class Tiff(Format):
    """Stacks of grey pages; axes stay as in the file."""

    name = "TIFF"
    suffixes = (".ome.tiff", ".ome.tif", ".tiff", ".tif")
    writes = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
    highest = 2**32 - 1
    has_parts = True

    def sniff(self, head: bytes) -> bool:
        """Little- or big-endian, classic or BigTIFF."""
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def contents(self, source: Source) -> Contents:
        """Time points, channels or colours, and the levels of a pyramid."""
        with tifffile.TiffFile(source.path) as tiff:
            levels = tiff.series[0].levels
            lengths = _lengths(levels[0])
            parts = tuple(_part(number, level) for number, level in enumerate(levels))
        return Contents(
            parts if len(parts) > 1 else (),
            is_settled=_pixels(lengths) <= MOST_PIXELS,
            frames=lengths.get("T", 1),
            channels=lengths.get("C", 1),
            has_colours="S" in lengths,
        )

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read one stack with the pixel size that the file's metadata give.

        Colours that pages hold side by side are read as such, unless one is picked;
        channels that are stained one by one are grey.
        """
        with tifffile.TiffFile(source.path) as tiff:
            finest = tiff.series[0]
            series, note = _level(finest, pick, source.name)
            parents = {page.parent for page in series.pages if page}
            if len(parents) == 1:
                _require_claim(series, source)
            for page in _keyframes(series):
                _watch(page, source.name)
            array = _voxels(series, source.name).reshape(series.shape)
            is_coloured = "S" in _axes(series) and pick.channel is None
            array = _stack(array, _axes(series), pick, source.name)
            spacing, unit = _at_level(spacing_of(tiff), finest, series)
            files = tuple(Path(parent.filehandle.path) for parent in parents)
            legend = _legend(tiff)
        volume = (
            coloured(array, spacing, unit, source.name)
            if is_coloured
            else spaced(array, spacing, unit)
        )
        origin = Origin(source, pick, files)
        volume = replace(volume, origin=origin, notes=(*volume.notes, *note))
        return volume if legend is None else as_labels(volume, legend)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write OME-TIFF with the source's pixel size, losslessly compressed.

        Names and colours of labels are in an annotation of the image.
        """
        voxels = source.geometry.to_file_order(array)
        inverse = np.argsort(source.geometry.file_axes)
        spacing = [source.geometry.spacing[axis] for axis in inverse]
        metadata: dict[str, Any] = {"axes": "ZYX"}
        if source.geometry.unit != "px":
            for axis, size in zip("ZYX", spacing, strict=True):
                metadata[f"PhysicalSize{axis}"] = size
                metadata[f"PhysicalSize{axis}Unit"] = source.geometry.unit
        if legend is not None:
            metadata["CommentAnnotation"] = {
                "Namespace": _NAMESPACE,
                "Value": to_text(legend),
            }
        with replacing(path) as temporary:
            tifffile.imwrite(
                temporary,
                voxels,
                ome=True,
                metadata=metadata,
                photometric="minisblack",
                compression="zlib",
            )


@dataclass(frozen=True)
class SlideLevel:
    """A level of a pyramid.

    Parameters
    ----------
    key, title
        Its number, and what users are told of it.
    scale
        Size of its voxels along (z, y, x).
    """

    key: str
    title: str
    scale: tuple[float, float, float]


def slide_levels(path: Path) -> tuple[SlideLevel, ...]:
    """The levels of a file, the finest first."""
    with tifffile.TiffFile(path) as tiff:
        finest, own = tiff.series[0], spacing_of(tiff)
        return tuple(
            SlideLevel(part.key, part.title, _at_level(own, finest, level)[0])
            for number, level in enumerate(finest.levels)
            for part in [_part(number, level)]
        )


def _voxels(series: tifffile.TiffPageSeries, name: str) -> Any:
    """All of a series, or, where that is large, read piece by piece when needed."""
    if not is_large(series):
        require_memory(series.shape, series.dtype, name)
        return series.asarray()
    # Of the finest level the series has all others as well.
    stored = zarr.open_array(series.aszarr(level=0), mode="r")
    return lazy(stored, name, Tiff.name, stored.chunks)


def _require_claim(series: tifffile.TiffPageSeries, source: Source) -> None:
    most = {1: RAW} | dict.fromkeys((8, 32946, 32773), DEFLATED)
    size, packing = source.path.stat().st_size, series.keyframe.compression
    shrunk = most.get(packing, UNBOUND)
    require_plausible(series.shape, series.dtype, source.name, size, shrunk)


def _keyframes(series: tifffile.TiffPageSeries) -> Iterable[Any]:
    """The pages that say how they, and others like them, are stored."""
    pages = [page for page in series.pages if page]
    frames = [p if isinstance(p, tifffile.TiffPage) else p.keyframe for p in pages]
    return {id(frame): frame for frame in frames}.values()


def _watch(page: Any, name: str) -> None:
    """Have the strips or tiles of like pages checked before they are inflated."""
    rows, columns = page.imagelength, page.imagewidth
    side = (
        (page.tiledepth, page.tilelength, page.tilewidth)
        if page.is_tiled
        else (1, min(page.rowsperstrip, rows), columns)
    )
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    whole, piece = (page.imagedepth, rows, columns, samples), (*side, samples)
    require_pieces(whole, piece, page.dtype, name)
    codec, size = _CODECS.get(page.compression), bytes_of(piece, page.dtype)
    decode = page.decode
    if codec is None:
        return

    def checked(packed: bytes | None, *arguments: Any, **options: Any) -> Any:
        if packed is not None:
            require_inflates(codec, packed, size, name)
        return decode(packed, *arguments, **options)

    page.decode = checked


def _axes(series: tifffile.TiffPageSeries) -> str:
    """Letters of the series' axes; pages that are not said to be anything are z."""
    axes: str = series.axes
    for letter in _UNNAMED:
        axes = axes.replace(letter, "T" if "Z" in axes else "Z", 1)
    return axes


def _pixels(lengths: dict[str, int]) -> int:
    """Of one page."""
    return lengths.get("Y", 1) * lengths.get("X", 1)


def _part(number: int, level: tifffile.TiffPageSeries) -> Part:
    lengths = _lengths(level)
    return Part(str(number), f"level {number}: {lengths['Y']} × {lengths['X']} pixels")


def _level(
    series: tifffile.TiffPageSeries, pick: Pick, name: str
) -> tuple[tifffile.TiffPageSeries, tuple[str, ...]]:
    """The level that was picked, or the finest that can be labelled; and what to say.

    A region can be taken of the finest, however large that is.
    """
    levels = series.levels
    if pick.part is not None:
        key = picked_key([str(number) for number in range(len(levels))], pick, name)
        return levels[int(key)], ()
    fitting = (n for n, one in enumerate(levels) if _pixels(_lengths(one)) <= MOST_PIXELS)
    number = 0 if pick.region is not None else next(fitting, len(levels) - 1)
    if not number:
        return levels[0], ()
    return levels[number], (told_of(number, len(levels), name),)


def told_of(number: int, count: int, name: str) -> str:
    """What is said of a level that nobody picked."""
    return (
        f"{name} has {count} levels; this is level {number}, the finest that can be "
        "labelled as a whole. Pick another one, or a region of it (--level, --region)."
    )


def _at_level(
    found: Spacing, finest: tifffile.TiffPageSeries, level: tifffile.TiffPageSeries
) -> Spacing:
    """The spacing of a coarser level."""
    (z, y, x), unit = found
    fine, coarse = _lengths(finest), _lengths(level)
    scaled = (y * fine["Y"] / coarse["Y"], x * fine["X"] / coarse["X"])
    depth = fine.get("Z", 1) / coarse.get("Z", 1)
    return (z * depth, *scaled), unit


def _lengths(series: tifffile.TiffPageSeries) -> dict[str, int]:
    return dict(zip(_axes(series), series.shape, strict=True))


def _stack(array: Any, axes: str, pick: Pick, name: str) -> Any:
    """The (z, y, x) array of one time point and channel, or (z, y, x, colours)."""
    if "S" in axes and pick.channel is None:
        at = axes.index("S")
        channels = [
            _stack(take_along(array, at, channel, name), axes.replace("S", ""), pick, name)
            for channel in range(array.shape[at])
        ]
        return np.stack(channels, axis=-1)
    for axis in reversed(range(len(axes))):
        if axes[axis] not in "TCSZYX" and array.shape[axis] == 1:
            array = take_along(array, axis, None, name)
            axes = axes[:axis] + axes[axis + 1 :]
    return take_picked(array, axes.replace("S", "C").lower(), pick, name)


def _legend(tiff: tifffile.TiffFile) -> Legend | None:
    """Names and colours of labels, where this program wrote them."""
    if not tiff.is_ome or _NAMESPACE not in (tiff.ome_metadata or ""):
        return None
    inside = tifffile.xml2dict(tiff.ome_metadata)["OME"].get("StructuredAnnotations", {})
    found = inside.get("CommentAnnotation", []) if isinstance(inside, dict) else []
    for comment in found if isinstance(found, list) else [found]:
        if comment.get("Namespace") == _NAMESPACE:
            return from_text(str(comment.get("Value")))
    return None

"""TIFF, OME-TIFF and ImageJ TIFF stacks, through tifffile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import numpy as np
import tifffile

from napari_dinomed.errors import ReadError, VolumeError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.format import label_dtype, native, take_frame
from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.volume.volume import guess_modality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Spacing = tuple[tuple[float, float, float], str]

_UNITS = {
    "nm": "nm",
    "µm": "µm",
    "um": "µm",
    "micron": "µm",
    "microns": "µm",
    "\\u00B5m": "µm",
    "mm": "mm",
    "Å": "Å",
    "A": "Å",
    "angstrom": "Å",
}


class Tiff:
    """Stacks of grey pages; axes stay as in the file."""

    name = "TIFF"
    suffixes = (".ome.tif", ".ome.tiff", ".tif", ".tiff")

    def sniff(self, head: bytes) -> bool:
        """Little- or big-endian, classic or BigTIFF."""
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def read(self, path: Path, frame: int | None) -> Volume:
        """Read one grey stack with the pixel size that OME or ImageJ metadata give."""
        try:
            with tifffile.TiffFile(path) as tiff:
                series = tiff.series[0]
                _require_grey(series.axes, series.shape, path)
                array = take_frame(_drop_ones(series.asarray()), frame, path)
                spacing, unit = _ome_spacing(tiff) or _imagej_spacing(tiff)
        except (
            tifffile.TiffFileError,
            OSError,
            ValueError,
            IndexError,
            KeyError,
            ParseError,
        ) as error:
            raise ReadError(
                f"Expected a whole TIFF stack, but {path.name} cannot be read: {error}. "
                "It may be truncated; copy or export it again."
            ) from error
        array = native(array)
        shape = (array.shape[0], array.shape[1], array.shape[2])
        geometry = Geometry.from_spacing(shape, spacing, unit)
        return Volume(array, geometry, guess_modality(array, patient=False))

    def write(self, path: Path, labels: NDArray[Any], source: Volume) -> None:
        """Write OME-TIFF with the source's pixel size, losslessly compressed."""
        array = source.geometry.to_file_order(labels).astype(label_dtype(labels))
        inverse = np.argsort(source.geometry.file_axes)
        spacing = [source.geometry.spacing[axis] for axis in inverse]
        metadata: dict[str, Any] = {"axes": "ZYX"}
        if source.geometry.unit != "px":
            for axis, size in zip("ZYX", spacing, strict=True):
                metadata[f"PhysicalSize{axis}"] = size
                metadata[f"PhysicalSize{axis}Unit"] = source.geometry.unit
        with replacing(path) as temporary:
            tifffile.imwrite(
                temporary,
                array,
                ome=True,
                metadata=metadata,
                photometric="minisblack",
                compression="zlib",
            )


def _require_grey(axes: str, shape: tuple[int, ...], path: Path) -> None:
    if "S" in axes:
        raise VolumeError(
            f"Expected grey values, got colour (axes {axes}, shape {shape}) in "
            f"{path.name}. Convert it to grey first."
        )


def _drop_ones(array: NDArray[Any]) -> NDArray[Any]:
    while array.ndim > 3 and 1 in array.shape[:-3]:
        array = array.squeeze(array.shape.index(1))
    return array


def _ome_spacing(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing (z, y, x) and unit from the OME-XML, or None."""
    if not tiff.is_ome or tiff.ome_metadata is None:
        return None
    # tifffile's own parser of the same XML found the axes; entities are not expanded.
    image = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    unit = _UNITS.get(str(pixels.get("PhysicalSizeXUnit", "µm")))
    sizes = [float(pixels.get(f"PhysicalSize{axis}", 0)) for axis in "ZYX"]
    if unit is None or min(sizes[1:]) <= 0:
        return None
    return (sizes[0] if sizes[0] > 0 else sizes[1], sizes[1], sizes[2]), unit


def _imagej_spacing(tiff: tifffile.TiffFile) -> Spacing:
    """Spacing (z, y, x) and unit from ImageJ's tags; one pixel where there are none."""
    metadata = tiff.imagej_metadata or {}
    unit = _UNITS.get(str(metadata.get("unit", "")))
    page = tiff.pages[0]
    if unit is None or not isinstance(page, tifffile.TiffPage):
        return (1.0, 1.0, 1.0), "px"
    sizes = [_pixel_size(page, name) for name in ("YResolution", "XResolution")]
    return (float(metadata.get("spacing", sizes[0])), sizes[0], sizes[1]), unit


def _pixel_size(page: tifffile.TiffPage, name: str) -> float:
    tag = page.tags.get(name)
    numerator, denominator = tag.value if tag is not None else (1, 1)
    return denominator / numerator if numerator and denominator else 1.0

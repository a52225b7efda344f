"""How large the voxels of a TIFF are: where microscopes and programs write that."""

from __future__ import annotations

import tifffile

Spacing = tuple[tuple[float, float, float], str]
"""Spacing (z, y, x), and its unit."""

_UNITS = {
    "nm": "nm",
    "µm": "µm",
    "um": "µm",
    "micron": "µm",
    "microns": "µm",
    "\\u00B5m": "µm",
    "mm": "mm",
    "cm": "cm",
    "Å": "Å",
    "A": "Å",
    "angstrom": "Å",
}
# Of the tag ResolutionUnit.
_CENTIMETRE = 3


def spacing_of(tiff: tifffile.TiffFile) -> Spacing:
    """Spacing (z, y, x) and unit from where microscopes and programs write them."""
    found = (
        _ome_spacing(tiff)
        or _imagej_spacing(tiff)
        or _microscope_spacing(tiff)
        or _slide_spacing(tiff)
        or _tag_spacing(tiff)
    )
    spacing, unit = found or ((1.0, 1.0, 1.0), "px")
    if unit == "cm":
        z, y, x = (10 * size for size in spacing)
        return (z, y, x), "mm"
    return spacing, unit


def _ome_spacing(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing from the OME-XML."""
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


def _imagej_spacing(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing from ImageJ's tags."""
    metadata = tiff.imagej_metadata or {}
    unit = _UNITS.get(str(metadata.get("unit", "")))
    page = tiff.pages[0]
    if unit is None or not isinstance(page, tifffile.TiffPage):
        return None
    sizes = [_pixel_size(page, name) or 1.0 for name in ("YResolution", "XResolution")]
    return (float(metadata.get("spacing", sizes[0])), sizes[0], sizes[1]), unit


def _microscope_spacing(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing from the tags of Zeiss' light, and FEI's and Zeiss' electron microscopes."""
    if tiff.lsm_metadata:
        metres = [float(tiff.lsm_metadata[f"VoxelSize{axis}"]) for axis in "ZYX"]
    elif tiff.fei_metadata:
        scan = tiff.fei_metadata["Scan"]
        metres = [float(scan["PixelHeight"])] * 2 + [float(scan["PixelWidth"])]
    elif tiff.sem_metadata and "ap_image_pixel_size" in tiff.sem_metadata:
        _, size, unit = tiff.sem_metadata["ap_image_pixel_size"][:3]
        known = {"nm": 1e-9, "µm": 1e-6, "um": 1e-6, "pm": 1e-12}
        metres = [float(size) * known[str(unit)]] * 3
    else:
        return None
    if min(metres[1:]) <= 0:
        return None
    z, y, x = (size or metres[1] for size in metres)
    if tiff.lsm_metadata:
        return (z * 1e6, y * 1e6, x * 1e6), "µm"
    return (z * 1e9, y * 1e9, x * 1e9), "nm"


def _slide_spacing(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing from the description of Aperio's slides (MPP, µm a pixel)."""
    if not tiff.is_svs:
        return None
    page = tiff.pages[0]
    described = tifffile.svs_description_metadata(getattr(page, "description", ""))
    size = float(described.get("MPP", 0))
    return ((size, size, size), "µm") if size > 0 else None


def _tag_spacing(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing from resolution per centimetre; per inch it is about printing."""
    page = tiff.pages[0]
    unit = page.tags.get("ResolutionUnit") if isinstance(page, tifffile.TiffPage) else None
    if unit is None or unit.value != _CENTIMETRE:
        return None
    y, x = (_pixel_size(page, name) for name in ("YResolution", "XResolution"))
    return ((y * 1e4, y * 1e4, x * 1e4), "µm") if y and x else None


def _pixel_size(page: tifffile.TiffPage, name: str) -> float:
    """Size in the unit of the resolution; 0 where it is not given."""
    tag = page.tags.get(name)
    numerator, denominator = tag.value if tag is not None else (0, 0)
    return denominator / numerator if numerator and denominator else 0.0

"""What the pixels of DICOM slices mean: units, PET's uptake, the window that is asked for.

In: slices that lie in order. Out: one array in the modality's units. Where these have no
unit, what is to be shown bright is high: X-rays are stored either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, VolumeError
from napari_dinomed.io.claims import require_memory
from napari_dinomed.io.dicom_sizes import require_decodable
from napari_dinomed.volume import Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.dicom import Slice

# Their values are a unit's, however they are shown.
_MEASURING = ("CT", "PT", "NM")
_NO_UNIT = ("US", "UNSPECIFIED")


def read_pixels(slices: list[Slice], name: str) -> NDArray[Any]:
    """(slices, rows, columns) in the modality's units; whole numbers stay whole."""
    decoded: dict[Path, Any] = {}
    planes = []
    for each in slices:
        if each.path not in decoded:
            decoded.clear()
            decoded[each.path] = _decode(each.path, name)
        pixels = decoded[each.path]
        frame = pixels[each.frame] if pixels.ndim == 3 else pixels
        planes.append(_rescaled(_shown_bright(frame, each), each))
    return np.stack(planes)


def _decode(path: Path, name: str) -> NDArray[Any]:
    import pydicom

    dataset = pydicom.dcmread(path)
    if not any(key in dataset for key in ("PixelData", "FloatPixelData")):
        raise ReadError(f"{path.name} in {name} has no pixels; export the series again.")
    if int(dataset.get("SamplesPerPixel") or 1) > 1:
        raise VolumeError(f"Expected grey values, got colour in {path.name}.")
    count = int(dataset.get("NumberOfFrames") or 1)
    shape = (count, int(dataset.Rows), int(dataset.Columns))
    require_memory(shape, np.float32, path.name)
    try:
        require_decodable(dataset, path.name)
        return np.asarray(dataset.pixel_array)
    except (RuntimeError, ValueError, AttributeError, NotImplementedError) as error:
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise ReadError(
            f"The pixels of {path.name} ({syntax}) cannot be decoded: {error}. The file "
            "may be truncated, or a decoder missing: "
            "pip install 'napari-dinomed[dicom]'."
        ) from error


def _shown_bright(pixels: NDArray[Any], each: Slice) -> NDArray[Any]:
    """Stored values, the lowest for black."""
    if not _is_negative(each) or pixels.dtype.kind not in "iu":
        return pixels
    return _ends(each) - pixels.astype(np.int32)


def _is_negative(each: Slice) -> bool:
    """Whether the lowest value is shown white (PS3.3 C.7.6.3.1.2), and has no unit."""
    unit = str(each.get("RescaleType") or _NO_UNIT[0]).upper()
    return (
        each.get("PhotometricInterpretation") == "MONOCHROME1"
        and each.get("Modality") not in _MEASURING
        and unit in _NO_UNIT
    )


def _ends(each: Slice) -> int:
    """The sum of the lowest and the highest value that can be stored."""
    is_signed = bool(each.get("PixelRepresentation"))
    return -1 if is_signed else 2 ** int(each.get("BitsStored") or 16) - 1


def _rescaled(pixels: NDArray[Any], each: Slice) -> NDArray[Any]:
    slope, intercept = _scaling(each)
    if pixels.dtype.kind in "iu" and slope == 1 and intercept.is_integer():
        shifted = pixels.astype(np.int32) + int(intercept)
        is_short = shifted.min() >= -32768 and shifted.max() <= 32767
        return shifted.astype(np.int16) if is_short else shifted
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _scaling(each: Slice) -> tuple[float, float]:
    """Slope and intercept from stored values to the modality's."""
    slope, intercept = each.get("RescaleSlope"), each.get("RescaleIntercept")
    return float(slope or 1), float(intercept or 0)


def own_window(slices: list[Slice]) -> Window | None:
    """The first window that the middle slice asks for."""
    middle = slices[len(slices) // 2]
    if middle.get("Modality") == "PT":
        return None
    values = [middle.get(key) for key in ("WindowWidth", "WindowCenter")]
    if None in values:
        return None
    width, centre = (float(v[0] if hasattr(v, "__len__") else v) for v in values)
    if _is_negative(middle):
        slope, intercept = _scaling(middle)
        centre = slope * _ends(middle) + 2 * intercept - centre
    return Window.from_level(width, centre, "file") if width > 0 else None


def in_units(slices: list[Slice], array: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """PET as standardised uptake by body weight, where the tags allow it.

    The injected dose decays until the acquisition starts, to which scanners correct
    (DecayCorrection START), or is taken as it was where they correct to the injection.
    """
    first = slices[0]
    if first.get("Modality") != "PT" or str(first.get("Units")) != "BQML":
        return array, []
    reason = "the file does not say that the weight, the dose and its time are known"
    try:
        dose = first.dataset.RadiopharmaceuticalInformationSequence[0]
        activity = float(dose.RadionuclideTotalDose)
        half_life = float(dose.RadionuclideHalfLife)
        weight = float(first.dataset.PatientWeight)
        correction = str(first.get("DecayCorrection"))
        corrected = str(first.get("CorrectedImage"))
        if "ATTN" not in corrected or "DECY" not in corrected:
            reason = "the image is not corrected for attenuation and decay"
            raise ValueError(reason)
        if correction == "START":
            begun = min(_seconds(str(each.get("SeriesTime"))) for each in slices)
            waited = (begun - _seconds(str(dose.RadiopharmaceuticalStartTime))) % 86_400
            activity *= 0.5 ** (waited / half_life)
        elif correction != "ADMIN":
            reason = f"decay correction {correction} is not known"
            raise ValueError(reason)
        factor = 1000 * weight / activity
    except (AttributeError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return array, [f"Shown in Bq/ml, not as SUV: {reason}."]
    return array.astype(np.float32) * np.float32(factor), ["SUV by body weight."]


def _seconds(time: str) -> float:
    return int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:] or 0)

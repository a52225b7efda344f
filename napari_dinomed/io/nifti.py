"""NIfTI-1 and -2, through nibabel."""

from __future__ import annotations

import gzip
import sys
import zlib
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.format import label_dtype, native, require_affine, take_frame
from napari_dinomed.volume import Geometry, Volume, Window
from napari_dinomed.volume.volume import guess_modality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_NIFTI2_SIZE = 540
_UNITS = {"mm": "mm", "unknown": "mm", "micron": "µm"}
# nibabel stores what it knows; other units become the nearest it has, with this factor.
_STORED_UNITS = {
    "mm": ("mm", 1.0),
    "µm": ("micron", 1.0),
    "nm": ("micron", 1e-3),
    "Å": ("micron", 1e-4),
    "px": ("unknown", 1.0),
}


class Nifti:
    """NIfTI images; the file's (i, j, k) array is taken as (k, j, i)."""

    name = "NIfTI"
    suffixes = (".nii", ".nii.gz")

    def sniff(self, head: bytes) -> bool:
        """NIfTI-1 keeps its magic at byte 344, NIfTI-2 at byte 4."""
        return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")

    def read(self, path: Path, frame: int | None) -> Volume:
        """Read voxels (scaled where the header says so), grid and header."""
        try:
            image, stored = _load(path)
        except (
            ImageFileError,
            HeaderDataError,
            EOFError,
            OSError,
            ValueError,
            zlib.error,
        ) as error:
            raise ReadError(
                f"Expected a whole NIfTI file, but {path.name} cannot be read: "
                f"{error}. It may be truncated; copy or export it again."
            ) from error
        if stored.dtype == np.float64:
            stored = stored.astype(np.float32)
        array = take_frame(_drop_ones(stored.T), frame, path)
        matrix = _from_kji(np.asarray(image.affine, dtype=np.float64))
        require_affine(matrix, path)
        unit = image.header.get_xyzt_units()[0]
        scale = np.diag([1e3, 1e3, 1e3, 1.0]) if unit == "meter" else np.eye(4)
        patient = unit != "micron"
        geometry = Geometry.from_file(
            _shape3(array), scale @ matrix, _UNITS.get(unit, "mm"), patient
        )
        canonical = native(geometry.from_file_order(array))
        return Volume(
            canonical,
            geometry,
            guess_modality(canonical, patient),
            _own_window(image.header),
            header=image.header,
        )

    def write(self, path: Path, labels: NDArray[Any], source: Volume) -> None:
        """Write with the source's own header where it was a NIfTI, codes included."""
        array = source.geometry.to_file_order(labels).T.astype(label_dtype(labels))
        image = (
            _with_header(array, source.header)
            if isinstance(source.header, nib.Nifti1Header)
            else _with_geometry(array, source.geometry)
        )
        with replacing(path) as temporary:
            nib.save(image, temporary)


def _own_window(header: nib.Nifti1Header) -> Window | None:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return Window(low, high, "file") if low < high else None


def _load(path: Path) -> tuple[Any, NDArray[Any]]:
    """Image and voxels; nibabel goes by names, so other names are read as streams."""
    if path.name.lower().endswith(Nifti.suffixes):
        image = nib.load(path)
        return image, np.asanyarray(image.dataobj)
    with path.open("rb") as file:
        is_zipped = file.read(2) == _GZIP
    with gzip.open(path) if is_zipped else path.open("rb") as stream:
        size = int.from_bytes(stream.read(4), sys.byteorder)
        stream.seek(0)
        kind = nib.Nifti2Image if size == _NIFTI2_SIZE else nib.Nifti1Image
        image = kind.from_stream(stream)
        return image, np.asanyarray(image.dataobj)


def _with_header(
    array: NDArray[Any], header: nib.Nifti1Header
) -> nib.Nifti1Image | nib.Nifti2Image:
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    own = header.copy()
    own.set_data_shape(array.shape)
    own.set_data_dtype(array.dtype)
    own.set_slope_inter(1, 0)
    own["cal_min"] = own["cal_max"] = 0
    # An affine of None leaves both transforms and their codes as the header has them.
    return kind(array, None, own)


def _with_geometry(array: NDArray[Any], geometry: Geometry) -> nib.Nifti1Image:
    name, factor = _STORED_UNITS[geometry.unit]
    matrix = np.diag([factor] * 3 + [1.0]) @ _from_kji(geometry.file_affine)
    image = nib.Nifti1Image(array, matrix)
    image.header.set_xyzt_units(xyz=name)
    return image


def _drop_ones(array: NDArray[Any]) -> NDArray[Any]:
    """Drop leading axes of length one beyond the third (an unused time axis)."""
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    return array


def _from_kji(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Swap a matrix between (i, j, k) and (k, j, i) voxel order; its own inverse."""
    return matrix[:, [2, 1, 0, 3]]


def _shape3(array: NDArray[Any]) -> tuple[int, int, int]:
    return (array.shape[0], array.shape[1], array.shape[2])

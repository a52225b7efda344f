"""NIfTI-1 and -2, single files and pairs, through nibabel."""

from __future__ import annotations

import gzip
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import nibabel as nib
import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.claims import (
    DEFLATED,
    MOST_AHEAD,
    RAW,
    require_ahead,
    require_memory,
    require_plausible,
)
from napari_dinomed.io.format import (
    Contents,
    Format,
    Origin,
    drop_ones,
    from_kji,
    placed,
    take_frame,
)
from napari_dinomed.io.label_values import as_labels
from napari_dinomed.io.legend import from_text, to_text
from napari_dinomed.io.pieces import lazy_if_large
from napari_dinomed.io.source import require_regular
from napari_dinomed.volume import Geometry, Volume, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

_GZIP = b"\x1f\x8b"
_NIFTI2_SIZE = 540
_UNITS = {"mm": "mm", "unknown": "mm", "micron": "µm"}
_ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}
_LABELS = 1002
_COMMENT = 6
# Fields of the header for free text; NIfTI-2 has not all of them.
_TEXTS = {"data_type", "db_name", "descrip", "aux_file", "intent_name"}
# nibabel stores what it knows; other units become the nearest it has, with this factor.
_STORED_UNITS = {
    "mm": ("mm", 1.0),
    "µm": ("micron", 1.0),
    "nm": ("micron", 1e-3),
    "Å": ("micron", 1e-4),
    "px": ("unknown", 1.0),
}


class Nifti(Format):
    """NIfTI images; the file's (i, j, k) array is taken as (k, j, i)."""

    name = "NIfTI"
    suffixes = (".nii.gz", ".hdr.gz", ".img.gz", ".nii", ".hdr", ".img")
    writes = (".nii.gz", ".nii")

    def sniff(self, head: bytes) -> bool:
        """NIfTI-1 keeps its magic at byte 344, NIfTI-2 at byte 4."""
        return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")

    def contents(self, source: Source) -> Contents:
        """A fourth axis is time."""
        shape = _open(source.path).shape
        return Contents(frames=shape[3] if len(shape) == 4 else 1)

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read voxels (scaled where the header says so), grid and header."""
        image = _open(source.path)
        array = take_frame(drop_ones(_voxels(image).T), pick.frame, source.name)
        matrix = from_kji(np.asarray(image.affine, dtype=np.float64))
        unit = image.header.get_xyzt_units()[0]
        scale = np.diag([1e3, 1e3, 1e3, 1.0]) if unit == "meter" else np.eye(4)
        patient = unit != "micron"
        name = _UNITS.get(unit, "mm")
        volume = placed(array, scale @ matrix, name, patient, source.name)
        header = image.header
        volume = replace(
            volume,
            window=_own_window(header),
            header=header,
            origin=Origin(source, pick, _files(image)),
        )
        if not _is_labels(header):
            return volume
        legend = _legend(header)
        return as_labels(volume, legend or (), is_complete=legend is not None)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write with the source's own header where it was a NIfTI, codes included.

        Labels say so by their intent; names and colours are in a comment of the header.
        """
        voxels = source.geometry.to_file_order(array).T
        image = (
            _with_header(voxels, source.header)
            if isinstance(source.header, nib.Nifti1Header)
            else _with_geometry(voxels, source.geometry)
        )
        _mark(image.header, legend)
        with replacing(path) as temporary:
            nib.save(image, temporary)


def _own_window(header: nib.Nifti1Header) -> Window | None:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return Window(low, high, "file") if low < high else None


def _is_labels(header: nib.Nifti1Header) -> bool:
    return bool(header["intent_code"] == _LABELS)


def _legend(header: nib.Nifti1Header) -> Legend | None:
    """Names and colours that this program wrote."""
    found = (_own_labels(extension) for extension in header.extensions)
    return next((legend for legend in found if legend is not None), None)


def _own_labels(extension: Any) -> Legend | None:
    """The labels in an extension of the header, if this program wrote it."""
    if extension.get_code() != _COMMENT:
        return None
    content = extension.get_content()
    text = content.decode(errors="replace") if isinstance(content, bytes) else str(content)
    return from_text(text.rstrip("\0"))


def _mark(header: nib.Nifti1Header, legend: Legend | None) -> None:
    """Say in a header whether voxels are labels, and what they are called.

    Labels have nothing of the image but its grid: what scanners and converters write into
    texts and extensions may name a patient.
    """
    if legend is not None:
        header.set_intent(_LABELS)
        for field in _TEXTS & set(header.keys()):
            header[field] = b""
        comment = nib.nifti1.Nifti1Extension(_COMMENT, to_text(legend).encode())
        header.extensions[:] = [comment]
        return
    kept = [each for each in header.extensions if _own_labels(each) is None]
    header.extensions[:] = kept
    if _is_labels(header):
        header.set_intent("none")


def _open(path: Path) -> Any:
    """The image, its voxels unread; nibabel goes by names, other names are streams."""
    _require_short_header(path)
    if path.name.lower().endswith(Nifti.suffixes):
        image = nib.load(path)
        file = _data_file(image)
    else:
        image, file = _from_stream(path), path
    if not isinstance(image, nib.Nifti1Pair):
        raise ReadError(
            f"Expected a NIfTI file, but {path.name} has no NIfTI header (Analyze images "
            "do not say which side is left). Convert it to NIfTI."
        )
    _require_claim(image, file)
    return image


def _require_short_header(path: Path) -> None:
    """Raise `ReadError` where extensions of a zipped header would fill the memory."""
    if not _is_zipped(path):
        return
    with gzip.open(path) as stream:
        head = stream.read(_NIFTI2_SIZE)
        kind = _kind(head).header_class
        header = kind(head[: kind.sizeof_hdr], check=False)
        # A header in a file of its own has extensions up to its end.
        is_alone = header["magic"].item().startswith(b"ni")
        ahead = MOST_AHEAD if is_alone else int(header["vox_offset"])
        require_ahead(ahead, path.name)
        at = kind.sizeof_hdr + 4
        while at + 8 <= ahead:
            stream.seek(at)
            length = int.from_bytes(stream.read(8)[:4], _ORDERS[header.endianness])
            if length == 0:
                return
            require_ahead(length, path.name)
            at += length


def _require_claim(image: Any, file: Path) -> None:
    require_regular(file)
    most = DEFLATED if _is_zipped(file) else RAW
    dtype, size = image.get_data_dtype(), file.stat().st_size
    require_plausible(image.shape, dtype, file.name, size, most)


def _is_zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _kind(head: bytes) -> Any:
    size = int.from_bytes(head[:4], sys.byteorder)
    swapped = int.from_bytes(head[:4], "little" if sys.byteorder == "big" else "big")
    return nib.Nifti2Image if _NIFTI2_SIZE in (size, swapped) else nib.Nifti1Image


def _from_stream(path: Path) -> Any:
    """The image, its voxels in memory."""
    with gzip.open(path) if _is_zipped(path) else path.open("rb") as stream:
        kind = _kind(stream.read(4))
        stream.seek(0)
        image = kind.from_stream(stream)
        _require_claim(image, path)
        require_memory(image.shape, _read_type(image), path.name)
        return kind(np.asanyarray(image.dataobj), image.affine, image.header)


def _files(image: Any) -> tuple[Path, ...]:
    """Header and voxels may be two files."""
    names = (holder.filename for holder in image.file_map.values())
    return tuple(Path(name) for name in names if name)


def _data_file(image: Any) -> Path:
    """The file of the voxels; an image read from a stream has none."""
    return Path(image.file_map["image"].filename or "")


def _is_scaled(image: Any) -> bool:
    proxy = image.dataobj
    return not isinstance(proxy, np.ndarray) and proxy.slope not in (None, 1.0)


def _read_type(image: Any) -> np.dtype[Any]:
    """The type in which voxels are read: what is scaled becomes wider first."""
    return np.dtype(np.float64) if _is_scaled(image) else image.get_data_dtype()


def _voxels(image: Any) -> Any:
    proxy, file = image.dataobj, _data_file(image)
    if file.suffix == ".gz":
        require_memory(image.shape, _read_type(image), file.name)
        array: Any = np.asanyarray(proxy)
    else:
        planes = (*proxy.shape[:2], *(1,) * (len(proxy.shape) - 2))
        array = lazy_if_large(proxy, file.name, Nifti.name, planes)
    is_wider = _is_scaled(image) or image.get_data_dtype() != np.float64
    return array.astype(np.float32) if array.dtype == np.float64 and is_wider else array


def _with_header(
    array: NDArray[Any], header: nib.Nifti1Header
) -> nib.Nifti1Image | nib.Nifti2Image:
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    own = kind.header_class.from_header(header)
    own.set_data_shape(array.shape)
    own.set_data_dtype(array.dtype)
    own.set_slope_inter(1, 0)
    # The voxels' place in the file, behind extensions that are not the source's own.
    own["vox_offset"] = 0
    own["cal_min"] = own["cal_max"] = 0
    # An affine of None leaves both transforms and their codes as the header has them.
    return kind(array, None, own)


def _with_geometry(array: NDArray[Any], geometry: Geometry) -> nib.Nifti1Image:
    name, factor = _STORED_UNITS[geometry.unit]
    matrix = np.diag([factor] * 3 + [1.0]) @ from_kji(geometry.file_affine)
    image = nib.Nifti1Image(array, matrix, dtype=array.dtype)
    image.header.set_xyzt_units(xyz=name)
    return image

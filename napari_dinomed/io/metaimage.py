"""MetaImage (MHA, MHD) and GIPL, through SimpleITK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.format import (
    Contents,
    Format,
    native,
    on_canonical_axes,
    require_affine,
    require_patient,
    require_room,
    shape3,
    take_frame,
)
from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.volume.volume import guess_modality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_GIPL_MAGIC = (bytes.fromhex("2ae389b8"), bytes.fromhex("efffe9b0"))
_HEAD = 8192


class MetaImage(Format):
    """Images of ITK's own formats, in patient space."""

    name = "MetaImage or GIPL"
    suffixes = (".gipl.gz", ".gipl", ".mha", ".mhd")
    writes = (".mha",)

    def sniff(self, head: bytes) -> bool:
        """MetaImage begins with its first key, GIPL has a magic at byte 252."""
        return head.startswith((b"ObjectType", b"NDims")) or head[252:256] in _GIPL_MAGIC

    def contents(self, source: Source) -> Contents:
        """A fourth axis is time; numbers per voxel are channels."""
        reader = _reader(source)
        size = reader.GetSize()
        return Contents(
            frames=size[3] if len(size) == 4 else 1,
            channels=reader.GetNumberOfComponents(),
        )

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read voxels and grid."""
        itk = _require_itk()
        reader = _reader(source)
        image = reader.Execute()
        array = itk.GetArrayFromImage(image)
        if image.GetNumberOfComponentsPerPixel() > 1:
            array = array[..., pick.channel or 0]
        matrix = _matrix(image)
        require_affine(matrix, source.name)
        array = take_frame(native(array), pick.frame, source.name)
        geometry = Geometry.from_file(shape3(array), matrix, "mm", patient=True)
        canonical = on_canonical_axes(array, geometry)
        return Volume(canonical, geometry, guess_modality(canonical, patient=True))

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write on the source's grid, compressed."""
        del legend
        require_patient(source.geometry, path.name)
        itk = _require_itk()
        image = itk.GetImageFromArray(
            np.ascontiguousarray(source.geometry.to_file_order(array))
        )
        matrix = _LPS @ source.geometry.file_affine[:, [2, 1, 0, 3]]
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(matrix[:3, 3].tolist())
        with replacing(path) as temporary:
            itk.WriteImage(image, str(temporary), useCompression=True)


def _require_itk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise ReadError(
            "MetaImage and GIPL files are read with SimpleITK, which is not installed. "
            "Run: pip install 'napari-dinomed[itk]'"
        ) from error
    return SimpleITK


def _reader(source: Source) -> Any:
    """A reader that has read the header, after its claims were checked."""
    itk = _require_itk()
    path = source.path
    files = [path, *_require_beside(path)]
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    stored = sum(file.stat().st_size for file in files)
    shape = (*reader.GetSize(), reader.GetNumberOfComponents())
    require_room(shape, np.uint8, source.name, stored)
    return reader


def _require_beside(path: Path) -> list[Path]:
    """Files that a MetaImage's header names: they must lie beside it."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for line in head.splitlines():
        key, equals, value = line.partition(b"=")
        if equals and key.strip() == b"ElementDataFile":
            name = value.strip().decode(errors="replace")
            if name.upper() == "LOCAL":
                return []
            beside = path.with_name(name) if "/" not in name and "\\" not in name else None
            if beside is None or not beside.is_file():
                raise ReadError(
                    f"{path.name} keeps its voxels in {name!r}, which is not a file "
                    "beside it. Put the two files together, or save them as one .mha."
                )
            return [beside]
    return []


def _matrix(image: Any) -> NDArray[np.float64]:
    """4×4 matrix from (k, j, i, 1) to RAS millimetres."""
    dimension = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    matrix = np.eye(4)
    if dimension < 3:
        matrix[:2, :2] = direction[:2, :2] * np.array(image.GetSpacing()[:2])
        matrix[:2, 3] = image.GetOrigin()[:2]
    else:
        matrix[:3, :3] = direction * np.array(image.GetSpacing()[:3])
        matrix[:3, 3] = image.GetOrigin()[:3]
    return np.asarray((_LPS @ matrix)[:, [2, 1, 0, 3]])

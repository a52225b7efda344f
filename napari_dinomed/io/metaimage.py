"""MetaImage (MHA, MHD) and GIPL, through SimpleITK."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import DinomedError, ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.claims import require_memory, require_plausible
from napari_dinomed.io.format import (
    RAS_LPS,
    Contents,
    Format,
    Origin,
    from_kji,
    placed,
    require_patient,
    take_along,
    take_frame,
)
from napari_dinomed.io.label_values import as_labels
from napari_dinomed.io.legend import from_text, to_text
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source

_GIPL_MAGIC = (bytes.fromhex("2ae389b8"), bytes.fromhex("efffe9b0"))
_HEAD = 1024**2
# Keys of the header in which names and colours of labels are, piece by piece: readers have
# a longest line.
_KEY = "DinomedLabels"
_PIECE = 2000


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
        about, _ = _run(source, "header")
        size = about["size"]
        return Contents(frames=size[3] if len(size) == 4 else 1, channels=about["channels"])

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read voxels and grid."""
        # What the header claims is checked before any voxel is read.
        _run(source, "header")
        about, array = _run(source, "voxels")
        if about["channels"] > 1:
            array = take_along(array, array.ndim - 1, pick.channel, source.name)
        array = take_frame(array, pick.frame, source.name)
        volume = placed(array, _matrix(about), "mm", True, source.name)
        origin = Origin(source, pick, tuple(_require_beside(source.path)))
        volume = replace(volume, origin=origin)
        legend = from_text(_joined(about["metadata"]))
        return volume if legend is None else as_labels(volume, legend)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write on the source's grid, compressed; names and colours in the header."""
        require_patient(source.geometry, path.name)
        itk = _require_itk()
        image = itk.GetImageFromArray(
            np.ascontiguousarray(source.geometry.to_file_order(array))
        )
        matrix = RAS_LPS @ from_kji(source.geometry.file_affine)
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(matrix[:3, 3].tolist())
        if legend is not None:
            for number, piece in enumerate(_pieces(to_text(legend))):
                image.SetMetaData(f"{_KEY}{number}", piece)
        with replacing(path) as temporary:
            itk.WriteImage(image, str(temporary), useCompression=True)


def _pieces(text: str) -> list[str]:
    # Readers strip spaces at the ends of a line.
    text = text.replace(" ", "\\u0020")
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _joined(metadata: dict[str, str]) -> str:
    pieces = (metadata.get(f"{_KEY}{number}") for number in range(len(metadata)))
    return "".join(piece for piece in pieces if piece)


def _require_itk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise DinomedError(
            "MetaImage and GIPL files need SimpleITK, which is not installed. Run: "
            "pip install 'napari-dinomed[itk]'"
        ) from error
    return SimpleITK


def _run(source: Source, wanted: str) -> tuple[dict[str, Any], Any]:
    """Header and voxels, read in a process of its own: damaged files may abort it."""
    if importlib.util.find_spec("SimpleITK") is None:
        _require_itk()
    files = [source.path, *_require_beside(source.path)]
    child = Path(__file__).with_name("itk_child.py")
    done = subprocess.run(
        [sys.executable, child, source.path, wanted], capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ReadError(
            f"Expected a whole {MetaImage.name} file, but {source} cannot be read: "
            f"{said or 'it broke the reader'}. It may be truncated; export it again."
        )
    stream = io.BytesIO(done.stdout)
    about: dict[str, Any] = json.loads(stream.readline())
    stored = sum(file.stat().st_size for file in files)
    shape, dtype = (*about["size"], about["channels"]), f"u{about['bytes']}"
    require_plausible(shape, dtype, source.name, stored)
    # In the child, in the pipe, and here.
    require_memory(shape, dtype, source.name, 3)
    if wanted == "header":
        return about, None
    return about, np.lib.format.read_array(stream, allow_pickle=False)


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


def _matrix(about: dict[str, Any]) -> NDArray[np.float64]:
    """4×4 matrix from (k, j, i, 1) to RAS millimetres."""
    count = len(about["size"])
    direction = np.array(about["direction"]).reshape(count, count)
    matrix = np.eye(4)
    used = min(count, 3)
    spacing = np.array(about["spacing"][:used])
    matrix[:used, :used] = direction[:used, :used] * spacing
    matrix[:used, 3] = about["origin"][:used]
    return from_kji(RAS_LPS @ matrix)

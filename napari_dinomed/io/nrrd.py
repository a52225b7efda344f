"""NRRD, the format of 3D Slicer, through pynrrd."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import nrrd
import numpy as np
from nrrd.errors import NRRDError

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.format import label_dtype, native, require_affine, take_frame
from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.volume.volume import guess_modality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Signs that turn a patient space's axes into right-anterior-superior.
_SPACES = {
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}
_UNITS = {"mm": "mm", "um": "µm", "µm": "µm", "micron": "µm", "nm": "nm"}


class Nrrd:
    """NRRD images with attached data; the file's (i, j, k) array is taken as (k, j, i)."""

    name = "NRRD"
    suffixes = (".nrrd",)

    def sniff(self, head: bytes) -> bool:
        """NRRD starts with its own name."""
        return head.startswith(b"NRRD000")

    def read(self, path: Path, frame: int | None) -> Volume:
        """Read voxels, grid and space."""
        try:
            with path.open("rb") as file:
                header = nrrd.read_header(file)
                if "data file" in header or "datafile" in header:
                    raise ReadError(
                        f"{path.name} keeps its voxels in another file. Save it as one "
                        "file (attached data) and open that."
                    )
                voxels = nrrd.read_data(header, file)
        except (NRRDError, OSError, ValueError, KeyError, MemoryError, zlib.error) as error:
            raise ReadError(
                f"Expected a whole NRRD file, but {path.name} cannot be read: {error}. "
                "It may be truncated; export it again."
            ) from error
        array = take_frame(voxels.T, frame, path)
        signs = _SPACES.get(str(header.get("space", "")).lower())
        patient = signs is not None
        matrix = _matrix(header, signs or (1.0, 1.0, 1.0))
        require_affine(matrix, path)
        units = header.get("space units") or header.get("units") or [""]
        unit = _UNITS.get(str(units[-1]).lower(), "mm" if patient else "px")
        geometry = Geometry.from_file(
            (array.shape[0], array.shape[1], array.shape[2]),
            matrix,
            unit,
            signs is not None,
        )
        canonical = native(geometry.from_file_order(array))
        return Volume(canonical, geometry, guess_modality(canonical, patient))

    def write(self, path: Path, labels: NDArray[Any], source: Volume) -> None:
        """Write the labels on the source's grid, compressed."""
        array = source.geometry.to_file_order(labels).T.astype(label_dtype(labels))
        with replacing(path) as temporary:
            nrrd.write(str(temporary), array, _header(source.geometry))


def _matrix(header: dict[str, Any], signs: tuple[float, ...]) -> NDArray[np.float64]:
    """4×4 matrix from (k, j, i, 1) to world."""
    matrix = np.eye(4)
    if "space directions" in header:
        directions = np.array(
            [row for row in header["space directions"] if np.isfinite(row).all()]
        )
        origin = header.get("space origin", np.zeros(3))
    else:
        spacings = np.nan_to_num(header.get("spacings", np.ones(3)), nan=1.0)
        directions, origin = np.diag(spacings[:3]), np.zeros(3)
    if directions.shape != (3, 3):
        return np.full((4, 4), np.nan)
    matrix[:3, :3] = (directions * signs)[::-1].T
    matrix[:3, 3] = np.asarray(origin) * signs
    return matrix


def _header(geometry: Geometry) -> dict[str, Any]:
    matrix = geometry.file_affine
    signs = np.array(_SPACES["lps"] if geometry.patient else (1.0, 1.0, 1.0))
    header: dict[str, Any] = {
        "space directions": matrix[:3, 2::-1].T * signs,
        "space origin": matrix[:3, 3] * signs,
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }
    if geometry.patient:
        return header | {"space": "left-posterior-superior"}
    return header | {"space dimension": 3, "space units": [geometry.unit] * 3}

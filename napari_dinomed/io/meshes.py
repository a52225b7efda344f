"""Surfaces to files: STL, OBJ and PLY, for printing, for 3-D programs and for 3D Slicer.

Points are in the volume's world: RAS+ for patients. Slicer believes a header that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_dinomed.errors import WriteError
from napari_dinomed.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinomed.volume import Geometry
    from napari_dinomed.volume.mesh import Mesh

_BY = "napari-dinomed"
_STL_HEADER = 80


def write_mesh(path: Path, mesh: Mesh, about: str = "") -> None:
    """Write a surface in the format of the file's ending.

    Parameters
    ----------
    path
        Ends in ``.stl``, ``.obj`` or ``.ply``.
    mesh
        The surface.
    about
        What a reader may want to know, in one line: the unit, the axes.

    Raises
    ------
    WriteError
        Where the ending is another, or the file cannot be written.
    """
    require_mesh_suffix(path)
    said = f"{_BY} {about}".strip()
    with replacing(path) as temporary, temporary.open("wb") as file:
        _WRITERS[path.suffix.lower()](file, mesh, said)


def require_mesh_suffix(path: Path) -> None:
    """Raise `WriteError` where a file's ending is none of a surface's."""
    if path.suffix.lower() not in _WRITERS:
        raise WriteError(
            f"Expected a surface to end in {', '.join(_WRITERS)}; got {path.name!r}."
        )


def world_of(geometry: Geometry) -> str:
    """What points of a volume's world are, in the words that Slicer looks for."""
    return (
        f"SPACE=RAS UNIT={geometry.unit}" if geometry.patient else f"UNIT={geometry.unit}"
    )


def _write_stl(file: BinaryIO, mesh: Mesh, said: str) -> None:
    """Binary, little-endian: the text, a count, and for each triangle its normal too."""
    file.write(_ascii(said)[:_STL_HEADER].ljust(_STL_HEADER))
    file.write(np.uint32(len(mesh.faces)).astype("<u4").tobytes())
    rows = np.zeros(
        len(mesh.faces), [("normal", "<3f4"), ("corners", "<(3,3)f4"), ("own", "<u2")]
    )
    rows["normal"], rows["corners"] = mesh.normals, mesh.vertices[mesh.faces]
    file.write(rows.tobytes())


def _write_obj(file: BinaryIO, mesh: Mesh, said: str) -> None:
    file.write(_ascii(f"# {said}\n"))
    np.savetxt(file, mesh.vertices, "v %.6g %.6g %.6g")
    np.savetxt(file, mesh.faces + 1, "f %d %d %d")


def _write_ply(file: BinaryIO, mesh: Mesh, said: str) -> None:
    """Binary, little-endian."""
    header = (
        "ply",
        "format binary_little_endian 1.0",
        f"comment {said}",
        f"element vertex {len(mesh.vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(mesh.faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    )
    file.write(_ascii("".join(f"{line}\n" for line in header)))
    file.write(mesh.vertices.astype("<f4").tobytes())
    rows = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<3i4")])
    rows["count"], rows["corners"] = 3, mesh.faces
    file.write(rows.tobytes())


def _ascii(text: str) -> bytes:
    return text.replace("µ", "u").replace("Å", "angstrom").encode("ascii", "replace")


_WRITERS: dict[str, Callable[[BinaryIO, Mesh, str], None]] = {
    ".stl": _write_stl,
    ".obj": _write_obj,
    ".ply": _write_ply,
}

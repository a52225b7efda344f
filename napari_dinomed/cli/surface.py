"""Surfaces of labels, for printing, for 3-D programs and for 3D Slicer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dinomed.annotation.mask import Mask


def surface(
    labels: Annotated[str, typer.Argument(help="File or folder of labels.")],
    out: Annotated[Path, typer.Option(help="File to write: .stl, .obj or .ply.")],
    label: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Number of a label; may be repeated. Of several, or all, each gets a "
            "file whose name ends in the label's.",
        ),
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Leave the steps of voxels as they are.")
    ] = False,
) -> None:
    """Write labels as closed surfaces, in the world's coordinates: RAS+ mm for patients."""
    from napari_dinomed.amounts import in_usual_unit
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.finish.surface import surface_of
    from napari_dinomed.io import read_labels
    from napari_dinomed.io.meshes import require_mesh_suffix, world_of, write_mesh

    require_mesh_suffix(out)
    array, volume = read_labels(labels)
    geometry = volume.geometry
    found = _chosen(Mask.split(array), label)
    names = {entry.id: entry.name for entry in volume.legend or ()}
    table = Table("label", "triangles", "volume", "file")
    for number, mask in sorted(found.items()):
        name = names.get(number, f"label {number}")
        place = out if len(found) == 1 else _place(out, number, name)
        mesh = surface_of(mask, geometry, not steps)
        write_mesh(place, mesh, world_of(geometry))
        amount, unit = in_usual_unit(mesh.volume, geometry.unit)
        table.add_row(name, f"{len(mesh.faces):,}", f"{amount:.4g} {unit}", str(place))
    console.print(table)


def _chosen(masks: dict[int, Mask], wanted: Iterable[int] | None) -> dict[int, Mask]:
    from napari_dinomed.errors import FinishError

    numbers = set(wanted or masks)
    if not numbers or not numbers <= set(masks):
        known = ", ".join(map(str, sorted(masks))) or "none"
        missing = ", ".join(map(str, sorted(numbers - set(masks)))) or "none"
        raise FinishError(f"Expected labels of {known}; got {missing}.")
    return {number: masks[number] for number in numbers}


def _place(out: Path, number: int, name: str) -> Path:
    """A label's own file beside the one that was named."""
    plain = re.sub(r"\W+", "-", name).strip("-") or str(number)
    return out.with_name(f"{out.stem}-{number}-{plain}{out.suffix}")

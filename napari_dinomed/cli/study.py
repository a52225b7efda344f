"""Whether bigger or finer helps, on the user's own labels: a table and a heat map."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from napari_dinomed.cli.common import (
    PICTURES,
    Device,
    JsonFile,
    ending,
    progress_bar,
    write_figures,
)
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from napari_dinomed.volume import Planes

Along = Literal["slices", "rows", "columns"]


class Axes(StrEnum):
    """Along how many axes slices are taken: a list of choices must be of an enumeration."""

    ONE = "one"
    THREE = "three"


def study(
    image: Annotated[Path, typer.Option(help="The volume.")],
    labels: Annotated[Path, typer.Option(help="Expert labels on the same grid.")],
    encoders: Annotated[
        list[str], typer.Option(help="filters, a transformer, or file:PATH. Repeatable.")
    ],
    label: Annotated[str, typer.Option(help="3 for one class, 1+2 for a union.")] = "1",
    sides: Annotated[
        list[int] | None,
        typer.Option(help="Pixels of a slice's shorter side; the usual. Repeatable."),
    ] = None,
    blocks: Annotated[
        list[int] | None,
        typer.Option(help="Blocks that make a token; the usual. Repeatable."),
    ] = None,
    planes: Annotated[
        list[Axes] | None,
        typer.Option(help="Slices along one axis or three; one. Repeatable."),
    ] = None,
    along: Annotated[Along, typer.Option(help="Axis that is halved.")] = "columns",
    slices: Annotated[int, typer.Option(min=2, help="Slices painted.")] = 4,
    device: Device = "auto",
    json_out: JsonFile = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG of a heat map.", callback=ending(*PICTURES))
    ] = None,
) -> None:
    """Ask whether a bigger or a finer encoder helps, and what it costs.

    A few slices of one half of a volume are painted, the other half is read by a linear
    probe.
    """
    from napari_dinomed.bench.adapting import halves
    from napari_dinomed.bench.case import load_case
    from napari_dinomed.bench.plots import require_plots
    from napari_dinomed.bench.study import combinations, run_study
    from napari_dinomed.bench.study_plot import plot_study

    if plot is not None:
        require_plots()
    axes: list[Planes] = [one.value for one in planes or (Axes.ONE,)]
    asked = combinations(encoders, sides or (), blocks or (), axes)
    axis = ("slices", "rows", "columns").index(along)
    taught, measured = halves(load_case(image, labels, label), axis)
    table = Table("encoder", "side", "blocks", "planes", "Dice", "gain", "s", "MB")
    rows = []
    with progress_bar() as on_event:
        for row in run_study(taught, measured, slices, asked, device, on_event):
            rows.append(row)
            fineness = ("–" if n is None else str(n) for n in (row.side, row.blocks))
            table.add_row(
                *(row.encoder, *fineness, row.planes),
                *(f"{row.dice:.3f}", f"{row.gain:+.3f}"),
                *(f"{row.seconds:.0f}", f"{row.megabytes:.0f}"),
            )
    console.print(table)
    write_figures(json_out, [{"label": label, "study": [asdict(row) for row in rows]}])
    if plot is not None:
        plot_study(plot, rows)

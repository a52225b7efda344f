"""Benchmarks of time: every answer to a click, beside the least it could take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.cli.common import (
    PICTURES,
    Device,
    Encoder,
    EngineLine,
    JsonFile,
    Like,
    ending,
    engine_at,
    progress_bar,
    write_figures,
)
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    pass


def bench_speed(
    volume: Annotated[
        str, typer.Option(help="Slices, rows and columns of what is made up, as ZxYxX.")
    ] = "128x512x512",
    labels: Annotated[int, typer.Option(min=1, max=8, help="Objects clicked on.")] = 5,
    encoder: Encoder = "filters",
    all_like_this: Like = False,
    device: Device = "auto",
    engine: EngineLine = None,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Time clicks on many sizes instead.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw --scaling as a PNG.", callback=ending(*PICTURES)),
    ] = None,
    json_out: JsonFile = None,
) -> None:
    """Time every answer to a click, beside the least it could take.

    The volume is made up: a CT with organs, or for --all-like-this an EM stack.
    """
    from napari_dinomed.bench.speed import made_up_organs, made_up_sections, measure_speed
    from napari_dinomed.errors import ReadError

    if scaling and engine:
        raise ReadError("Expected --scaling without --engine.")
    if scaling:
        _bench_scaling(encoder, device, plot, json_out)
        return
    if plot is not None:
        raise ReadError("Expected --plot together with --scaling.")
    make = made_up_sections if all_like_this else made_up_organs
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    made, truths = make(lengths_of(volume))
    with engine_at(engine) as elsewhere, progress_bar() as on_event:
        rows = measure_speed(
            made, truths[:labels], meaning, encoder, device, on_event, elsewhere
        )
    table = Table("", "p50 s", "p95 s", "floor s", "floor")
    for row in rows:
        middle, high = (f"{row.quantile(share):.3f}" for share in (0.5, 0.95))
        table.add_row(row.name, middle, high, f"{row.floor:.3f}", row.floor_name)
    console.print(table)
    write_figures(json_out, [{"volume": volume, "speed": [row.as_json() for row in rows]}])


def lengths_of(text: str) -> tuple[int, int, int]:
    """Slices, rows and columns, written as ZxYxX."""
    from napari_dinomed.errors import ReadError

    lengths = [int(part) if part.isdigit() else 0 for part in text.split("x")]
    if len(lengths) != 3 or min(lengths) < 16:
        raise ReadError(
            f"Expected lengths like 128x512x512, each 16 or more, got {text!r}."
        )
    return lengths[0], lengths[1], lengths[2]


def _bench_scaling(
    encoder: str, device: str, plot: Path | None, json_out: Path | None
) -> None:
    from napari_dinomed.bench.plots import plot_scaling, require_plots
    from napari_dinomed.bench.speed import measure_scaling

    if plot is not None:
        require_plots()
    table = Table("", "", "slice in view s", "whole object s")
    with progress_bar() as on_event:
        rows = list(measure_scaling(encoder, device, on_event))
    for row in rows:
        table.add_row(row.scale, str(row.size), f"{row.painted:.3f}", f"{row.whole:.3f}")
    console.print(table)
    if plot is not None:
        plot_scaling(plot, rows)
    write_figures(json_out, [{"scaling": [asdict(row) for row in rows]}])

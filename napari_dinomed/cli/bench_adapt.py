"""Benchmarks of adapted encoders: what slices of one half are worth on the other."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from napari_dinomed.cli.common import (
    Device,
    JsonFile,
    write_figures,
)
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from napari_dinomed.bench.adapters import Compared

Along = Literal["slices", "rows", "columns"]


def bench_adapt(
    image: Annotated[Path, typer.Option(help="The volume.")],
    labels: Annotated[Path, typer.Option(help="Expert labels on the same grid.")],
    encoder: Annotated[str, typer.Option(help="A transformer, or file:PATH.")],
    out: Annotated[Path, typer.Option(help="Adapter to write, NAME.dinoadapt.")],
    label: Annotated[str, typer.Option(help="3 for one class, 1+2 for a union.")] = "1",
    along: Annotated[Along, typer.Option(help="Axis that is halved.")] = "columns",
    slices: Annotated[int, typer.Option(min=2, help="Slices painted.")] = 4,
    lessons: Annotated[int, typer.Option(min=1, help="As for 'adapt'.")] = 80,
    clicks: Annotated[bool, typer.Option("--clicks", help="Click as well.")] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Click, and draw what is found in this folder.")
    ] = None,
    device: Device = "auto",
    json_out: JsonFile = None,
) -> None:
    """Teach an encoder by painted slices of one half, and measure on the other half."""
    from napari_dinomed.adapt.run import Choices
    from napari_dinomed.bench.adapting import halves, measure_half, teach_half
    from napari_dinomed.bench.case import load_case
    from napari_dinomed.cli.adapt import (
        lessons_bar,
        print_adapter,
        require_adapter_name,
        say,
    )
    from napari_dinomed.features.adapter import read_adapter

    axis = ("slices", "rows", "columns").index(along)
    taught, measured = halves(load_case(image, labels, label), axis)
    choices = Choices(lessons=lessons)
    if not out.exists():
        require_adapter_name(out)
        with lessons_bar() as on_step:
            for step in teach_half(taught, slices, encoder, device, choices, out, say):
                on_step(step)
    header = read_adapter(out).header
    print_adapter(header)
    pair = (encoder, f"{encoder}+{out}")
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    is_clicked = clicks or pictures is not None
    rows = measure_half(taught, measured, slices, pair, device, is_clicked, say, pictures)
    table = Table("on the other half", "frozen", "adapted", "gain")
    for row in rows:
        gain = f"{row.adapted - row.frozen:+.3f}"
        table.add_row(row.how, f"{row.frozen:.3f}", f"{row.adapted:.3f}", gain)
    console.print(table)
    figures = {"encoder": header.encoder, "label": label, "slices": slices}
    write_figures(json_out, [{**figures, "worth": [asdict(row) for row in rows]}])


def bench_adapters(
    suite: Annotated[Path, typer.Option(help="TOML file of sets.")],
    encoder: Annotated[str, typer.Option(help="A transformer, or file:PATH.")],
    out: Annotated[Path, typer.Option(help="Folder for figures and adapters.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    lessons: Annotated[
        list[int] | None, typer.Option(help="As for 'adapt'. May be repeated.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Stop then; what is done is kept.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Adapt an encoder to every set of a suite, and compare it with the frozen one.

    Started again, it goes on with what is missing.
    """
    from napari_dinomed.bench.adapter_sets import Setup, load_sets, tasks_of
    from napari_dinomed.bench.adapters import compared, read_rows, run_tasks
    from napari_dinomed.cli.adapt import say

    sets = load_sets(suite)
    out.mkdir(parents=True, exist_ok=True)
    setup = Setup(sets, encoder, device, out)
    tasks = tasks_of(sets, seeds, lessons or [80])
    for done in run_tasks(setup, tasks, jobs, None if minutes is None else 60 * minutes):
        say(f"{done}")
    rows = compared(read_rows(setup.rows))
    for kind, own in groupby(rows, lambda row: (row.of, row.side, row.lessons)):
        _print_compared(kind, list(own))


def _print_compared(kind: tuple[str, int, int], rows: list[Compared]) -> None:
    """A table of one set at one side, and what was said to the user of it."""
    name, side, lessons = kind
    title = f"{name}, side {side or 'as usual'}, {lessons} lessons"
    table = Table(
        "", "seeds", "frozen", "adapted", "gain", title=title, title_justify="left"
    )
    for row in rows:
        gain = "" if row.gain is None else f"{row.gain:+.3f}"
        figures = _spread(row.frozen), _spread(row.adapted), gain
        table.add_row(row.how, str(len(row.adapted)), *figures)
    console.print(table)
    for note in dict.fromkeys(row.note for row in rows if row.note):
        console.print(note, soft_wrap=True)


def _spread(values: tuple[float, ...]) -> str:
    """The mean of runs, and of several the least and the highest."""
    if not values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.3f}"
    return f"{mean:.3f} ({min(values):.3f}–{max(values):.3f})"

"""Benchmarks on the user's own labels."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.cli.common import (
    PICTURES,
    Device,
    Encoder,
    EngineLine,
    Head,
    JsonFile,
    Like,
    PlaneChoice,
    WindowName,
    ending,
    engine_at,
    progress_bar,
    write_figures,
)
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from napari_dinomed.bench.adapters import Compared
    from napari_dinomed.bench.case import CaseFiles
    from napari_dinomed.bench.suite import Measured

User = Literal["deepest", "random", "suggested", "stroke"]
Along = Literal["slices", "rows", "columns"]

bench = typer.Typer(no_args_is_help=True, help="Measure on your own labels.")


@bench.command("interactive")
def bench_interactive(
    image: Annotated[Path | None, typer.Option(help="The volume.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Expert labels on the same grid.")
    ] = None,
    label: Annotated[str, typer.Option(help="3 for one class, 1+2 for a union.")] = "1",
    suite: Annotated[
        Path | None, typer.Option(help="TOML file of many cases, instead of one.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=100)] = 10,
    jitter: Annotated[
        bool, typer.Option("--jitter", help="Click off-centre, as people do.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Runs with --jitter.")] = 3,
    user: Annotated[
        User,
        typer.Option(
            help="Clicks into the largest error, anywhere in it, where asked, or after a "
            "stroke."
        ),
    ] = "deepest",
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Run what others do as well.")
    ] = False,
    encoder: Encoder = "filters",
    planes: PlaneChoice = "auto",
    head: Head = Readout.AUTO,
    window: WindowName = None,
    all_like_this: Like = False,
    device: Device = "auto",
    json_out: JsonFile = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="PNG of Dice against clicks.", callback=ending(*PICTURES)),
    ] = None,
) -> None:
    """Click as a user would, on the largest error each time, and report the overlap."""
    from napari_dinomed.bench.case import clicked_cases
    from napari_dinomed.bench.plots import plot_curves, require_plots
    from napari_dinomed.bench.suite import Setup, as_json, measure_files

    if plot is not None:
        require_plots()
    cases = clicked_cases(_bench_cases(suite, image, labels, label, all_like_this))
    setup = Setup(encoder, planes, head, window, device, clicks, seeds * jitter, user)
    results = []
    with progress_bar() as on_event:
        for files in cases:
            results.append(measure_files(files, setup, baselines, on_event))
    flat = [measured for case in results for measured in case]
    _print_outcomes(flat)
    write_figures(json_out, [as_json(case) for case in results])
    if plot is not None:
        plot_curves(plot, flat)


@bench.command("labels")
def bench_labels(
    image: Annotated[Path, typer.Option(help="The volume.")],
    labels: Annotated[Path, typer.Option(help="Expert labels on the same grid.")],
    label: Annotated[str, typer.Option(help="3 for one class, 1+2 for a union.")] = "1",
    slices: Annotated[
        list[int] | None, typer.Option(help="Slices painted: 1, 2 and 4 if not given.")
    ] = None,
    encoder: Encoder = "filters",
    planes: PlaneChoice = "auto",
    window: WindowName = None,
    device: Device = "auto",
    json_out: JsonFile = None,
) -> None:
    """Paint a few whole slices, evenly spaced, and report the overlap on all others."""
    from napari_dinomed.bench.case import CaseFiles
    from napari_dinomed.bench.suite import Setup, measure_labels, short_name

    files = CaseFiles(image.name, str(image), str(labels), label, Meaning.ALL_LIKE_THIS)
    setup = Setup(encoder, planes, window=window, device=device)
    with progress_bar() as on_event:
        rows = measure_labels(files, setup, tuple(slices or (1, 2, 4)), on_event)
    table = Table("slices", "Dice on the others", "filters and forest", "seconds")
    for row in rows:
        table.add_row(
            str(row["slices"]),
            f"{row['dice']:.3f}",
            f"{row['forest']:.3f}",
            f"{row['seconds']:.1f}",
        )
    console.print(table)
    write_figures(
        json_out, [{"encoder": short_name(encoder), "label": label, "labels": rows}]
    )


@bench.command("transfer")
def bench_transfer(
    image: Annotated[Path, typer.Option(help="The volume to learn from.")],
    labels: Annotated[Path, typer.Option(help="Its expert labels.")],
    to: Annotated[
        list[str],
        typer.Option(help="IMAGE,LABELS of a volume to apply it to. May be repeated."),
    ],
    label: Annotated[str, typer.Option(help="3 for one class, 1+2 for a union.")] = "1",
    encoder: Encoder = "filters",
    planes: PlaneChoice = "auto",
    window: WindowName = None,
    all_like_this: Like = False,
    device: Device = "auto",
    json_out: JsonFile = None,
) -> None:
    """Learn from the labels of one volume, and label others without a click."""
    from napari_dinomed.bench.case import CaseFiles
    from napari_dinomed.bench.suite import Setup, measure_transfer, short_name
    from napari_dinomed.errors import ReadError

    targets = []
    for pair in to:
        first, comma, second = pair.partition(",")
        if not comma:
            raise ReadError(f"Expected --to IMAGE,LABELS, got {pair!r}.")
        targets.append((first, second))
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    files = CaseFiles(
        image.name, str(image), str(labels), label, meaning, targets=tuple(targets)
    )
    setup = Setup(encoder, planes, window=window, device=device)
    with progress_bar() as on_event:
        rows = measure_transfer(files, setup, on_event)
    table = Table("volume", "Dice")
    for row in rows:
        table.add_row(row["volume"], f"{row['dice']:.3f}")
    console.print(table)
    write_figures(
        json_out, [{"encoder": short_name(encoder), "label": label, "transfer": rows}]
    )


@bench.command("cohort")
def bench_cohort(
    images: Annotated[str, typer.Option(help="Pattern of volumes, in order.")],
    labels: Annotated[str, typer.Option(help="Pattern of their labels, in order.")],
    label: Annotated[
        list[str] | None,
        typer.Option(help="3 for one class, 1+2 for a union. May be repeated."),
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=100)] = 10,
    most: Annotated[int, typer.Option(min=2, help="Volumes at most.")] = 10,
    encoder: Encoder = "filters",
    planes: PlaneChoice = "auto",
    window: WindowName = None,
    all_like_this: Like = False,
    device: Device = "auto",
    json_out: JsonFile = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="PNG of clicks against volumes taught.", callback=ending(*PICTURES)
        ),
    ] = None,
) -> None:
    """Click through a cohort; every volume begins with what those before it taught."""
    from glob import glob

    from napari_dinomed.batch.lessons import Labelled
    from napari_dinomed.bench.cohort import TARGETS, run_cohort
    from napari_dinomed.bench.plots import plot_cohort, require_plots
    from napari_dinomed.errors import ReadError

    if plot is not None:
        require_plots()
    pairs = sorted(glob(images)), sorted(glob(labels))
    if not pairs[0] or len(pairs[0]) != len(pairs[1]):
        raise ReadError(
            f"Expected as many labels as volumes, found {len(pairs[1])} and "
            f"{len(pairs[0])}."
        )
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    volumes = [
        Labelled(image, truth, tuple(label or ()), meaning)
        for image, truth in zip(*pairs, strict=True)
    ][:most]
    table = Table("volume", "label", "taught by", "proposal", "clicks to .80 / .85 / .90")
    rows = []
    with progress_bar() as on_event:
        for row in run_cohort(volumes, encoder, window, planes, device, clicks, on_event):
            rows.append(row)
            counts = (row.clicks(target) for target in TARGETS)
            told = " / ".join(f"{memory} ({without})" for memory, without in counts)
            table.add_row(row.name, row.label, str(row.taught), f"{row.proposed:.3f}", told)
    console.print(table)
    console.print("In brackets: without memory. One more than made: never.")
    write_figures(json_out, [{"cohort": [row.as_json() for row in rows]}])
    if plot is not None:
        plot_cohort(plot, rows)


@bench.command("adapt")
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


@bench.command("adapters")
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
    from napari_dinomed.bench.adapters import (
        Setup,
        compared,
        load_sets,
        read_rows,
        run_tasks,
        tasks_of,
    )
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


@bench.command("speed")
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


@bench.command("report")
def bench_report(
    suite: Annotated[Path, typer.Option(help="TOML file of cases.")],
    out: Annotated[Path, typer.Option(help="Folder for the report and its pictures.")],
    encoder: Annotated[
        list[str] | None, typer.Option(help="Encoders to measure; the first is compared.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=100)] = 10,
    seeds: Annotated[int, typer.Option(min=0, help="Runs with jitter; 0 for none.")] = 3,
    baselines: Annotated[bool, typer.Option(help="Run what others do as well.")] = True,
    device: Device = "auto",
) -> None:
    """Measure a whole suite and write it down: Markdown, curves and overlays."""
    from napari_dinomed.bench.case import load_suite
    from napari_dinomed.bench.plots import require_plots
    from napari_dinomed.bench.report import write_report
    from napari_dinomed.bench.suite import Setup

    require_plots()
    cases = load_suite(suite)
    setups = [
        Setup(name, device=device, clicks=clicks, seeds=seeds)
        for name in encoder or ["filters"]
    ]
    with progress_bar() as on_event:
        path = write_report(out, cases, setups, baselines, on_event)
    console.print(f"Wrote {path}", soft_wrap=True)


def _bench_cases(
    suite: Path | None,
    image: Path | None,
    labels: Path | None,
    label: str,
    all_like_this: bool,
) -> list[CaseFiles]:
    from napari_dinomed.bench.case import CaseFiles, load_suite
    from napari_dinomed.errors import ReadError

    if suite is not None:
        return load_suite(suite)
    if image is None or labels is None:
        raise ReadError("Expected --image and --labels, or --suite.")
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    return [CaseFiles(image.name, str(image), str(labels), label, meaning)]


def _print_outcomes(results: list[Measured]) -> None:
    table = Table(
        "case", "method", "Dice 1 / 3 / 5 / 10", "area", "to .85", "loss", "s a click"
    )
    for result in results:
        figures = result.summary()
        after = " / ".join(f"{value:.3f}" for value in figures["dice_after"].values())
        table.add_row(
            result.name,
            result.method,
            after,
            f"{figures['area']:.3f}",
            str(figures["clicks_to"]["0.85"] or "–"),
            f"{figures['largest_loss']:.2f}",
            f"{figures['latency_p50']:.2f}",
        )
    console.print(table)

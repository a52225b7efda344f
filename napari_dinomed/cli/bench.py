"""Benchmarks on the user's own labels."""

from __future__ import annotations

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
    Head,
    JsonFile,
    Like,
    PlaneChoice,
    WindowName,
    ending,
    progress_bar,
    write_figures,
)
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from napari_dinomed.bench.case import CaseFiles
    from napari_dinomed.bench.suite import Measured

User = Literal["deepest", "random", "suggested", "stroke"]

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

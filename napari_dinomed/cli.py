"""The command line: the same work as in the window, and its house-keeping."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from napari_dinomed import __version__
from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.engine.messages import Notice, Stage
from napari_dinomed.engine.messages import Progress as Step
from napari_dinomed.errors import DinomedError, PromptError
from napari_dinomed.features.stack import Planes
from napari_dinomed.settings import load_settings, save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed import volume as volumes
    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.bench.case import CaseFiles
    from napari_dinomed.bench.suite import Measured
    from napari_dinomed.engine.messages import Event

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Click-to-3D segmentation of medical and microscopy volumes.",
)
weights_app = typer.Typer(no_args_is_help=True, help="Fetch or add encoder weights.")
cache_app = typer.Typer(no_args_is_help=True, help="Look after computed features.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure on your own labels.")
app.add_typer(weights_app, name="weights")
app.add_typer(cache_app, name="cache")
app.add_typer(bench_app, name="bench")

_errors = Console(stderr=True)
_out = Console()

Encoder = Annotated[
    str, typer.Option(help="filters, a name from 'encoders', or file:PATH.")
]
Head = Annotated[Readout, typer.Option(help="Readout of the features.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps or xpu.")]
WindowName = Annotated[
    str | None,
    typer.Option("--window", help="abdomen, lung, bone, brain, mediastinum, liver, auto."),
]
PlaneChoice = Annotated[
    Planes, typer.Option(help="Slices along one axis or all three; auto: by the spacing.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="File for the figures.")]
Volume = Annotated[
    str,
    typer.Argument(help="File, folder of slices, zip of DICOM, or address of an OME-Zarr."),
]
PartKey = Annotated[
    str | None, typer.Option(help="Series, dataset or level; 'info' lists them.")
]
Frame = Annotated[int | None, typer.Option(help="Time point, from 0.")]
Channel = Annotated[int | None, typer.Option(help="Channel, from 0.")]
Resample = Annotated[
    bool,
    typer.Option("--resample", help="Bring uneven or sheared slices to an even grid."),
]
Like = Annotated[
    bool,
    typer.Option("--all-like-this", help="Label all that looks alike, not one object."),
]


def main() -> None:
    """Run the command line; a user's mistake ends it with one line and status 1."""
    try:
        app(standalone_mode=True)
    except DinomedError as error:
        _errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        _out.print(f"napari-dinomed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    offline: Annotated[
        bool, typer.Option("--offline", help="Never reach for the network.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"


@app.command()
def segment(
    volume: Volume,
    out: Annotated[
        Path,
        typer.Option(help="Labels to write: .nii.gz, .seg.nrrd, .dcm, .ome.tif, .zarr …"),
    ],
    point: Annotated[
        list[str] | None,
        typer.Option(
            help="K,J,I=LABEL on the file's own grid, slowest axis first; K,J,I=-LABEL "
            "excludes. May be repeated."
        ),
    ] = None,
    world: Annotated[
        list[str] | None,
        typer.Option(help="X,Y,Z=LABEL in world coordinates (RAS mm for NIfTI)."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON file of prompts, or a saved document.")
    ] = None,
    encoder: Encoder = "filters",
    head: Head = Readout.AUTO,
    window: WindowName = None,
    threshold: Annotated[float, typer.Option(min=0.01, max=0.99)] = 0.5,
    all_like_this: Like = False,
    part: PartKey = None,
    frame: Frame = None,
    channel: Channel = None,
    resample: Resample = False,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another image of the same voxels to look at; at most two."),
    ] = None,
    planes: PlaneChoice = "auto",
    device: Device = "auto",
    instances: Annotated[
        Path | None,
        typer.Option(help="File for the single things that the labels are made of."),
    ] = None,
) -> None:
    """Label a volume from prompts, on exactly the grid of its file."""
    from napari_dinomed.annotation.labels import legend_of
    from napari_dinomed.io import (
        Pick,
        read_volume,
        require_places,
        require_writable,
        write_labels,
    )
    from napari_dinomed.report import measure
    from napari_dinomed.session.written import annotate
    from napari_dinomed.volume import seen_with

    targets = [out] if instances is None else [out, instances]
    for target in targets:
        require_writable(target)
    opened = read_volume(volume, Pick(part, frame, channel, resample))
    for note in opened.notes:
        _out.print(note, markup=False, soft_wrap=True)
    others = [read_volume(other) for other in also or []]
    require_places(targets, opened, [*others, *([prompts] if prompts else [])])
    opened = seen_with(opened, others)
    known, given = _collect_prompts(opened, point or [], world or [], prompts)
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    named = annotate(given, meaning, known)
    opened.require_content()
    # Only now: the model's libraries take seconds to import.
    from napari_dinomed import headless

    with _progress_bar() as on_event:
        job = headless.prepare(opened, encoder, window, device, on_event, planes)
    labels = job.segment(named, given, head, threshold)
    write_labels(out, labels, opened, legend_of(named))
    _print_measures(measure(opened, labels, named))
    _out.print(f"Wrote {out}", markup=False, soft_wrap=True)
    if instances is not None:
        from napari_dinomed.segment.instances import split_labels

        things = split_labels(labels, opened.geometry.spacing)
        write_labels(instances, things, opened)
        count = int(things.max())
        _out.print(f"Wrote {instances}: {count} things", markup=False, soft_wrap=True)


@app.command()
def info(
    volume: Volume,
    part: PartKey = None,
    frame: Frame = None,
    channel: Channel = None,
    resample: Resample = False,
) -> None:
    """Say what is in a file: grid, orientation, range; or why it cannot be read."""
    from napari_dinomed.io import Pick, describe

    table = Table(show_header=False)
    for name, value in describe(volume, Pick(part, frame, channel, resample)).items():
        table.add_row(name, value)
    _out.print(table)


@app.command()
def demo(
    kind: Annotated[str, typer.Option(help="ct or em.")] = "ct",
    headless: Annotated[
        bool, typer.Option("--headless", help="No window: write files instead.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for the files of a run without a window.")
    ] = Path("dinomed-demo"),
) -> None:
    """Show the whole job on a made-up volume: a window with labels, ready to click on."""
    from napari_dinomed import demo as demos

    sample = demos.find_sample(kind)
    reason = "as asked" if headless else demos.why_no_window()
    if reason is None:
        demos.show(sample)
        return
    _out.print(f"Running without a window ({reason}).")
    with _progress_bar() as on_event:
        report = demos.write(sample, out, on_event)
    _out.print_json(json.dumps(report))
    _out.print(f"Wrote labels, overlay and report to {out.resolve()}", soft_wrap=True)


@app.command()
def encoders(device: Device = "auto") -> None:
    """List the encoders, and which of them are ready to use."""
    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import Describe

    described = Engine().run(Describe(device))
    table = Table("name", "what", "weights", "channels", "licence", "here")
    for info in described.encoders:
        table.add_row(
            info.name,
            info.title,
            f"{info.parameters:g} M" if info.parameters else "none",
            str(info.channels),
            info.licence,
            "yes" if info.present else "no",
        )
    _out.print(table)
    _out.print(f"Device: {described.device}. Any timm ViT: --encoder file:PATH")


@app.command()
def engine() -> None:
    """Serve as an engine on standard input and output (for a client to start)."""
    from napari_dinomed.engine.server import main as serve

    serve()


@weights_app.command("get")
def weights_get(
    name: Annotated[str, typer.Argument(help="Name of an encoder.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You accept the weights' licence.")
    ] = False,
) -> None:
    """Download an encoder's weights, or finish a download that was interrupted."""
    from napari_dinomed.features.catalog import LICENCE_NOTICES, find_spec
    from napari_dinomed.features.weights import fetch_weights, missing_licence

    find_spec(name)
    licence = missing_licence(name)
    if licence is not None:
        _out.print(LICENCE_NOTICES[licence], markup=False)
        if accept_licence or (
            sys.stdin.isatty() and typer.confirm(f"Accept the {licence}?")
        ):
            save_settings(load_settings().accepting(licence))
    with _progress_bar() as on_event:
        pin = fetch_weights(name, lambda a, b: on_event(Step(a, b, Stage.FETCHING)))
    _out.print(f"{name} is ready: SHA-256 {pin.sha256}, revision {pin.revision}")


@weights_app.command("add")
def weights_add(
    file: Annotated[Path, typer.Argument(help="A .safetensors or tensors-only .pth.")],
    name: Annotated[str, typer.Option("--as", help="Name of the encoder they are of.")],
) -> None:
    """Take in weights brought from another machine."""
    from napari_dinomed.features.weights import add_weights

    pin = add_weights(file, name)
    _out.print(f"{name} is ready: SHA-256 {pin.sha256}")


@cache_app.command("list")
def cache_list() -> None:
    """List computed features, least recently used first."""
    from datetime import UTC, datetime

    from napari_dinomed.features.store import list_entries
    from napari_dinomed.settings import cache_folder

    entries = list_entries()
    table = Table("features", "encoder", "slices × channels × grid", "MB", "last used")
    for entry in entries:
        table.add_row(
            entry.folder.name[:12],
            entry.encoder,
            " × ".join(str(n) for n in entry.shape),
            f"{entry.size / 1e6:.1f}",
            datetime.fromtimestamp(entry.used, UTC).strftime("%Y-%m-%d %H:%M"),
        )
    _out.print(table)
    total = sum(entry.size for entry in entries) / 1e9
    limit = load_settings().cache_limit / 1e9
    _out.print(f"{total:.2f} of {limit:g} GB in {cache_folder()}", soft_wrap=True)


@cache_app.command("clear")
def cache_clear() -> None:
    """Delete all computed features; they are computed again when needed."""
    from napari_dinomed.features.store import clear

    _out.print(f"Freed {clear() / 1e6:.1f} MB")


@cache_app.command("limit")
def cache_limit(
    gigabytes: Annotated[float, typer.Argument(min=0.1, help="Most space to take.")],
) -> None:
    """Set how much space computed features may take."""
    from napari_dinomed.features.store import evict

    settings = replace(load_settings(), cache_limit=int(gigabytes * 1e9))
    save_settings(settings)
    evict(settings.cache_limit)
    _out.print(f"Features may take {gigabytes:g} GB")


@bench_app.command("interactive")
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
    plot: Annotated[Path | None, typer.Option(help="PNG of Dice against clicks.")] = None,
) -> None:
    """Click as a user would, on the largest error each time, and report the overlap."""
    from napari_dinomed.bench.case import clicked_cases
    from napari_dinomed.bench.plots import plot_curves, require_plots
    from napari_dinomed.bench.suite import Setup, as_json, measure_files

    if plot is not None:
        require_plots()
    cases = clicked_cases(_bench_cases(suite, image, labels, label, all_like_this))
    setup = Setup(encoder, planes, head, window, device, clicks, seeds * jitter)
    results = []
    with _progress_bar() as on_event:
        for files in cases:
            results.append(measure_files(files, setup, baselines, on_event))
    flat = [measured for case in results for measured in case]
    _print_outcomes(flat)
    _write_figures(json_out, [as_json(case) for case in results])
    if plot is not None:
        plot_curves(plot, flat)


@bench_app.command("labels")
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
    with _progress_bar() as on_event:
        rows = measure_labels(files, setup, tuple(slices or (1, 2, 4)), on_event)
    table = Table("slices", "Dice on the others", "filters and forest", "seconds")
    for row in rows:
        table.add_row(
            str(row["slices"]),
            f"{row['dice']:.3f}",
            f"{row['forest']:.3f}",
            f"{row['seconds']:.1f}",
        )
    _out.print(table)
    _write_figures(
        json_out, [{"encoder": short_name(encoder), "label": label, "labels": rows}]
    )


@bench_app.command("transfer")
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
    with _progress_bar() as on_event:
        rows = measure_transfer(files, setup, on_event)
    table = Table("volume", "Dice")
    for row in rows:
        table.add_row(row["volume"], f"{row['dice']:.3f}")
    _out.print(table)
    _write_figures(
        json_out, [{"encoder": short_name(encoder), "label": label, "transfer": rows}]
    )


@bench_app.command("speed")
def bench_speed(
    volume: Annotated[
        str, typer.Option(help="Slices, rows and columns of a made-up CT, as ZxYxX.")
    ] = "128x512x512",
    labels: Annotated[int, typer.Option(min=1, max=8, help="Objects clicked on.")] = 5,
    encoder: Encoder = "filters",
    device: Device = "auto",
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Time clicks on many sizes instead.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw --scaling as a PNG.")] = None,
    json_out: JsonFile = None,
) -> None:
    """Time every answer to a click on a made-up CT, beside the least it could take."""
    from napari_dinomed.bench.speed import made_up_organs, measure_speed
    from napari_dinomed.errors import ReadError

    if scaling:
        _bench_scaling(encoder, device, plot, json_out)
        return
    if plot is not None:
        raise ReadError("Expected --plot together with --scaling.")
    lengths = [int(part) if part.isdigit() else 0 for part in volume.split("x")]
    if len(lengths) != 3 or min(lengths) < 16:
        raise ReadError(
            f"Expected --volume like 128x512x512, each 16 or more, got {volume!r}."
        )
    scan, organs = made_up_organs((lengths[0], lengths[1], lengths[2]))
    with _progress_bar() as on_event:
        rows = measure_speed(scan, organs[:labels], encoder, device, on_event)
    table = Table("", "p50 s", "p95 s", "floor s", "floor")
    for row in rows:
        middle, high = (f"{row.quantile(share):.3f}" for share in (0.5, 0.95))
        table.add_row(row.name, middle, high, f"{row.floor:.3f}", row.floor_name)
    _out.print(table)
    _write_figures(json_out, [{"volume": volume, "speed": [row.as_json() for row in rows]}])


def _bench_scaling(
    encoder: str, device: str, plot: Path | None, json_out: Path | None
) -> None:
    from napari_dinomed.bench.plots import plot_scaling, require_plots
    from napari_dinomed.bench.speed import measure_scaling

    if plot is not None:
        require_plots()
    table = Table("", "", "slice in view s", "whole object s")
    with _progress_bar() as on_event:
        rows = list(measure_scaling(encoder, device, on_event))
    for row in rows:
        table.add_row(row.scale, str(row.size), f"{row.painted:.3f}", f"{row.whole:.3f}")
    _out.print(table)
    if plot is not None:
        plot_scaling(plot, rows)
    _write_figures(json_out, [{"scaling": [asdict(row) for row in rows]}])


@bench_app.command("report")
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
    with _progress_bar() as on_event:
        path = write_report(out, cases, setups, baselines, on_event)
    _out.print(f"Wrote {path}", markup=False, soft_wrap=True)


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
    table = Table("case", "method", "Dice 1 / 3 / 5 / 10", "area", "loss", "s a click")
    for result in results:
        figures = result.summary()
        after = " / ".join(f"{value:.3f}" for value in figures["dice_after"].values())
        table.add_row(
            result.name,
            result.method,
            after,
            f"{figures['area']:.3f}",
            f"{figures['largest_loss']:.2f}",
            f"{figures['latency_p50']:.2f}",
        )
    _out.print(table)


def _write_figures(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """One case at the top level, several as a list of cases."""
    from napari_dinomed.io.atomic import write_text

    if path is not None:
        figures = rows[0] if len(rows) == 1 else {"cases": rows}
        write_text(path, json.dumps(figures, indent=1))


def _collect_prompts(
    volume: volumes.Volume,
    points: list[str],
    world: list[str],
    file: Path | None,
) -> tuple[tuple[Label, ...], Prompts]:
    from napari_dinomed.session.written import point_from_text, prompts_from_file

    known: tuple[Label, ...] = ()
    collected, geometry = Prompts(), volume.geometry
    if file is not None:
        known, collected = prompts_from_file(file, volume)
    for text in points:
        collected = collected.plus(point_from_text(text, geometry, world=False))
    for text in world:
        collected = collected.plus(point_from_text(text, geometry, world=True))
    if not collected:
        raise PromptError("Expected at least one --point, --world or --prompts.")
    return known, collected


def _print_measures(rows: list[dict[str, object]]) -> None:
    table = Table("label", "voxels", "volume", "mean grey", "slices")
    for row in rows:
        mean = row["mean"]
        table.add_row(
            str(row["label"]),
            str(row["voxels"]),
            f"{row['volume']:.4g} {row['unit']}",
            "–" if mean is None else f"{mean:.1f}",
            str(row["slices"]),
        )
    _out.print(table)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[Event], None]]:
    """A bar on standard error that follows events and prints notices above itself."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_errors, transient=True) as bars:
        task = bars.add_task("Starting", total=None)

        def show(event: Event) -> None:
            if isinstance(event, Notice):
                _errors.print(event.text, markup=False)
            elif isinstance(event, Step):
                bars.update(
                    task,
                    description=event.text.capitalize(),
                    completed=event.done,
                    total=event.total or None,
                )

        yield show

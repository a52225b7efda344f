"""Benchmarks of what is hardly seen: a window that stands still, a process that grows."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_dinomed.cli.common import PICTURES, JsonFile, ending, errors, out, write_figures

if TYPE_CHECKING:
    from napari_dinomed.volume import Volume


def bench_soak(
    clicks: Annotated[int, typer.Option(min=1, help="How many clicks.")] = 2000,
    plot: Annotated[
        Path | None, typer.Option(help="PNG of what was seen.", callback=ending(*PICTURES))
    ] = None,
    json_out: JsonFile = None,
) -> None:
    """Click and leaf through slices for long, and see whether anything grows."""
    from rich.progress import Progress

    from napari_dinomed.bench.plots import plot_soak, require_plots
    from napari_dinomed.bench.soak import as_json, slopes, soak

    if plot is not None:
        require_plots()
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("clicks", total=clicks)
        looks = soak(clicks, lambda look: bar.update(task, completed=look.clicks))
    table = Table("", "first", "last", "1,000 clicks add")
    for name, slope in slopes(looks).items():
        first, last = (f"{getattr(look, name):g}" for look in (looks[0], looks[-1]))
        table.add_row(name.replace("_", ": "), first, last, f"{slope:+.3f}")
    out.print(table)
    write_figures(json_out, [as_json(looks)])
    if plot is not None:
        plot_soak(plot, looks)


def bench_window(
    opened: Annotated[
        str, typer.Option(help="Slices, rows and columns of a CT that is only opened.")
    ] = "512x512x512",
    worked: Annotated[
        str, typer.Option(help="Of a CT that is worked on, likewise.")
    ] = "64x512x512",
    blame: Annotated[
        bool, typer.Option("--blame", help="Say what was done in the long gaps.")
    ] = False,
    json_out: JsonFile = None,
) -> None:
    """Use a real window, and see for how long it does not listen.

    A timer should come every 10 ms; the table has the gaps between. What other programs
    take of the processor is in them; "own" is what the window's thread itself computed.
    What napari takes without this program comes last.
    """
    from napari_dinomed.bench.large import large_ct
    from napari_dinomed.cli.bench_speed import lengths_of
    from napari_dinomed.demo import why_no_window
    from napari_dinomed.errors import DinomedError

    why_not = why_no_window()
    if why_not is not None:
        raise DinomedError(f"Expected a display for a window, but {why_not}.")
    from napari_dinomed.plugin.bench_window import BenchWindow

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # Documents that the user has of the same volumes would be taken up.
        os.environ["NAPARI_DINOMED_HOME"] = str(folder / "home")
        large = _written(large_ct(lengths_of(opened))[0], folder / "large.nii.gz")
        volume, organ = large_ct(lengths_of(worked))
        small = _written(volume, folder / "small.nii.gz")
        window = BenchWindow(lambda text: errors.print(text))
        try:
            acts = [
                window.open(small),
                *window.work(organ, folder),
                window.open(large),
                *window.alone(volume.array),
            ]
        finally:
            window.close()
    table = Table("", "s", "p99 ms", "max ms", "own p99 ms", "own max ms")
    for act in acts:
        row = act.as_json()
        numbers = (
            row["gap p99 ms"],
            row["gap max ms"],
            row["own p99 ms"],
            row["own max ms"],
        )
        table.add_row(act.name, f"{row['seconds']:.1f}", *(f"{n:.0f}" for n in numbers))
    out.print(table)
    for act in acts if blame else ():
        for place_in_code, looks in act.blame.most_common(5):
            out.print(f"{act.name}: {looks} x {place_in_code}")
    write_figures(json_out, [{"window": [act.as_json() for act in acts]}])


def _written(volume: Volume, path: Path) -> Path:
    from napari_dinomed.io import write_image

    write_image(path, volume.array, volume)
    return path

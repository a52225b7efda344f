"""The command line: the same work as in the window, and its house-keeping."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from napari_dinomed import __version__
from napari_dinomed.cli import (
    adapt,
    bench,
    bench_adapt,
    bench_long,
    bench_speed,
    compare,
    doctor,
    finish,
    housekeeping,
    replay,
    segment,
    study,
    surface,
    taught,
    volumes,
)
from napari_dinomed.cli.common import errors, out
from napari_dinomed.errors import DinomedError
from napari_dinomed.offline import forbid_network

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Click-to-3D segmentation of medical and microscopy volumes.",
)
app.command()(segment.segment)
app.command()(finish.finish)
app.command()(replay.replay)
app.command()(surface.surface)
app.command()(segment.info)
app.command()(segment.demo)
app.command()(taught.teach)
app.command()(taught.apply)
app.command()(adapt.adapt)
app.add_typer(taught.model, name="model")
app.command()(compare.compare)
app.add_typer(volumes.volumes, name="volumes")
app.command()(housekeeping.encoders)
app.command()(housekeeping.engine)
app.command()(doctor.doctor)
app.add_typer(housekeeping.weights, name="weights")
app.add_typer(housekeeping.cache, name="cache")
bench.bench.command("adapt")(bench_adapt.bench_adapt)
bench.bench.command("adapters")(bench_adapt.bench_adapters)
bench.bench.command("speed")(bench_speed.bench_speed)
bench.bench.command("soak")(bench_long.bench_soak)
bench.bench.command("window")(bench_long.bench_window)
bench.bench.command("study")(study.study)
app.add_typer(bench.bench, name="bench")


def main() -> None:
    """Run the command line; a user's mistake ends it with one line and status 1."""
    try:
        app(standalone_mode=True)
    except DinomedError as error:
        errors.print(f"error: {error}", style="red", soft_wrap=True)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"napari-dinomed {__version__}")
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
        forbid_network()

"""What the commands share: options, tables, a bar of progress."""

from __future__ import annotations

import contextlib
import json
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

from napari_dinomed.annotation.readout import Readout
from napari_dinomed.engine.messages import Notice
from napari_dinomed.engine.messages import Progress as Step
from napari_dinomed.engine.place import Place
from napari_dinomed.volume import Planes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.engine.client import EngineClient
    from napari_dinomed.engine.messages import Event

# Names of labels and files may have brackets and colons, which are theirs.
errors = Console(stderr=True, markup=False, emoji=False)
out = Console(markup=False, emoji=False)

Encoder = Annotated[
    str, typer.Option(help="filters, a name from 'encoders', or file:PATH.")
]
Head = Annotated[Readout, typer.Option(help="Readout of the features.")]
OwnEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder", help="Where the model's encoder is known here by another name."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps or xpu.")]
EngineLine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="Compute elsewhere: a command line that starts 'napari-dinomed engine' there, "
        "such as 'ssh gpubox napari-dinomed engine'.",
    ),
]
WindowName = Annotated[
    str | None,
    typer.Option(
        "--window",
        help="abdomen, lung, bone, brain, mediastinum, liver; suv5, suv10, suv20; auto.",
    ),
]
PlaneChoice = Annotated[
    Planes, typer.Option(help="Slices along one axis or all three; auto: by the spacing.")
]


def ending(*suffixes: str) -> Callable[[Path | None], Path | None]:
    """Check that a result is called what it is: so it cannot replace a volume.

    Parameters
    ----------
    suffixes
        What its name may end in.
    """

    def checked(path: Path | None) -> Path | None:
        if path is not None and path.suffix.lower() not in suffixes:
            expected = " or ".join(suffixes)
            raise typer.BadParameter(
                f"Expected a name that ends in {expected}, got {path}."
            )
        return path

    return checked


PICTURES = (".png",)
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="File for the figures.", callback=ending(".json")),
]
Volume = Annotated[
    str,
    typer.Argument(help="File, folder of slices, zip of DICOM, or address of an OME-Zarr."),
]
PartKey = Annotated[
    str | None,
    typer.Option("--part", "--level", help="Series, dataset or level; 'info' lists them."),
]
RegionText = Annotated[
    str | None,
    typer.Option("--region", help="ROW,COLUMN,ROWS,COLUMNS of the level that is read."),
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


def write_figures(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """One case at the top level, several as a list of cases."""
    from napari_dinomed.io.atomic import write_text

    if path is not None:
        figures = rows[0] if len(rows) == 1 else {"cases": rows}
        write_text(path, json.dumps(figures, indent=1))


def print_measures(rows: list[dict[str, object]]) -> None:
    """A table of what labels measure."""
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
    out.print(table)


@contextlib.contextmanager
def engine_at(line: str | None) -> Iterator[EngineClient | None]:
    """The engine at the end of a command line; None where there is no such line."""
    if not line:
        yield None
        return
    from napari_dinomed.engine.client import EngineClient

    client = EngineClient(Place.of(line))
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[Event], None]]:
    """A bar on standard error that follows events and prints notices above itself."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bars:
        task = bars.add_task("Starting", total=None)

        def show(event: Event) -> None:
            if isinstance(event, Notice):
                errors.print(event.text)
            elif isinstance(event, Step):
                bars.update(
                    task,
                    description=event.text.capitalize(),
                    completed=event.done,
                    total=event.total or None,
                )

        yield show

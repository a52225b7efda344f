"""Adapt an encoder to labelled volumes, and say whether it helped."""

from __future__ import annotations

import contextlib
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from napari_dinomed.cli.common import PICTURES, Device, WindowName, ending, errors
from napari_dinomed.cli.common import out as console
from napari_dinomed.errors import ModelError
from napari_dinomed.features.catalog import ADAPTER_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.adapt.run import Step
    from napari_dinomed.features.adapter import Adapter, AdapterHeader


Curves = Annotated[
    Path | None,
    typer.Option(
        help="PNG: loss by lesson, and Dice frozen and adapted.", callback=ending(*PICTURES)
    ),
]


def adapt(
    image: Annotated[list[str], typer.Option(help="A volume. May be repeated.")],
    labels: Annotated[
        list[str],
        typer.Option(
            help="Its labels, on the same grid; one for each --image. Slices without any "
            "are taken for not painted."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Adapter to write, NAME.dinoadapt.")],
    encoder: Annotated[
        str,
        typer.Option(
            help="A transformer from 'encoders', or file:PATH; with @SIDE it is shown "
            "slices of so many pixels, which the adapter keeps."
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Labels to learn: 3, or 1+2 for a union. All if left out."),
    ] = None,
    window: WindowName = None,
    device: Device = "auto",
    rank: Annotated[int, typer.Option(min=1, max=64, help="Rank of the adapters.")] = 8,
    blocks: Annotated[
        int, typer.Option(min=0, help="Blocks to adapt, from the last; 0 for all.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=1e-6, max=1, help="Learning rate.")] = 1e-3,
    lessons: Annotated[
        int, typer.Option(min=1, help="Lessons, of four crops each, for each fold.")
    ] = 80,
    plot: Curves = None,
) -> None:
    """Adapt an encoder to a few labelled slices, and show whether it helped.

    Interrupted, the same command goes on where it was.
    """
    from napari_dinomed.adapt.painted import Lesson
    from napari_dinomed.adapt.run import Choices
    from napari_dinomed.adapt.run import adapt as run
    from napari_dinomed.batch.lessons import Labelled
    from napari_dinomed.bench.plots import plot_adapter, require_plots

    if len(image) != len(labels):
        raise ModelError(
            f"Expected as many --labels as --image, got {len(labels)} and {len(image)}."
        )
    require_adapter_name(out)
    if plot is not None:
        require_plots()
    files = zip(image, labels, strict=True)
    volumes = [Labelled(one, theirs, tuple(label or ())).read() for one, theirs in files]
    choices = Choices(rank, blocks, rate, lessons)
    steps = run([Lesson(*one) for one in volumes], encoder, window, device, choices, say)
    header = _written(steps, out)
    print_adapter(header)
    if plot is not None:
        plot_adapter(plot, header)
    console.print(f"Wrote {out}", soft_wrap=True)


def describe_adapter(path: Path, plot: Path | None = None) -> None:
    """Say what an adapter is, and how it did on what did not teach it; draw that."""
    from napari_dinomed.bench.plots import plot_adapter, require_plots
    from napari_dinomed.features.adapter import KIND

    header = KIND.read(path)
    scale = header.scale
    table = Table(show_header=False)
    table.add_row("encoder", header.encoder)
    table.add_row("its weights", header.weights)
    table.add_row("kind", header.modality)
    lengths = " × ".join(f"{length:.3g}" for length in scale.spacing)
    table.add_row("spacing", f"{lengths} {scale.unit}, seen at {scale.pixel:.3g}")
    table.add_row("side, blocks read", f"{header.side}, {header.read}")
    table.add_row("volumes, slices", f"{header.volumes}, {header.slices}")
    table.add_row("rank, blocks", f"{header.rank}, {len(header.blocks)}")
    table.add_row("rate, lessons", f"{header.rate:g}, {header.lessons}")
    table.add_row("written by", f"napari-dinomed {header.program}")
    console.print(table)
    print_adapter(header)
    if plot is not None:
        require_plots()
        plot_adapter(plot, header)


def print_adapter(header: AdapterHeader) -> None:
    """What it was taught by, how it did, and whether to use it."""
    is_as_usual = not any(trial.usual for trial in header.trials)
    kinds = ["frozen", "adapted"] if is_as_usual else ["as usual", "frozen", "adapted"]
    columns = (f"Dice, {kind}, by fold" for kind in kinds)
    table = Table("label", "read by", *columns, "gain")
    for trial in header.trials:
        read = (trial.usual, trial.frozen, trial.adapted)
        cells = [
            f"{statistics.fmean(folds):.3f}  ({', '.join(f'{d:.2f}' for d in folds)})"
            for folds in read
            if folds
        ]
        gain = statistics.fmean(trial.gains)
        table.add_row(trial.label, trial.readout, *cells, f"{gain:+.3f}")
    console.print(table)
    told = (
        f"On {header.held_out} that did not teach, by the probe: {header.gain:+.3f} Dice "
        f"in the median fold, spread {header.spread:.3f}"
    )
    if header.is_better:
        console.print(f"{told}. Better than the frozen encoder by more than the spread.")
    else:
        console.print(
            f"{told}. Not better: use the frozen encoder. More labelled slices, far from "
            "each other, or another encoder may help."
        )


def _written(steps: Iterator[Step | Adapter | None], out: Path) -> AdapterHeader:
    """Run to the end behind a bar, and write the adapter that comes last."""
    from napari_dinomed.adapt.run import Step

    with lessons_bar() as on_step:
        for step in steps:
            if isinstance(step, Step):
                on_step(step)
            elif step is not None:
                step.write(out)
                header = step.header
    return header


@contextlib.contextmanager
def lessons_bar() -> Iterator[Callable[[Step], None]]:
    """A bar with the time that is left; Ctrl-C is told in one line."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    try:
        with Progress(*columns, console=errors, transient=True) as bars:
            task = bars.add_task("Slices", total=None, left="")

            def show(step: Step) -> None:
                left = f"{step.seconds / 60:.1f} min left"
                bars.update(task, completed=step.done, total=step.total, left=left)
                bars.update(task, description="Lessons")
                if step.saying:
                    say(step.saying)

            yield show
    except KeyboardInterrupt:
        raise ModelError(
            "Stopped, and nothing was written. The same command goes on where it was."
        ) from None


def say(text: str) -> None:
    """Say what the user should know, above the bar."""
    errors.print(text, soft_wrap=True)


def require_adapter_name(path: Path) -> None:
    """Raise `ModelError` where no adapter can be written there."""
    if path.suffix != ADAPTER_SUFFIX:
        raise ModelError(f"Expected a name that ends in {ADAPTER_SUFFIX}, got {path.name}.")
    if not path.parent.is_dir():
        raise ModelError(f"Cannot write {path}: the folder {path.parent} is not there.")
    try:
        is_there = path.exists()
    except OSError as error:
        raise ModelError(f"Cannot write {path}: {error.strerror}.") from error
    if is_there:
        raise ModelError(f"{path} is there already: choose another name.")

"""Applying a model to one image that is too large to be held: part of ``apply``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_dinomed.cli.common import errors
from napari_dinomed.cli.common import out as console
from napari_dinomed.cli.following import Pace, following

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.batch.stack.plan import Place, StackPlan, Wishes
    from napari_dinomed.batch.stack.run import Step

InStore = Annotated[
    str | None,
    typer.Option(
        "--in-store",
        metavar="NAME",
        help="Write into the OME-Zarr image itself, block by block, as labels/NAME; of a "
        "slide, into a store in --out.",
    ),
]
StackLevel = Annotated[
    str | None,
    typer.Option(help="Level to read; the nearest to that of teaching, if left out."),
]
StackRegion = Annotated[
    str | None, typer.Option(help="Part of that level, as z0:z1,y0:y1,x0:x1 in voxels.")
]
StackMask = Annotated[
    Path | None,
    typer.Option(help="Where to look: labels of the same field, in any resolution."),
]
StackInstances = Annotated[
    bool, typer.Option("--instances", help="Number things, too, as labels/NAME-instances.")
]


def apply_to_stack(
    place: Place,
    wishes: Wishes,
    device: str,
    overwrite: bool,
    workers: int,
    scheduler: str | None,
    dry_run: bool,
) -> None:
    """Label an OME-Zarr image or a slide block by block."""
    from napari_dinomed.batch.hands import hands_of
    from napari_dinomed.batch.stack.plan import StackPlan
    from napari_dinomed.batch.stack.run import StackRun

    plan, warnings = StackPlan.of(place, wishes, device)
    for warning in warnings:
        errors.print(warning)
    _print_plan(plan)
    if dry_run:
        return
    run = StackRun(plan, device, overwrite)
    with hands_of(workers, scheduler) as hands:
        _follow(run.run(hands))
    table = Table("label", "voxels", "volume", "unit", "doubt")
    for row in run.write_results():
        table.add_row(*row)
    console.print(table)
    for growing in plan.outputs:
        console.print(f"Wrote {growing.place}", soft_wrap=True)


def _follow(steps: Iterator[Step]) -> None:
    """Show how far each phase of a run is."""
    phase, before, begun = "", 0, 0.0
    with following() as follower:
        for step in steps:
            if step.phase != phase:
                phase, before, begun = step.phase, step.done, time.monotonic()
            what, seconds = f"blocks of {phase}", time.monotonic() - begun
            follower.tell(Pace(what, step.total, step.done, seconds=seconds, before=before))


def _print_plan(plan: StackPlan) -> None:
    table = Table(show_header=False)
    count = sum(1 for _ in plan.blocks())
    table.add_row("level", f"{plan.level}: {_times(plan.boxes.shape)} voxels")
    table.add_row("window", f"{plan.window.low:.4g} to {plan.window.high:.4g}")
    table.add_row("blocks", f"{count} of {_times(plan.block)} voxels")
    table.add_row("read in boxes of", _times(plan.boxes.size))
    console.print(table)


def _times(lengths: tuple[int, ...]) -> str:
    return " × ".join(map(str, lengths))

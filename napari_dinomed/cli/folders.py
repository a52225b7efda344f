"""Applying a model to folders of volumes: part of ``apply``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import typer

from napari_dinomed.amounts import duration, size
from napari_dinomed.cli.common import errors
from napari_dinomed.cli.common import out as console
from napari_dinomed.cli.following import Count, following

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinomed.batch.labelling import Labelling, Task
    from napari_dinomed.batch.run import Batch


def apply_to_folders(
    inputs: list[str],
    suffix: str,
    labelling: Labelling,
    overwrite: bool,
    workers: int,
    scheduler: str | None,
    dry_run: bool,
) -> None:
    """Label volumes; begun again, it goes on where it ended."""
    from napari_dinomed.batch.inputs import find_sources, results_for
    from napari_dinomed.batch.run import Batch

    out = labelling.out
    places = results_for(find_sources(inputs, out), out, suffix)
    batch = Batch(labelling, overwrite)
    waiting = batch.waiting(places)
    console.print(f"{len(places)} volumes, {len(places) - len(waiting)} of them done.")
    if dry_run:
        _foretell(batch, waiting, workers)
        return
    _follow(batch, waiting, workers, scheduler)
    rows = batch.write_results()
    failed = sum(bool(row.error) for row in rows)
    console.print(
        f"Wrote {out / 'results.csv'}: {len(rows)} volumes, {failed} of them failed.",
        soft_wrap=True,
    )
    if failed == len(rows):
        raise typer.Exit(1)


def _follow(batch: Batch, waiting: list[Task], workers: int, scheduler: str | None) -> None:
    """Label what waits, and show how far that is."""
    from napari_dinomed.batch.hands import hands_of

    with hands_of(workers, scheduler) as hands, following() as follower:
        count = Count("volumes", len(waiting))
        for done in batch.run(waiting, follower.on_event, hands):
            if done.error:
                said = f"{done.source}: {done.error}"
                errors.print(said, style="red", soft_wrap=True)
            count.one(done.worker, failed=bool(done.error))
            follower.tell(count.pace)


def _foretell(batch: Batch, waiting: list[Task], workers: int) -> None:
    """Say what would be done, how long that takes, and on how much disk."""
    from napari_dinomed.batch.foresight import foreseen
    from napari_dinomed.settings import load_settings

    for source, place in waiting:
        console.print(f"{source.path} → {place.name}", soft_wrap=True)
    if not waiting:
        return
    found = foreseen([source for source, _ in waiting], batch.done, batch.labelling)
    processes = f" with {workers} processes" if workers > 1 else ""
    console.print(
        f"{len(waiting)} volumes take about {duration(found.seconds / workers)}{processes} "
        f"({found.basis}).",
        soft_wrap=True,
    )
    cache = size(load_settings().cache_limit)
    console.print(
        f"Labels take about {size(found.disk)} of {size(_free(batch.out))} that are free; "
        f"features up to {cache} in the cache.",
        soft_wrap=True,
    )


def _free(folder: Path) -> int:
    """Bytes that are left where a folder is, or will be."""
    near = next(
        each for each in (folder.absolute(), *folder.absolute().parents) if each.exists()
    )
    return shutil.disk_usage(near).free

"""Label, describe and demonstrate: commands for one volume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.cli.common import (
    Channel,
    Device,
    Encoder,
    EngineLine,
    Frame,
    Head,
    Like,
    PartKey,
    PlaneChoice,
    RegionText,
    Resample,
    Volume,
    WindowName,
    engine_at,
    print_measures,
    progress_bar,
)
from napari_dinomed.cli.common import out as console
from napari_dinomed.errors import PromptError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed import volume as volumes
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.headless import Job
    from napari_dinomed.io import Pick
    from napari_dinomed.volume import Planes


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
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="K,J,I:K,J,I=LABEL, corners on the file's own grid: LABEL is inside; "
            "=-LABEL: none of it is. May be repeated."
        ),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON file of prompts, or a saved document.")
    ] = None,
    encoder: Encoder = "filters",
    head: Head = Readout.AUTO,
    window: WindowName = None,
    threshold: Annotated[float, typer.Option(min=0.01, max=0.99)] = 0.5,
    all_like_this: Like = False,
    floor: Annotated[
        float | None,
        typer.Option(help="Labels keep no voxel below this grey value, as SUV 2.5."),
    ] = None,
    least: Annotated[
        float,
        typer.Option(min=0, help="Labels keep no part smaller than that: ml, or µm³."),
    ] = 0.0,
    part: PartKey = None,
    frame: Frame = None,
    channel: Channel = None,
    resample: Resample = False,
    region: RegionText = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another image of the same voxels to look at; at most two."),
    ] = None,
    planes: PlaneChoice = "auto",
    device: Device = "auto",
    engine: EngineLine = None,
    instances: Annotated[
        Path | None,
        typer.Option(help="File for the single things that the labels are made of."),
    ] = None,
) -> None:
    """Label a volume from prompts, on exactly the grid of its file."""
    from napari_dinomed.annotation.choices import Choices
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.labels import legend_of
    from napari_dinomed.finish.above import above, require_numbers
    from napari_dinomed.io import (
        read_volume,
        require_places,
        require_writable,
        write_labels,
    )
    from napari_dinomed.report import measure
    from napari_dinomed.session.written import annotate
    from napari_dinomed.volume import seen_with

    require_numbers(floor, least)
    targets = [out] if instances is None else [out, instances]
    for target in targets:
        require_writable(target)
    opened = read_volume(volume, _picked(part, frame, channel, resample, region))
    for note in opened.notes:
        console.print(note, soft_wrap=True)
    others = [read_volume(other) for other in also or []]
    require_places(targets, opened, [*others, *([prompts] if prompts else [])])
    opened = seen_with(opened, others)
    known, given = _collect_prompts(opened, point or [], world or [], box or [], prompts)
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    named = annotate(given, meaning, known)
    opened.require_content()
    # Only now: the model's libraries take seconds to import.
    from napari_dinomed import headless

    with engine_at(engine) as elsewhere:
        with progress_bar() as on_event:
            job = headless.prepare(
                opened, encoder, window, device, on_event, planes, elsewhere
            )
        answered = job.segment(named, given, head, threshold)
    labels = answered
    if floor is not None or least:
        labels = above(answered, opened, floor, least)
    write_labels(out, labels, opened, legend_of(named))
    seen = tuple(other.fingerprint for other in others)
    choices = Choices(encoder, window or "", head, threshold, seen)
    document = Document(named, given, choices=choices, next_id=named[-1].id + 1)
    _write_making(out, job, document, answered, labels, planes)
    print_measures(measure(opened, labels, named))
    console.print(f"Wrote {out}", soft_wrap=True)
    if instances is not None:
        from napari_dinomed.segment.instances import split_labels

        things = split_labels(labels, opened.geometry.spacing)
        write_labels(instances, things, opened)
        count = int(things.max())
        console.print(f"Wrote {instances}: {count} things", soft_wrap=True)


def info(
    volume: Volume,
    part: PartKey = None,
    frame: Frame = None,
    channel: Channel = None,
    resample: Resample = False,
    region: RegionText = None,
) -> None:
    """Say what is in a file: grid, orientation, range; or why it cannot be read."""
    from napari_dinomed.io import describe

    pick = _picked(part, frame, channel, resample, region)
    table = Table(show_header=False)
    for name, value in describe(volume, pick).items():
        table.add_row(name, value)
    console.print(table)


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
    console.print(f"Running without a window ({reason}).")
    with progress_bar() as on_event:
        report = demos.write(sample, out, on_event)
    console.print_json(json.dumps(report))
    console.print(f"Wrote labels, overlay and report to {out.resolve()}", soft_wrap=True)


def _write_making(
    out: Path,
    job: Job,
    document: Document,
    answered: NDArray[np.integer[Any]],
    kept: NDArray[np.integer[Any]],
    planes: Planes,
) -> None:
    """Say, beside labels, how they were made."""
    from napari_dinomed.annotation.making import Features
    from napari_dinomed.session.provenance import answered_at_once, save_beside

    window, encoder = job.window, job.encoded.signature
    features = Features(encoder, window.low, window.high, planes)
    saved = answered_at_once(job.volume, document, window, features, answered, kept)
    save_beside(out, saved)


def _picked(
    part: str | None,
    frame: int | None,
    channel: int | None,
    resample: bool,
    region: str | None,
) -> Pick:
    from napari_dinomed.io import Pick
    from napari_dinomed.io.region import parse_region

    box = None if region is None else parse_region(region)
    return Pick(part, frame, channel, resample, box)


def _collect_prompts(
    volume: volumes.Volume,
    points: list[str],
    world: list[str],
    boxes: list[str],
    file: Path | None,
) -> tuple[tuple[Label, ...], Prompts]:
    from napari_dinomed.session.written import (
        point_from_text,
        prompts_from_file,
        regions_from_text,
    )

    known: tuple[Label, ...] = ()
    collected, geometry = Prompts(), volume.geometry
    if file is not None:
        known, collected = prompts_from_file(file, volume)
    for text in points:
        collected = collected.plus(point_from_text(text, geometry, world=False))
    for text in world:
        collected = collected.plus(point_from_text(text, geometry, world=True))
    for text in boxes:
        for region in regions_from_text(text, geometry):
            collected = collected.plus(region)
    if not collected:
        raise PromptError("Expected at least one --point, --world, --box or --prompts.")
    return known, collected

"""Teach once, apply to many: models, and folders of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.cli.adapt import Curves, describe_adapter
from napari_dinomed.cli.common import (
    Device,
    Encoder,
    Like,
    OwnEncoder,
    PartKey,
    PlaneChoice,
    WindowName,
    progress_bar,
)
from napari_dinomed.cli.common import out as console
from napari_dinomed.cli.folders import apply_to_folders
from napari_dinomed.cli.stack import (
    InStore,
    StackInstances,
    StackLevel,
    StackMask,
    StackRegion,
    apply_to_stack,
)
from napari_dinomed.errors import ModelError, ReadError, WriteError
from napari_dinomed.features.catalog import ADAPTER_SUFFIX
from napari_dinomed.session.file import SUFFIX as DOCUMENT
from napari_dinomed.taught.header import SUFFIX, Header, read_header
from napari_dinomed.volume import Planes

Head = Literal["auto", "knn", "probe", "perceptron"]

model = typer.Typer(no_args_is_help=True, help="Look at taught models, or join them.")

ModelFile = Annotated[Path, typer.Argument(help="A model written by 'teach'.")]
ModelOut = Annotated[Path, typer.Option(help="Model to write, NAME.dinomed.")]


def teach(
    image: Annotated[list[str], typer.Option(help="A volume. May be repeated.")],
    labels: Annotated[
        list[str],
        typer.Option(help="Its labels, or its saved document; one for each --image."),
    ],
    out: ModelOut,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Labels to learn: 3, or 1+2 for a union. All if left out."),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Go on teaching the model that is there.")
    ] = False,
    encoder: Encoder = "filters",
    planes: PlaneChoice = "auto",
    window: WindowName = None,
    all_like_this: Like = False,
    head: Annotated[
        Head, typer.Option(help="What reads the tokens; auto: what did best in trials.")
    ] = "auto",
    device: Device = "auto",
    level: PartKey = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            help="ROW,COLUMN,ROWS,COLUMNS of a slide that were labelled; one for each "
            "--image."
        ),
    ] = None,
) -> None:
    """Teach a model from labelled volumes, so that it labels others without a click."""
    from napari_dinomed.batch.lessons import Labelled, teach_model
    from napari_dinomed.cli.documents import FromDocument
    from napari_dinomed.io import Pick
    from napari_dinomed.io.atomic import stamp_of
    from napari_dinomed.io.region import parse_region

    if len(image) != len(labels):
        raise ModelError(
            f"Expected as many --labels as --image, got {len(labels)} and {len(image)}."
        )
    if region and len(region) != len(image):
        raise ModelError(
            f"Expected as many --region as --image, got {len(region)} and {len(image)}."
        )
    picks = [Pick(level, region=parse_region(text)) for text in region or ()]
    picks = picks or [Pick(level)] * len(image)
    _require_model_name(out, may_exist=add)
    if add:
        sight = read_header(out).sight
        encoder = sight.encoder if encoder == "filters" else encoder
        planes, window = sight.planes, window or sight.window_name
    meaning = Meaning.ALL_LIKE_THIS if all_like_this else Meaning.OBJECT
    volumes = [
        (FromDocument if theirs.endswith(DOCUMENT) else Labelled)(
            one, theirs, tuple(label or ()), meaning, pick
        )
        for one, theirs, pick in zip(image, labels, picks, strict=True)
    ]
    since = stamp_of(out) if add else None
    with progress_bar() as on_event:
        taught = teach_model(
            volumes,
            out if add else None,
            encoder,
            window,
            planes,
            device,
            on_event,
            None if head == "auto" else head,
        )
    taught.write(out, since)
    _print_lessons(taught.header)
    console.print(f"Wrote {out}", soft_wrap=True)


def apply(
    model: ModelFile,
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders, patterns, or a CSV with a path in each row."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for labels, results.csv and more.")],
    encoder: OwnEncoder = None,
    suffix: Annotated[
        str, typer.Option(help="Format of the labels: .nii.gz, .seg.nrrd, .ome.tif …")
    ] = ".nii.gz",
    window: WindowName = None,
    planes: Annotated[
        Planes | None, typer.Option(help="As the model was taught, if left out.")
    ] = None,
    device: Device = "auto",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace labels that others made or changed."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that label at once on this machine; one for each GPU."
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a dask cluster to label on: tcp://HOST:8786."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done and how long it takes."),
    ] = False,
    in_store: InStore = None,
    level: StackLevel = None,
    region: StackRegion = None,
    mask: StackMask = None,
    instances: StackInstances = False,
) -> None:
    """Label many volumes with a taught model; begun again, it goes on where it ended."""
    from napari_dinomed.batch.hands import usual_workers

    workers = workers or usual_workers(device)
    if in_store is not None:
        from napari_dinomed.batch.stack.plan import Place, Wishes

        wishes = Wishes(level, region, mask, window, encoder, instances)
        stack = Place(model, Path(_only(inputs)), out, in_store)
        apply_to_stack(stack, wishes, device, overwrite, workers, scheduler, dry_run)
        return
    if any((level, region, mask, instances)):
        raise ReadError(
            "--level, --region, --mask and --instances are for an OME-Zarr image or a "
            "slide that is labelled block by block: give the labels a name with --in-store."
        )
    from napari_dinomed.batch.labelling import Labelling
    from napari_dinomed.io import label_suffixes
    from napari_dinomed.taught.model import read_model

    if suffix not in label_suffixes():
        expected = ", ".join(label_suffixes())
        raise WriteError(f"Expected labels as one of {expected}, got {suffix!r}.")
    # All of it: what is damaged is said once, and not of every volume.
    sight = read_model(model).header.sight
    planes, window = planes or sight.planes, window or sight.window_name
    labelling = Labelling(model, out, encoder or sight.encoder, window, planes, device)
    apply_to_folders(inputs, suffix, labelling, overwrite, workers, scheduler, dry_run)


@model.command("info")
def model_info(path: ModelFile, plot: Curves = None) -> None:
    """Say what a model knows, and how well it did on volumes that it did not learn from."""
    if path.suffix == ADAPTER_SUFFIX:
        describe_adapter(path, plot)
        return
    if plot is not None:
        raise ModelError("Only how an adapter was taught can be drawn.")
    _print_header(read_header(path))


@model.command("merge")
def model_merge(
    models: Annotated[list[Path], typer.Argument(help="Models of one encoder.")],
    out: ModelOut,
) -> None:
    """Join what several models were taught."""
    from napari_dinomed.taught.model import read_model
    from napari_dinomed.taught.settle import settled
    from napari_dinomed.taught.teach import merged

    _require_model_name(out, may_exist=False)
    first, *others = [read_model(path) for path in models]
    for other in others:
        first = merged(first, other)
    *_, complete = settled(first)
    complete.write(out)
    _print_lessons(complete.header)


@model.command("compare")
def model_compare(
    models: Annotated[list[Path], typer.Argument(help="Two models or more.")],
    image: Annotated[
        list[str] | None, typer.Option(help="A volume to try them on. May be repeated.")
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="Its labels; one for each --image.")
    ] = None,
    encoder: OwnEncoder = None,
    device: Device = "auto",
) -> None:
    """Set models side by side: what each knows, and how well it does on volumes."""
    from napari_dinomed.cli.compare_models import print_trials, side_by_side

    pairs = list(zip(image or (), labels or (), strict=False))
    if len(image or ()) != len(labels or ()):
        raise ModelError("Expected as many --labels as --image.")
    console.print(side_by_side(models))
    if pairs:
        print_trials(models, pairs, encoder, device)


def _only(inputs: list[str]) -> str:
    """The one image that is labelled in its own store."""
    from napari_dinomed.io import Source

    if len(inputs) != 1:
        raise ReadError(f"--in-store labels one OME-Zarr image, got {len(inputs)} inputs.")
    if Source.of(inputs[0]).url:
        raise ReadError(
            f"Labels can be put into a store on disk only, got {inputs[0]}. Copy it here."
        )
    return inputs[0]


def _require_model_name(path: Path, may_exist: bool) -> None:
    from napari_dinomed.io.source import is_there

    if path.suffix != SUFFIX:
        raise ModelError(f"Expected a name that ends in {SUFFIX}, got {path.name}.")
    if not path.parent.is_dir():
        raise ModelError(f"Cannot write {path}: the folder {path.parent} is not there.")
    if is_there(path, ModelError) and not may_exist:
        raise ModelError(
            f"{path} is there already: choose another name, or --add to go on teaching it."
        )


def _print_header(header: Header) -> None:
    sight = header.sight
    table = Table(show_header=False)
    table.add_row("volumes", str(header.volumes))
    table.add_row("encoder", sight.encoder)
    table.add_row("identified by", sight.signature)
    table.add_row("slices along", ", ".join("zyx"[axis] for axis in sight.axes))
    table.add_row("kind", sight.modality)
    table.add_row("spacing", " × ".join(f"{length:.3g}" for length in sight.spacing))
    for told in dict.fromkeys(lesson.told_by for lesson in header.lessons):
        table.add_row("odd volumes told by", ", ".join(told))
    table.add_row("written by", f"napari-dinomed {header.program}")
    console.print(table)
    _print_lessons(header)


def _print_lessons(header: Header) -> None:
    head = ("label", "means", "volumes", "voxels", "clicks", "painted")
    table = Table(*head, "read by", "Dice, not taught")
    for lesson in header.lessons:
        effort = lesson.effort
        table.add_row(
            lesson.label.name,
            lesson.label.meaning.value,
            str(lesson.volumes),
            str(lesson.voxels),
            "–" if effort is None else str(effort.clicks),
            "–" if effort is None else str(effort.painted),
            ", ".join(str(reading.way) for reading in lesson.readings),
            f"{lesson.mean_dice:.2f}",
        )
    console.print(table)

"""Make labels again from what lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_dinomed.cli.common import (
    Channel,
    Device,
    Frame,
    PartKey,
    Resample,
    progress_bar,
)
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from napari_dinomed import volume as volumes
    from napari_dinomed.io import Pick
    from napari_dinomed.session.file import SavedDocument


def replay(
    file: Annotated[
        Path,
        typer.Argument(help="Saved labels, or what lies beside: NAME.dinomed.json."),
    ],
    image: Annotated[
        str | None,
        typer.Option(help="The image; by default it is sought beside the file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the labels that are made.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="file:PATH of the weights, where they were a file of one's own."),
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="A further image that the encoder saw.")
    ] = None,
    part: PartKey = None,
    frame: Frame = None,
    channel: Channel = None,
    resample: Resample = False,
    device: Device = "auto",
) -> None:
    """Make saved labels again, step by step, and say whether the voxels are the same."""
    from napari_dinomed.annotation.labels import legend_of
    from napari_dinomed.io import (
        Pick,
        read_volume,
        require_places,
        require_writable,
        write_labels,
    )
    from napari_dinomed.session.file import SUFFIX, load_document
    from napari_dinomed.session.provenance import beside

    if out is not None:
        require_writable(out)
    # Who names the labels means what lies beside them.
    if not file.name.endswith(SUFFIX) and beside(file).exists():
        file = beside(file)
    saved = load_document(file)
    volume = _volume_of(saved, file, image, Pick(part, frame, channel, resample))
    others = [read_volume(other) for other in also or []]
    if out is not None:
        require_places([out], volume, [*others, file])
    # Only now: the model's libraries take seconds to import.
    from napari_dinomed.replay import Replay, brought, differing

    with progress_bar() as on_event:
        made = Replay(saved, volume, others, encoder, device, on_event).run()
    if out is not None:
        labels = made.labels_of(volume.geometry.shape)
        write_labels(out, labels, volume, legend_of(made.legend))
        console.print(f"Wrote {out}", soft_wrap=True)
    for name, count in brought(saved).items():
        console.print(f"Put back as kept: {name} ({count}×)")
    others_now = differing(saved.document, made)
    for one in others_now:
        console.print(
            f"{one.name} differs: {one.saved:,} voxels were saved, {one.made:,} are made "
            f"here, Dice {one.dice:.5f}.",
        )
    if others_now:
        _say_versions(saved)
        raise typer.Exit(1)
    total = sum(mask.count for mask in made.masks.values())
    console.print(f"The same voxels: {total:,} in {len(made.masks)} labels.")


def _volume_of(
    saved: SavedDocument, file: Path, image: str | None, pick: Pick
) -> volumes.Volume:
    from napari_dinomed.io import Pick, read_volume

    if image is not None:
        return read_volume(image, saved.pick if pick == Pick() else pick)
    from napari_dinomed.replay import find_volume

    return find_volume(file.resolve().parent, saved)


def _say_versions(saved: SavedDocument) -> None:
    """What is otherwise here than where the labels were made."""
    from napari_dinomed.session.provenance import versions

    here = versions()
    for name, there in saved.versions.items():
        if here.get(name) != there:
            console.print(f"{name}: {there} then, {here.get(name, 'none')} here.")

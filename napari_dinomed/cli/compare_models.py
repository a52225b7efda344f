"""Models side by side: what each knows, and what each finds where the truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from napari_dinomed.bench.metrics import dice
from napari_dinomed.cli.common import out, progress_bar
from napari_dinomed.taught.header import read_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.headless import Job
    from napari_dinomed.taught.header import Header, Lesson

_NOTHING = "–"


def side_by_side(models: Sequence[Path]) -> Table:
    """A table with a column for each model; labels are matched by their names."""
    headers = [read_header(path) for path in models]
    table = Table("", *(path.stem for path in models))
    table.add_row("encoder", *(header.sight.encoder for header in headers))
    table.add_row("identified by", *(header.sight.signature for header in headers))
    table.add_row("kind", *(header.sight.modality for header in headers))
    table.add_row(
        "spacing",
        *(" × ".join(f"{n:.3g}" for n in header.sight.spacing) for header in headers),
    )
    table.add_row("volumes", *(str(header.volumes) for header in headers))
    names = {lesson.label.name: None for header in headers for lesson in header.lessons}
    for name in names:
        table.add_row(name, *(_told(_lesson(header, name)) for header in headers))
    return table


def print_trials(
    models: Sequence[Path],
    volumes: Sequence[tuple[str, str]],
    encoder: str | None,
    device: str,
) -> None:
    """Print Dice of what each model proposes in volumes whose labels are known.

    Parameters
    ----------
    models
        Files of models.
    volumes
        Files of images, each with the file of its labels.
    encoder, device
        As for `prepare`; the model's own encoder if None.
    """
    from napari_dinomed.batch.lessons import Labelled
    from napari_dinomed.headless import prepare

    table = Table("volume", "label", *(path.stem for path in models))
    for image, labels in volumes:
        volume, truth, legend = Labelled(image, labels).read()
        found: list[dict[str, NDArray[np.bool_]]] = []
        for path in models:
            sight = read_header(path).sight
            with progress_bar() as on_event:
                job = prepare(
                    volume,
                    encoder or sight.encoder,
                    sight.window_name,
                    device,
                    on_event,
                    sight.planes,
                )
                found.append(_found(job, path, volume.geometry.shape))
        for label in legend:
            own = truth == label.id
            scores = (
                f"{dice(own, one[label.name]):.2f}" if label.name in one else _NOTHING
                for one in found
            )
            table.add_row(image.rpartition("/")[2], label.name, *scores)
    out.print(table)


def _found(
    job: Job, path: Path, shape: tuple[int, int, int]
) -> dict[str, NDArray[np.bool_]]:
    """Where a model finds each of its labels, by name."""
    proposed = job.propose(path)
    labels = proposed.paste(shape)
    return {label.name: labels == label.id for label in proposed.legend}


def _lesson(header: Header, name: str) -> Lesson | None:
    return next((one for one in header.lessons if one.label.name == name), None)


def _told(lesson: Lesson | None) -> str:
    """How well a label is known, by volumes that were not taught."""
    if lesson is None:
        return _NOTHING
    return f"Dice {lesson.mean_dice:.2f} of {lesson.volumes} volumes"

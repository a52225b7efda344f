"""What the volumes of a table look like, for the commands: seen now, or stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_dinomed.cli.common import errors, progress_bar
from napari_dinomed.engine.messages import Notice
from napari_dinomed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.messages import Event
    from napari_dinomed.whole.eye import Eye
    from napari_dinomed.whole.gather import Gathered
    from napari_dinomed.whole.table import Row

FILTERS = "filters"
SeenBy = Annotated[
    str | None,
    typer.Option(
        "--encoder", help="filters if left out, a name from 'encoders', or file:PATH."
    ),
]
Stored = Annotated[
    Path | None,
    typer.Option("--features", help="What 'volumes embed' wrote; no volume is read again."),
]


def looked_at(
    rows: tuple[Row, ...], encoder: str | None, window: str | None, device: str
) -> Gathered:
    """What volumes look like; errors as `gathered`."""
    from napari_dinomed.whole.eye import Eye

    return seen_by(Eye.of(encoder or FILTERS, window, device, _say), rows)


def seen_by(eye: Eye, rows: tuple[Row, ...]) -> Gathered:
    """As `looked_at`, by an encoder that is there."""
    from napari_dinomed.whole.gather import gathered

    with progress_bar() as on_event:
        return gathered(rows, eye, on_event, say_failed)


def stored(
    file: Path,
    rows: tuple[Row, ...],
    encoder: str | None,
    window: str | None,
    device: str,
) -> Gathered:
    """What a file says that volumes look like, if it is what was asked for."""
    from napari_dinomed.whole.eye import Eye
    from napari_dinomed.whole.gather import read_gathered

    seen = read_gathered(file, rows, say_failed)
    sight = seen.sight
    if window is not None and window != sight.window.name:
        raise ModelError(f"{file.name} was seen through {sight.window}, not {window}.")
    if encoder is not None:
        own = Eye.of(encoder, window, device, _say).encoder.signature
        if own != sight.signature:
            raise ModelError(
                f"{file.name} has features of {sight.encoder}, not of {encoder}, or of "
                "other weights of that name."
            )
    return seen


def eyes(
    encoders: list[str], sides: list[int], window: str | None, device: str
) -> Iterator[Eye]:
    """Encoders at each side; once, at 0, where slices are seen as they are."""
    from napari_dinomed.whole.eye import Eye

    for name in encoders:
        eye = Eye.of(name, window, device, _say)
        is_chosen = bool(sides) and eye.encoder.is_planar
        for side in sides if is_chosen else (0,):
            yield eye.at(side)


def _say(event: Event) -> None:
    """What a user should know of an encoder."""
    if isinstance(event, Notice):
        errors.print(event.text)


def say_failed(row: Row, reason: str) -> None:
    """Say that a volume is left out, and why."""
    errors.print(f"{row.volume}: {reason}", style="red", soft_wrap=True)

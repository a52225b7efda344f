"""Finish a label of a file: the tools of the panel without a window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_dinomed.cli.common import out as console
from napari_dinomed.errors import FinishError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.finish import Subject
    from napari_dinomed.finish.options import Scale
    from napari_dinomed.volume import NamedLabel, Volume


def _list_tools(wanted: bool) -> None:
    if not wanted:
        return
    from napari_dinomed.finish import TOOLS

    table = Table("tool", "options", "what it does")
    for tool in TOOLS:
        if not tool.is_drawn:
            table.add_row(tool.key, "\n".join(o.typed for o in tool.shown), tool.does)
    console.print(table)
    raise typer.Exit


def finish(
    labels: Annotated[str, typer.Argument(help="File or folder of labels.")],
    tool: Annotated[str, typer.Option(help="What to do; --tools lists them.")],
    label: Annotated[int, typer.Option(min=1, help="Number of the label to work on.")],
    out: Annotated[Path, typer.Option(help="Labels to write, all others as they were.")],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE: an option of the tool, in mm or ml. May be repeated."
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="The image, for tools that go by grey values.")
    ] = None,
    tools: Annotated[
        bool,
        typer.Option("--tools", callback=_list_tools, is_eager=True, help="List them."),
    ] = False,
) -> None:
    """Fill, smooth, grow, cut, split or clean one label of a file; the others stay."""
    del tools
    from napari_dinomed.finish import find_tool, finished
    from napari_dinomed.finish.options import made
    from napari_dinomed.io import (
        read_labels,
        read_volume,
        require_places,
        require_writable,
        write_labels,
    )
    from napari_dinomed.volume import require_same_grid

    chosen = find_tool(tool)
    require_writable(out)
    array, volume = read_labels(labels)
    grey = None if image is None else read_volume(image)
    if grey is not None:
        require_same_grid(grey, volume)
    require_places([out], volume, [] if grey is None else [grey])
    scale = _scale(volume, grey)
    settings = made(chosen.options, _values(options or []), scale)
    subject = _subject(array, label, volume, grey)
    wanted, *parts = finished(chosen, settings, subject)
    legend = volume.legend or ()
    new = _labels_for(len(parts), subject.name, array, legend)
    before = array == label
    array[before] = 0
    wanted.number(array, label)
    for part, one in zip(parts, new, strict=True):
        part.number(array, one.id)
    write_labels(out, array, volume, (*legend, *new))
    console.print(_change(before, array == label, volume, scale))
    for one in new:
        console.print(f"Label {one.id} is {one.name}", soft_wrap=True)
    console.print(f"Wrote {out}", soft_wrap=True)


def _scale(volume: Volume, image: Volume | None) -> Scale:
    from napari_dinomed.finish.options import Scale
    from napari_dinomed.volume import choose_window

    geometry = volume.geometry
    if image is None:
        return Scale(geometry.unit, geometry.spacing)
    window = choose_window(image)
    return Scale(geometry.unit, geometry.spacing, (window.low, window.high))


def _values(texts: list[str]) -> dict[str, Any]:
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise FinishError(f"Expected an option like distance=3, got {text!r}.")
        values[name] = value
    return values


def _subject(
    array: NDArray[np.int64], label: int, volume: Volume, image: Volume | None
) -> Subject:
    import numpy as np

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.finish import Subject

    masks = Mask.split(array)
    if label not in masks:
        known = ", ".join(map(str, sorted(masks))) or "none"
        raise FinishError(f"Expected a label of {known}; got {label}.")
    names = {entry.id: entry.name for entry in volume.legend or ()}
    own = masks.pop(label)
    return Subject(
        names.get(label, f"label {label}"),
        own,
        tuple(masks.values()),
        volume.geometry.shape,
        volume.geometry.spacing,
        None if image is None else lambda box: np.asarray(image.array[box]),
    )


def _labels_for(
    count: int, name: str, array: NDArray[np.int64], legend: tuple[NamedLabel, ...]
) -> list[NamedLabel]:
    """Labels for parts of another: numbered on from all, and named after it."""
    from napari_dinomed.annotation.labels import new_label
    from napari_dinomed.annotation.legends import free_colors, free_names
    from napari_dinomed.volume import NamedLabel

    names = free_names(name, {entry.name for entry in legend})
    colors = free_colors({entry.color for entry in legend})
    first = 1 + max([int(array.max()), *(entry.id for entry in legend)])
    return [
        NamedLabel(number, next(names), next(colors, new_label(number).color))
        for number in range(first, first + count)
    ]


def _change(
    before: NDArray[np.bool_], after: NDArray[np.bool_], volume: Volume, scale: Scale
) -> str:
    """What was added and removed, in words."""
    from napari_dinomed.finish.options import Measure

    unit, factor = scale.unit_of(Measure.VOLUME)
    size = volume.geometry.voxel_volume / factor
    added, removed = ((after & ~before).sum() * size, (before & ~after).sum() * size)
    return f"{added:.4g} {unit} added, {removed:.4g} {unit} removed"

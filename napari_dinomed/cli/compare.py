"""Which encoder suits a labelled volume: the comparison of the panel without a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_dinomed.cli.common import Device, JsonFile, Volume, progress_bar, write_figures
from napari_dinomed.cli.common import out as console

if TYPE_CHECKING:
    from napari_dinomed.session.comparing import Row


def compare(
    image: Volume,
    labels: Annotated[str, typer.Argument(help="Labels of the image, or of a part.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="May be repeated; every encoder whose weights are here if none."),
    ] = None,
    sides: Annotated[
        bool, typer.Option("--sides", help="Also with half and twice the pixels.")
    ] = False,
    planes: Annotated[
        bool,
        typer.Option("--planes", help="Also along three axes where it is one, or one."),
    ] = False,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> None:
    """Hide a quarter of each label after another, and see which encoder finds it again."""
    import time

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import JudgeEncoding
    from napari_dinomed.features.catalog import CATALOG
    from napari_dinomed.features.naming import known_as
    from napari_dinomed.features.weights import is_present
    from napari_dinomed.headless import VOLUME, prepare
    from napari_dinomed.io import read_labels, read_volume
    from napari_dinomed.session.comparing import Row, Trial, Vary, mean_dice, varied
    from napari_dinomed.volume import require_same_grid

    volume = read_volume(image)
    array, grid = read_labels(labels)
    require_same_grid(volume, grid)
    usual = [
        Trial(name) for name in encoder or [name for name in CATALOG if is_present(name)]
    ]
    asked: dict[Vary, bool] = {"sides": sides, "planes": planes}
    engine, masks, left = Engine(), Mask.split(array), list(usual)
    rows: list[Row] = []
    while left:
        trial = left.pop(0)
        begun = time.monotonic()
        with progress_bar() as show:
            job = prepare(volume, trial.encoder, None, device, show, trial.planes, engine)
            seconds = time.monotonic() - begun
            judged = engine.run(JudgeEncoding(VOLUME, masks), show)
        found = job.encoded
        seen = (found.computed, found.side, found.axes)
        rows.append(Row(trial, mean_dice(judged), seconds, *seen))
        if trial in usual:
            for vary in (one for one, is_asked in asked.items() if is_asked):
                left += varied(rows[-1], vary, volume.array.shape[0])
    table = Table("encoder", "seen", "linear probe", "k-NN", "features in")
    for row in sorted(rows, key=lambda row: -row.best):
        dice = (f"{row.dice.get(readout, float('nan')):.3f}" for readout in _SHOWN)
        table.add_row(known_as(row.trial.encoder), row.seen, *dice, f"{row.seconds:.1f} s")
    console.print(table)
    write_figures(json_file, [_figures(row) for row in rows])


def _figures(row: Row) -> dict[str, Any]:
    return {
        "encoder": row.trial.encoder,
        "side": row.side,
        "axes": row.axes,
        "seconds": row.seconds,
        "dice": dict(row.dice),
    }


_SHOWN = ("probe", "knn")

"""Which encoder suits a labelled volume: the comparison of the panel without a window."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from napari_dinomed.cli.common import Device, JsonFile, Volume, progress_bar, write_figures
from napari_dinomed.cli.common import out as console


def compare(
    image: Volume,
    labels: Annotated[str, typer.Argument(help="Labels of the image, or of a part.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="May be repeated; every encoder whose weights are here if none."),
    ] = None,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> None:
    """Hide a quarter of each label after another, and see which encoder finds it again."""
    import time

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import JudgeEncoding
    from napari_dinomed.features.catalog import CATALOG
    from napari_dinomed.features.weights import is_present
    from napari_dinomed.headless import VOLUME, prepare
    from napari_dinomed.io import read_labels, read_volume
    from napari_dinomed.session.comparing import mean_dice
    from napari_dinomed.volume import require_same_grid

    volume = read_volume(image)
    array, grid = read_labels(labels)
    require_same_grid(volume, grid)
    names = encoder or [name for name in CATALOG if is_present(name)]
    engine, masks = Engine(), Mask.split(array)
    rows: list[dict[str, Any]] = []
    for name in names:
        begun = time.monotonic()
        with progress_bar() as show:
            prepare(volume, name, device=device, on_event=show, engine=engine)
            seconds = time.monotonic() - begun
            judged = engine.run(JudgeEncoding(VOLUME, masks), show)
        rows.append({"encoder": name, "seconds": seconds, "dice": mean_dice(judged)})
    table = Table("encoder", "linear probe", "k-NN", "features in")
    for row in sorted(rows, key=lambda row: -max(row["dice"].values(), default=0.0)):
        dice = (f"{row['dice'].get(readout, float('nan')):.3f}" for readout in _SHOWN)
        table.add_row(str(row["encoder"]), *dice, f"{row['seconds']:.1f} s")
    console.print(table)
    write_figures(json_file, rows)


_SHOWN = ("probe", "knn")

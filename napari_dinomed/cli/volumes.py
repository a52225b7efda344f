"""Labels of whole volumes: embed, evaluate, fit, predict."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from napari_dinomed.cli.common import (
    PICTURES,
    Device,
    Encoder,
    JsonFile,
    OwnEncoder,
    PartKey,
    WindowName,
    ending,
    errors,
    progress_bar,
    write_figures,
)
from napari_dinomed.cli.common import out as console
from napari_dinomed.errors import DinomedError, ModelError
from napari_dinomed.io.format import FIRST, Pick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.taught.header import Sight
    from napari_dinomed.whole.readout import Figures
    from napari_dinomed.whole.scale import Grid
    from napari_dinomed.whole.table import Row

volumes = typer.Typer(
    no_args_is_help=True, help="Labels of whole volumes: what a scan shows, not where."
)

TableFile = Annotated[
    Path,
    typer.Argument(
        help="CSV: volume, maybe patient, roi, level and region; other columns are labels."
    ),
]


@volumes.command()
def embed(
    table: TableFile,
    out: Annotated[
        Path,
        typer.Option(help="An .npz with volumes and features.", callback=ending(".npz")),
    ],
    encoder: Encoder = "filters",
    window: WindowName = None,
    device: Device = "auto",
) -> None:
    """Write what each volume looks like, for other programs."""
    from napari_dinomed.io.atomic import replacing
    from napari_dinomed.whole.table import read_table

    rows = read_table(table)
    features, _ = _features(rows, encoder, window, device)
    names = np.array([str(row.volume) for row in rows])
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, volumes=names, features=features)
    console.print(f"Wrote {out}: {features.shape[0]} volumes, {features.shape[1]} numbers.")


@volumes.command()
def evaluate(
    table: TableFile,
    encoder: Annotated[
        list[str] | None, typer.Option(help="filters if left out. May be repeated.")
    ] = None,
    window: WindowName = None,
    device: Device = "auto",
    json_out: JsonFile = None,
    side: Annotated[
        list[int] | None,
        typer.Option(
            min=32, help="Pixels of a slice's shorter side. May be repeated, to compare."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="PNG: mean AUROC of encoders, sides and readouts.",
            callback=ending(*PICTURES),
        ),
    ] = None,
) -> None:
    """Say how well each label is told, on patients that did not teach it."""
    from dataclasses import asdict

    from napari_dinomed.bench.heat import plot_scale
    from napari_dinomed.bench.plots import require_plots
    from napari_dinomed.bench.suite import short_name
    from napari_dinomed.whole.scale import Trial, grids_of
    from napari_dinomed.whole.table import read_table

    if plot is not None:
        require_plots()
    rows, written, trials = read_table(table), [], []
    for name, pixels in _pairs(encoder or ["filters"], side or [], device):
        features = _features_at(rows, name, pixels, window, device)
        columns = ("label", "read by", "true", "AUROC", "95 %", "permuted", "AUPRC", "ECE")
        title = f"{short_name(name)}{f' at {pixels}' if pixels else ''}"
        shown = Table(*columns, title=title)
        figures = _all_figures(rows, features)
        trials.append(Trial(short_name(name), pixels, tuple(figures)))
        for one in figures:
            written.append({"encoder": short_name(name), "side": pixels, **asdict(one)})
            shown.add_row(
                one.label,
                one.readout,
                f"{one.positive}/{one.volumes}",
                f"{one.auroc:.2f}",
                f"{one.low:.2f}–{one.high:.2f}",
                f"{one.permuted:.2f}",
                f"{one.auprc:.2f}",
                f"{one.calibration:.2f}",
            )
        console.print(shown)
    grids = grids_of(trials)
    for grid in grids if len(trials) > 1 else ():
        console.print(_table_of(grid))
    write_figures(json_out, [{"volumes": written}])
    if plot is not None:
        plot_scale(plot, grids)
        console.print(f"Wrote {plot}", soft_wrap=True)


@volumes.command("fit")
def fit_command(
    table: TableFile,
    out: Annotated[Path, typer.Option(help="The model, NAME.dinowhole.")],
    encoder: Encoder = "filters",
    window: WindowName = None,
    device: Device = "auto",
) -> None:
    """Learn the labels of a table; each is read by what told it best."""
    from napari_dinomed.whole.model import SUFFIX, Head, Header, WholeModel, arrays_of
    from napari_dinomed.whole.readout import fit
    from napari_dinomed.whole.table import read_table, truths_of

    if out.suffix != SUFFIX:
        raise ModelError(f"Expected a name that ends in {SUFFIX}, got {out.name}.")
    rows = read_table(table)
    features, sight = _features(rows, encoder, window, device)
    patients, truths = _patients(rows), truths_of(rows)
    heads, arrays = {}, {}
    best: dict[str, Figures] = {}
    for one in _all_figures(rows, features):
        if one.label not in best or one.auroc > best[one.label].auroc:
            best[one.label] = one
    for label, figures in best.items():
        known = ~np.isnan(truths[label])
        belongs = truths[label][known] > 0
        fitted = fit(label, features[known], belongs, patients[known], figures.readout)
        own, neighbours = arrays_of(label, fitted, features[known], belongs)
        arrays.update(own)
        heads[label] = Head(figures.readout, neighbours, figures)
        console.print(f"{label}: {figures.readout}, AUROC {figures.auroc:.3f}")
    is_within = any(row.roi is not None for row in rows)
    WholeModel(Header(sight, heads, is_within), arrays).write(out)
    console.print(f"Wrote {out}", soft_wrap=True)


@volumes.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model written by 'volumes fit'.")],
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders, patterns, or a CSV as for 'fit'."),
    ],
    out: Annotated[
        Path, typer.Option(help="CSV of probabilities.", callback=ending(".csv"))
    ],
    encoder: OwnEncoder = None,
    device: Device = "auto",
    tile: Annotated[
        int | None,
        typer.Option(min=32, help="Pixels of tiles that slides are cut into."),
    ] = None,
    level: PartKey = None,
) -> None:
    """Write how probable each label is for each volume, or each tile of a slide."""
    from napari_dinomed.io.atomic import write_text
    from napari_dinomed.io.guard import require_apart
    from napari_dinomed.whole.embed import embedded, tiles_of
    from napari_dinomed.whole.model import read_whole_model

    require_apart(out, [model, *map(Path, inputs)])
    whole = read_whole_model(model)
    labels, sight = list(whole.header.heads), whole.header.sight
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows, failed, name = _rows_of(inputs, out, level), 0, encoder or sight.encoder
    if tile is not None:
        rows = tuple(one for row in rows for one in tiles_of(row, tile))
    is_parted = any(row.pick != FIRST for row in rows)
    places = ["level", "region"] if is_parted else []
    writer.writerow(["volume", *places, *labels, "error"])
    with progress_bar() as on_event:
        for row in rows:
            place = _place_of(row) if is_parted else []
            try:
                features, seen = embedded(row, name, sight.window_name, device, on_event)
                whole.require_sight(seen, row.roi is not None)
            except DinomedError as error:
                failed += 1
                said = f"{row.volume}: {error}"
                errors.print(said, style="red", soft_wrap=True)
                writer.writerow([row.volume, *place, *[""] * len(labels), str(error)])
                continue
            told = (float(whole.predict(label, features[None])[0]) for label in labels)
            writer.writerow([row.volume, *place, *(f"{one:.4f}" for one in told), ""])
    write_text(out, text.getvalue())
    what = "tiles" if tile is not None else "volumes"
    console.print(f"Wrote {out}: {len(rows)} {what}, {failed} of them failed.")


def _place_of(row: Row) -> list[str]:
    """Level and region, as a table has them."""
    region = row.pick.region or ()
    return [row.pick.part or "", ",".join(map(str, region))]


def _rows_of(inputs: list[str], results: Path, level: str | None) -> tuple[Row, ...]:
    """The volumes of a table, or of what else may be named."""
    from napari_dinomed.batch.inputs import find_inputs
    from napari_dinomed.whole.table import Row, is_table, read_table

    if len(inputs) == 1 and is_table(Path(inputs[0])):
        return read_table(Path(inputs[0]))
    pick = Pick(level)
    return tuple(Row(path, "", None, {}, pick) for path in find_inputs(inputs, results))


def _features(
    rows: tuple[Row, ...], encoder: str, window: str | None, device: str
) -> tuple[np.ndarray, Sight]:
    """Features (volumes, parts), and how the first volume was seen."""
    from napari_dinomed.whole.embed import embedded

    with progress_bar() as on_event:
        done = [embedded(row, encoder, window, device, on_event) for row in rows]
    return np.stack([features for features, _ in done]), done[0][1]


def _pairs(encoders: list[str], sides: list[int], device: str) -> Iterator[tuple[str, int]]:
    """Encoders at each side; once, at 0, where slices are seen as they are."""
    from napari_dinomed.whole.sides import loaded

    for name in encoders:
        is_chosen = bool(sides) and loaded(name, device).is_planar
        for side in sides if is_chosen else (0,):
            yield name, side


def _features_at(
    rows: tuple[Row, ...], encoder: str, side: int, window: str | None, device: str
) -> np.ndarray:
    """Features (volumes, parts) at a resolution; the usual one if 0."""
    from napari_dinomed.whole.embed import embedded_at

    if not side:
        return _features(rows, encoder, window, device)[0]
    with progress_bar() as on_event:
        done = [embedded_at(row, encoder, side, window, device, on_event) for row in rows]
    return np.stack(done)


def _table_of(grid: Grid) -> Table:
    """Mean AUROC of encoders and sides."""
    title = f"mean AUROC, {grid.readout}"
    table = Table("", *(str(side or "as is") for side in grid.sides), title=title)
    for encoder, means in zip(grid.encoders, grid.means, strict=True):
        table.add_row(encoder, *(f"{mean:.2f}" for mean in means))
    return table


def _all_figures(rows: tuple[Row, ...], features: np.ndarray) -> list[Figures]:
    """How well each readout tells each label."""
    from napari_dinomed.whole.readout import READOUTS, figures_of
    from napari_dinomed.whole.table import truths_of

    truths = truths_of(rows)
    if not truths:
        raise ModelError("Expected a column for each label beside volume, patient and roi.")
    return [
        figures_of(label, features, truth, _patients(rows), readout)
        for label, truth in truths.items()
        for readout in READOUTS
    ]


def _patients(rows: tuple[Row, ...]) -> np.ndarray:
    return np.array([row.patient for row in rows])

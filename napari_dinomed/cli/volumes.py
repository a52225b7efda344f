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
from napari_dinomed.cli.looking import (
    FILTERS,
    SeenBy,
    Stored,
    eyes,
    looked_at,
    say_failed,
    seen_by,
    stored,
)
from napari_dinomed.errors import DinomedError, ModelError
from napari_dinomed.io.format import FIRST, Pick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.whole.gather import Gathered
    from napari_dinomed.whole.readout import Figures
    from napari_dinomed.whole.scale import Grid, Trial
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
    encoder: SeenBy = None,
    window: WindowName = None,
    device: Device = "auto",
) -> None:
    """Write what each volume looks like, for 'fit', 'evaluate' and other programs."""
    from napari_dinomed.io.guard import require_apart
    from napari_dinomed.whole.table import read_table

    rows = read_table(table)
    require_apart(out, [table, *(row.volume for row in rows)])
    seen = looked_at(rows, encoder, window, device)
    seen.write(out)
    count, parts = seen.features.shape
    console.print(f"Wrote {out}: {count} volumes, {parts} numbers.", soft_wrap=True)
    _end(rows, seen)


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
            help="PNG: AUROC of each label, or means of several encoders and sides.",
            callback=ending(*PICTURES),
        ),
    ] = None,
    features: Stored = None,
) -> None:
    """Say how well each label is told, on patients that did not teach it."""
    from dataclasses import asdict

    from napari_dinomed.bench.areas import plot_areas
    from napari_dinomed.bench.heat import plot_scale
    from napari_dinomed.bench.plots import require_plots
    from napari_dinomed.bench.suite import short_name
    from napari_dinomed.whole.scale import grids_of
    from napari_dinomed.whole.table import read_table, truths_of

    if plot is not None:
        require_plots()
    if features is not None and (side or len(encoder or []) > 1):
        raise ModelError("Features that are stored are of one encoder, at one side.")
    rows, trials, seen = read_table(table), [], []
    # What is wrong with the labels is said before hours of encoding.
    truths_of(rows)
    if features is not None:
        only = encoder[0] if encoder else None
        seen.append(stored(features, rows, only, window, device))
        trials.append(_trial(seen[0].sight.encoder, 0, seen[0]))
    else:
        for eye in eyes(encoder or [FILTERS], side or [], window, device):
            seen.append(seen_by(eye, rows))
            trials.append(_trial(short_name(eye.name), eye.side, seen[-1]))
    grids = grids_of(trials)
    for grid in grids if len(trials) > 1 else ():
        console.print(_table_of(grid))
    written = [
        {"encoder": trial.encoder, "side": trial.side, **asdict(one)}
        for trial in trials
        for one in trial.figures
    ]
    write_figures(json_out, [{"volumes": written}])
    if plot is not None:
        if len(trials) > 1:
            plot_scale(plot, grids)
        else:
            plot_areas(plot, trials[0])
        console.print(f"Wrote {plot}", soft_wrap=True)
    _end(rows, *seen)


@volumes.command("fit")
def fit_command(
    table: TableFile,
    out: Annotated[Path, typer.Option(help="The model, NAME.dinowhole.")],
    encoder: SeenBy = None,
    window: WindowName = None,
    device: Device = "auto",
    features: Stored = None,
) -> None:
    """Learn the labels of a table; each is read by what told it best."""
    from napari_dinomed.whole.model import SUFFIX, Head, Header, WholeModel, arrays_of
    from napari_dinomed.whole.readout import fit
    from napari_dinomed.whole.table import read_table, truths_of

    if out.suffix != SUFFIX:
        raise ModelError(f"Expected a name that ends in {SUFFIX}, got {out.name}.")
    rows = read_table(table)
    truths_of(rows)
    if features is None:
        seen = looked_at(rows, encoder, window, device)
    else:
        seen = stored(features, rows, encoder, window, device)
    patients, truths = _patients(seen.rows), truths_of(seen.rows)
    heads, arrays = {}, {}
    numbers = {row.place: number for number, row in enumerate(rows, 1)}
    places = np.array([numbers[row.place] for row in seen.rows])
    best: dict[str, Figures] = {}
    for one in _all_figures(seen):
        if one.label not in best or one.auroc > best[one.label].auroc:
            best[one.label] = one
    for label, figures in best.items():
        known = ~np.isnan(truths[label])
        belongs = truths[label][known] > 0
        own = seen.features[known]
        fitted = fit(label, own, belongs, patients[known], figures.readout)
        parts, neighbours = arrays_of(label, fitted, own, belongs, places[known])
        arrays.update(parts)
        heads[label] = Head(figures.readout, neighbours, figures)
        by = f"k-NN, k {neighbours}" if neighbours else "probe"
        console.print(f"{label}: {by}, AUROC {figures.auroc:.3f}")
    is_within = seen.rows[0].roi is not None
    WholeModel(Header(seen.sight, heads, is_within), arrays).write(out)
    console.print(f"Wrote {out}", soft_wrap=True)
    _end(rows, seen)


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
    from napari_dinomed.whole.eye import Eye
    from napari_dinomed.whole.gather import attempted
    from napari_dinomed.whole.model import read_whole_model

    require_apart(out, [model, *map(Path, inputs)])
    whole = read_whole_model(model)
    labels, sight = list(whole.header.heads), whole.header.sight
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows, failed, name = _rows_of(inputs, out, level), 0, encoder or sight.encoder
    if tile is not None:
        rows = tuple(_tiles_of(rows, tile))
    is_parted = any(row.pick != FIRST for row in rows)
    places = ["level", "region"] if is_parted else []
    writer.writerow(["volume", *places, *labels, "error"])
    with progress_bar() as on_event:
        eye = Eye.of(name, sight.window_name, device, on_event)
        whole.require_encoder(name, eye.encoder.signature)
        for row in rows:
            place = _place_of(row) if is_parted else []
            seen = whole.refusal(row.roi is not None) or attempted(row, eye, on_event)
            if isinstance(seen, str):
                failed += 1
                say_failed(row, seen)
                writer.writerow([row.volume, *place, *[""] * len(labels), seen])
                continue
            told = (float(whole.predict(label, seen[0][None])[0]) for label in labels)
            writer.writerow([row.volume, *place, *(f"{one:.4f}" for one in told), ""])
    write_text(out, text.getvalue())
    what = "tiles" if tile is not None else "volumes"
    console.print(f"Wrote {out}: {len(rows)} {what}, {failed} of them failed.")
    if failed == len(rows):
        raise typer.Exit(1)


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


def _tiles_of(rows: tuple[Row, ...], side: int) -> Iterator[Row]:
    """Tiles of slides; one that cannot be opened is left whole, and fails by itself."""
    from napari_dinomed.whole.embed import tiles_of

    for row in rows:
        try:
            yield from tiles_of(row, side)
        except DinomedError:
            yield row


def _end(rows: tuple[Row, ...], *seen: Gathered) -> None:
    """A command that left out volumes has not done all that it was asked for."""
    left_out = max(len(rows) - len(one.rows) for one in seen)
    if left_out:
        errors.print(f"{left_out} of {len(rows)} volumes were left out.", style="red")
        raise typer.Exit(1)


def _trial(encoder: str, side: int, seen: Gathered) -> Trial:
    """How well an encoder tells each label, and a table of it on the screen."""
    from napari_dinomed.whole.scale import Trial

    columns = ("label", "read by", "true", "AUROC", "95 %", "permuted", "AUPRC", "ECE")
    shown = Table(*columns, title=f"{encoder}{f' at {side}' if side else ''}")
    trial = Trial(encoder, side, tuple(_all_figures(seen)))
    for one in trial.figures:
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
    return trial


def _table_of(grid: Grid) -> Table:
    """Mean AUROC of encoders and sides."""
    title = f"mean AUROC, {grid.readout}"
    table = Table("", *(str(side or "as is") for side in grid.sides), title=title)
    for encoder, means in zip(grid.encoders, grid.means, strict=True):
        table.add_row(encoder, *(f"{mean:.2f}" for mean in means))
    return table


def _all_figures(seen: Gathered) -> list[Figures]:
    """How well each readout tells each label; one that cannot be tried is said."""
    from napari_dinomed.whole.readout import READOUTS, figures_of
    from napari_dinomed.whole.table import truths_of

    patients, figures = _patients(seen.rows), []
    for label, truth in truths_of(seen.rows).items():
        try:
            figures += [
                figures_of(label, seen.features, truth, patients, readout)
                for readout in READOUTS
            ]
        except ModelError as error:
            errors.print(f"{label} is left out. {error}", style="red", soft_wrap=True)
    if not figures:
        raise ModelError("None of the labels can be taught and tried.")
    return figures


def _patients(rows: tuple[Row, ...]) -> np.ndarray:
    return np.array([row.patient for row in rows])

"""A table of volumes and what is said of each: a CSV file.

In: a CSV with a column ``volume``; ``patient``, ``roi``, ``level`` and ``region`` may be
there, too, and every other column is a label. Out: rows, and binary truths: a column of 0
and 1 is one, a column of names is one for each name. An empty cell is not known, nor is
one that says so as pandas and R do.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.errors import DinomedError, ReadError
from napari_dinomed.io import Pick
from napari_dinomed.io.format import FIRST
from napari_dinomed.io.region import parse_region
from napari_dinomed.io.source import is_there

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from numpy.typing import NDArray

_VOLUME, _PATIENT, _ROI = "volume", "patient", "roi"
_LEVEL, _REGION = "level", "region"
_TRUTHS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
# Not "none", which may be what was found.
_UNKNOWN = ("", "nan", "na", "n/a", "#n/a", "<na>", "null")


@dataclass(frozen=True)
class Row:
    """A volume of a table.

    Parameters
    ----------
    volume
        Where it is.
    patient
        Whose it is; volumes of one are never divided between teaching and trial.
    roi
        Labels on the volume's grid that it is looked at within, or None for all of it.
    said
        What each other column says.
    pick
        A level and a region of a slide, or all of what is there.
    """

    volume: Path
    patient: str
    roi: Path | None
    said: Mapping[str, str]
    pick: Pick = FIRST

    @property
    def place(self) -> tuple[str, ...]:
        """What tells it from other rows: volume, region of interest, level and region."""
        region = ",".join(map(str, self.pick.region or ()))
        roi = "" if self.roi is None else os.path.normpath(self.roi)
        return (os.path.normpath(self.volume), roi, self.pick.part or "", region)

    @property
    def fault(self) -> str | None:
        """Why it cannot be read, as far as is seen without reading."""
        for file in (self.volume, self.roi):
            try:
                if file is not None and not is_there(file):
                    return f"{file} is not there."
            except DinomedError as error:
                return str(error)
        return None


def read_table(path: Path) -> tuple[Row, ...]:
    """Read a table; whether its files are there is seen when they are read.

    Raises
    ------
    ReadError
        Where it cannot be read, has no column ``volume`` or no row, or a row is not
        what the names of the columns promise, or says again what another is about.
    VolumeError
        Where a region is none.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names, lines = _cells_of(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"Cannot read {path}: {error}") from error
    if not lines or _VOLUME not in names:
        raise ReadError(
            f"Expected a CSV with a first line of names, one of them '{_VOLUME}', and a "
            f"line for each volume; got {path}."
        )
    for name, count in Counter(name for name in names if name).items():
        if count > 1:
            raise ReadError(f"{path} has {count} columns '{name}'. Rename or leave out.")
    rows: dict[int, Row] = {}
    for number, cells in lines.items():
        where = f"line {number} of {path}"
        rows[number] = _row(_named(names, cells, where), path.parent, where)
    _require_apart(rows, path)
    _require_alike(rows, path)
    return tuple(rows.values())


def is_table(path: Path) -> bool:
    """Whether a file is a CSV with a column of volumes."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return _VOLUME in [name.strip() for name in first.split(",")]


def truths_of(rows: tuple[Row, ...]) -> dict[str, NDArray[np.float64]]:
    """Whether each label holds for each row (n,): 0, 1, or not a number if not known.

    Raises
    ------
    ReadError
        Where there is no label, or a column mixes 0 and 1 with something else.
    """
    if not rows[0].said:
        raise ReadError("Expected a column for each label beside volume, patient and roi.")
    truths = {}
    for column in rows[0].said:
        cells = [_known(row.said[column]) for row in rows]
        names = sorted({cell for cell in cells if cell})
        _require_one_kind(column, names, rows)
        if all(name.lower() in _TRUTHS for name in names):
            truths[column] = np.array([_TRUTHS.get(cell.lower(), np.nan) for cell in cells])
            continue
        for name in names:
            truths[f"{column}={name}"] = np.array(
                [float(cell == name) if cell else np.nan for cell in cells]
            )
    return truths


def _known(cell: str) -> str:
    """What a cell says; nothing where that is not known."""
    return "" if cell.strip().lower() in _UNKNOWN else cell.strip()


def _require_one_kind(column: str, names: list[str], rows: tuple[Row, ...]) -> None:
    """A column is of 0 and 1, or of whole numbers, or of names."""
    others = [name for name in names if name.lower() not in _TRUTHS]
    if len(others) in (0, len(names)) or all(name.isdigit() for name in names):
        return
    row = next(row for row in rows if _known(row.said[column]) == others[0])
    raise ReadError(
        f"Expected 0, 1 or nothing in the column '{column}', got '{others[0]}' for "
        f"{row.volume}. For classes, give each a name."
    )


def _cells_of(file: TextIO, path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """Names of the columns, and the cells of each line that says something."""
    reader = csv.reader(file)
    names = [name.strip() for name in next(reader, [])]
    lines = {}
    for cells in reader:
        if any(cell.strip() for cell in cells):
            lines[reader.line_num] = cells
    return names, lines


def _named(names: list[str], cells: list[str], where: str) -> dict[str, str]:
    """The cells of a line by the names of their columns."""
    said = [cell.strip() for cell in cells]
    nameless = [cell for cell in said[len(names) :] if cell]
    nameless += [cell for name, cell in zip(names, said, strict=False) if cell and not name]
    if nameless:
        raise ReadError(
            f"Expected a name for each column, {nameless[0]!r} has none: {where}."
        )
    said += [""] * (len(names) - len(said))
    return {name: cell for name, cell in zip(names, said, strict=False) if name}


def _row(cells: dict[str, str], folder: Path, where: str) -> Row:
    volume, roi = cells.pop(_VOLUME), cells.pop(_ROI, "")
    if not volume:
        raise ReadError(f"Expected a volume in {where}, got none.")
    patient = cells.pop(_PATIENT, "") or volume
    level, region = (cells.pop(name, "") for name in (_LEVEL, _REGION))
    pick = Pick(level or None, region=parse_region(region) if region else None)
    return Row(folder / volume, patient, folder / roi if roi else None, cells, pick)


def _require_apart(rows: dict[int, Row], path: Path) -> None:
    """What is there twice would count twice, and may be told to be two things."""
    seen: dict[tuple[str, ...], int] = {}
    for number, row in rows.items():
        if row.place in seen:
            raise ReadError(
                f"Expected each volume once in {path}, got {row.volume} in lines "
                f"{seen[row.place]} and {number}."
            )
        seen[row.place] = number


def _require_alike(rows: dict[int, Row], path: Path) -> None:
    """Within a region of interest a volume looks otherwise than as a whole."""
    without = [number for number, row in rows.items() if row.roi is None]
    if 0 < len(without) < len(rows):
        raise ReadError(
            f"Expected a region of interest for every volume of {path} or for none, got "
            f"none in line {without[0]}."
        )

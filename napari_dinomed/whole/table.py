"""A table of volumes and what is said of each: a CSV file.

In: a CSV with a column ``volume``; ``patient``, ``roi``, ``level`` and ``region`` may be
there, too, and every other column is a label. Out: rows, and binary truths: a column of 0
and 1 is one, a column of names is one for each name. An empty cell is not known.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.errors import ReadError
from napari_dinomed.io import Pick
from napari_dinomed.io.format import FIRST
from napari_dinomed.io.region import parse_region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_VOLUME, _PATIENT, _ROI = "volume", "patient", "roi"
_LEVEL, _REGION = "level", "region"
_TRUTHS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


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


def read_table(path: Path) -> tuple[Row, ...]:
    """Read a table.

    Raises
    ------
    ReadError
        Where it cannot be read, has no column ``volume``, no row, or names a file that is
        not there.
    VolumeError
        Where a region is none.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"Cannot read {path}: {error}") from error
    if not lines or _VOLUME not in lines[0]:
        raise ReadError(
            f"Expected a CSV with a first line of names, one of them '{_VOLUME}', and a "
            f"line for each volume; got {path}."
        )
    rows = tuple(_row(line, path.parent) for line in lines)
    files = [file for row in rows for file in (row.volume, row.roi) if file is not None]
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise ReadError(
            f"{path} names {len(missing)} files that are not there: {missing[0]}"
            + (" and others." if len(missing) > 1 else ".")
        )
    return rows


def is_table(path: Path) -> bool:
    """Whether a file is a CSV with a column of volumes."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return _VOLUME in [name.strip() for name in first.split(",")]


def truths_of(rows: tuple[Row, ...]) -> dict[str, NDArray[np.float64]]:
    """Whether each label holds for each row (n,): 0, 1, or not a number if not known."""
    truths = {}
    for column in rows[0].said:
        cells = [row.said[column].strip() for row in rows]
        names = sorted({cell for cell in cells if cell})
        if all(name.lower() in _TRUTHS for name in names):
            truths[column] = np.array([_TRUTHS.get(cell.lower(), np.nan) for cell in cells])
            continue
        for name in names:
            truths[f"{column}={name}"] = np.array(
                [float(cell == name) if cell else np.nan for cell in cells]
            )
    return truths


def _row(line: dict[str | None, str | None], folder: Path) -> Row:
    cells = {name: text or "" for name, text in line.items() if name is not None}
    volume, roi = cells.pop(_VOLUME).strip(), cells.pop(_ROI, "").strip()
    patient = cells.pop(_PATIENT, "").strip() or volume
    level, region = (cells.pop(name, "").strip() for name in (_LEVEL, _REGION))
    pick = Pick(level or None, region=parse_region(region) if region else None)
    return Row(folder / volume, patient, folder / roi if roi else None, cells, pick)

"""Cases of a folder, one after another: which comes next, and one table of them all."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from napari_dinomed.errors import ReadError
from napari_dinomed.io import can_read
from napari_dinomed.io.atomic import write_text

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "dinomed-statistics.csv"
_CASE = "case"
# How files of labels are usually called.
_LABELS = re.compile(r"[-_. ](labels?|seg(mentation)?s?|masks?|gt)$", re.IGNORECASE)


def next_case(path: Path) -> Path | None:
    """The volume that follows one in its folder, in the order of names; None at the end.

    Files of labels and what begins with a dot are passed over, numbers in names count as
    numbers.
    """
    others = sorted(path.parent.iterdir(), key=lambda other: in_order(other.name))
    for other in others:
        is_later = in_order(other.name) > in_order(path.name)
        is_hidden = other.name.startswith(".")
        if is_later and not is_hidden and not is_labels(other) and can_read(str(other)):
            return other
    return None


def is_labels(path: Path) -> bool:
    """Whether a file is called as files of labels are."""
    stem, _, rest = path.name.partition(".")
    return bool(_LABELS.search(stem)) or rest.lower().startswith("seg.")


def in_order(name: str) -> list[tuple[int, str]]:
    """What names are ordered by: case 2 comes before case 10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def add_case(table: Path, case: str, rows: str) -> None:
    """Put a case's rows into the table of a folder, in the place of its older ones.

    Parameters
    ----------
    table
        The file, made where there is none.
    case
        Name of the case.
    rows
        As of `statistics_csv`.

    Raises
    ------
    ReadError
        Where what is at that place is another table.
    WriteError
        Where it cannot be written.
    """
    header, *own = csv.reader(io.StringIO(rows))
    header = [_CASE, *header]
    others = _rows_of(table, header)
    kept = [row for row in others if row[0] != case]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerows([header, *kept, *([case, *row] for row in own)])
    write_text(table, written.getvalue())


def _rows_of(table: Path, header: list[str]) -> list[list[str]]:
    """Rows that are there already; none where there is no file."""
    if not table.exists():
        return []
    try:
        with table.open(encoding="utf-8", newline="") as file:
            found, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise ReadError(f"{table} cannot be read as a table: {error}") from error
    if found != header:
        raise ReadError(
            f"{table.name} has other columns than these statistics. Move it elsewhere; a "
            "new one is begun then."
        )
    # A note in a cell more is the user's, and stays.
    return [row for row in rows if row]

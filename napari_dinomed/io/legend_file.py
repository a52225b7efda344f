"""Lists of labels in files of their own: 3D Slicer's table of colours, and ITK-SNAP's.

In: numbers, names and colours. Out: a ``.csv`` that also has SNOMED CT codes of what the
names say without a doubt, or a ``.txt`` that ITK-SNAP reads; either is read again, and so
are those that these programs write.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.atomic import write_text
from napari_dinomed.io.dicom_codes import codes_for
from napari_dinomed.io.source import require_regular
from napari_dinomed.volume import NamedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.io.format import Legend

LEGEND_SUFFIXES = (".csv", ".txt")
# A legend of more is a table of something else.
_MOST_BYTES = 1 << 20
_COLORS = ("Color_R", "Color_G", "Color_B")
_CODED = ("Category", "Type", "TypeModifier")
_PARTS = ("CodingScheme", "CodeValue", "CodeMeaning")
_SNAP = re.compile(r'(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+[\d.]+\s+\d+\s+\d+\s+"(.*)"')
_SNAP_HEADER = "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL\n"


def write_legend(path: Path, legend: Legend) -> None:
    """Write labels' numbers, names and colours in the format of the file's ending.

    Raises
    ------
    WriteError
        Where the ending is neither ``.csv`` nor ``.txt``, or the file cannot be written.
    """
    written = _WRITERS.get(path.suffix.lower())
    if written is None:
        raise WriteError(
            f"Expected a legend to end in {' or '.join(_WRITERS)}; got {path.name!r}."
        )
    write_text(path, written(legend))


def read_legend(path: Path) -> Legend:
    """Labels of a file that Slicer, ITK-SNAP or `write_legend` wrote, background left out.

    Raises
    ------
    ReadError
        Where it cannot be read, or holds no label.
    """
    require_regular(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ReadError(f"{path.name} is too long for a list of labels.")
        text = path.read_text(encoding="utf-8-sig")
        found = _from_slicer(text) if "LabelValue" in text[:200] else _from_snap(text)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ReadError(f"{path.name} cannot be read as a legend: {error}") from error
    legend = tuple(label for label in found if label.id > 0)
    if not legend or len({label.id for label in legend}) < len(legend):
        raise ReadError(
            f"Expected labels with numbers of their own in {path.name}: a table of colours "
            "of 3D Slicer (.csv), or label descriptions of ITK-SNAP (.txt)."
        )
    return legend


def _to_slicer(legend: Legend) -> str:
    written = io.StringIO()
    coded = [f"{one}_{part}" for one in _CODED for part in _PARTS]
    table = csv.writer(written, lineterminator="\n")
    table.writerow(("LabelValue", "Name", *_COLORS, "Color_A", *coded))
    for label in legend:
        kind = codes_for(label.name)
        codes = (_columns(code) for code in (kind.category, kind.type, kind.side))
        # Slicer's reader knows no quotation mark inside of a value.
        name = label.name.replace('"', "'")
        table.writerow(
            (label.id, name, *_bytes(label), 255, *(p for c in codes for p in c))
        )
    return written.getvalue()


def _columns(code: Any) -> tuple[str, str, str]:
    if code is None:
        return ("", "", "")
    return (code.scheme_designator, code.value, code.meaning)


def _from_slicer(text: str) -> Legend:
    return tuple(
        NamedLabel(
            int(row["LabelValue"]),
            row.get("Name") or row.get("Type_CodeMeaning") or f"Label {row['LabelValue']}",
            _color([row[part] for part in _COLORS]),
        )
        for row in csv.DictReader(io.StringIO(text))
    )


def _to_snap(legend: Legend) -> str:
    rows = [_SNAP_HEADER, '0 0 0 0 0 0 0 "Clear Label"\n']
    for label in legend:
        red, green, blue = _bytes(label)
        name = label.name.replace('"', "'")
        rows.append(f'{label.id} {red} {green} {blue} 1 1 1 "{name}"\n')
    return "".join(rows)


def _from_snap(text: str) -> Legend:
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = _SNAP.match(line.strip())
        if row is None:
            raise ValueError(f"the line {line[:60]!r} is none of a legend")
        number, *color, name = row.groups()
        found.append(NamedLabel(int(number), name, _color(color)))
    return tuple(found)


def _bytes(label: NamedLabel) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(max(part, 0.0), 1.0)) for part in label.color)
    return (red, green, blue)


def _color(parts: list[str]) -> tuple[float, float, float]:
    red, green, blue = (int(part) / 255 for part in parts)
    if not all(0 <= part <= 1 for part in (red, green, blue)):
        raise ValueError(f"expected colours from 0 to 255, got {', '.join(parts)}")
    return (red, green, blue)


_WRITERS: dict[str, Callable[[Legend], str]] = {".csv": _to_slicer, ".txt": _to_snap}

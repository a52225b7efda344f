"""A report of a batch as one HTML page: pictures and figures, the worst first."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from napari_dinomed.review import LIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_dinomed.batch.done import Done

# Pictures take some 10 kB each, and a page has to open.
_MOST_PICTURES = 500
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Labels to review</title>
<style>
body {{ font: 14px sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
td, th {{ border-top: 1px solid #ccc; padding: .3em .8em; }}
td, th {{ text-align: left; vertical-align: top; }}
th {{ cursor: pointer; }}
td:nth-child(4) {{ min-width: 18em; }}
img {{ max-width: 100%; }}
.red td:first-child {{ border-left: .5em solid #c0392b; }}
.yellow td:first-child {{ border-left: .5em solid #e0b000; }}
.green td:first-child {{ border-left: .5em solid #2e8b57; }}
</style>
<h1>{volumes} volumes, {failed} failed</h1>
<p>{lights}. Click on a heading to sort. Not a medical device.</p>
<table><thead><tr><th>volume<th>labels<th>oddness<th>why<th>seconds</tr></thead>
<tbody>
{rows}
</tbody></table>
<script>
document.querySelectorAll("th").forEach((head, column) => head.onclick = () => {{
  const body = document.querySelector("tbody");
  const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
  const down = head.dataset.down = head.dataset.down === "1" ? "0" : "1";
  [...body.rows]
    .sort((a, b) => (down === "1" ? 1 : -1) *
      key(a).localeCompare(key(b), undefined, {{numeric: true}}))
    .forEach(row => body.append(row));
}});
</script>
"""


def report_of(rows: Iterable[Done], pictures: Path) -> str:
    """The page.

    Parameters
    ----------
    rows
        Volumes.
    pictures
        Folder of pictures, named after the files of labels.
    """
    ordered = sorted(rows, key=lambda row: (LIGHTS.index(row.light), -row.oddness))
    lights = [row.light for row in ordered]
    shown = [
        _row(row, pictures if number < _MOST_PICTURES else None)
        for number, row in enumerate(ordered)
    ]
    return _PAGE.format(
        volumes=len(ordered),
        failed=sum(bool(row.error) for row in ordered),
        lights=", ".join(f"{lights.count(light)} {light}" for light in LIGHTS),
        rows="\n".join(shown),
    )


def _row(row: Done, pictures: Path | None) -> str:
    name = row.source.replace("\\", "/").rpartition("/")[2]
    picture = "" if pictures is None else _picture(pictures / f"{row.labels}.jpg")
    labels = "<br>".join(
        f"{escape(one.label)} {one.volume:.4g} {escape(one.unit)}" for one in row.told
    )
    reasons = "<br>".join(map(escape, row.reasons))
    return (
        f'<tr class="{row.light}"><td data-key="{escape(name)}">'
        f'<b title="{escape(row.source)}">{escape(name)}</b>'
        f"<br>{picture}<td>{labels}<td>{row.oddness:.2f}"
        f"<td>{reasons}<td>{row.seconds:.1f}</tr>"
    )


def _picture(path: Path) -> str:
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError:
        return ""
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'

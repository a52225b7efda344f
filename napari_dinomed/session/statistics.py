"""A document's labels as a table of figures, to be shown and to be written as CSV."""

from __future__ import annotations

import csv
import io
from math import isnan
from typing import TYPE_CHECKING

from napari_dinomed.amounts import in_usual_unit
from napari_dinomed.annotation.prompts import Point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.session.figures import Figures
    from napari_dinomed.volume import Geometry

_COLUMNS = (
    "label",
    "name",
    "state",
    "meaning",
    "clicks",
    "strokes",
    "parts",
    "voxels",
    "volume",
    "unit",
    "mean",
    "sd",
    "min",
    "max",
)


def statistics_csv(
    document: Document, figures: Mapping[int, Figures], geometry: Geometry
) -> str:
    """One line for each label, in the order of the list, under a line of names.

    Numbers have a decimal point and columns a comma, whatever the machine's language.
    """
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(_COLUMNS)
    for label in document.labels:
        found, said = figures[label.id], document.prompts.of(label.id)
        clicks = sum(isinstance(prompt, Point) for prompt in said)
        volume, unit = in_usual_unit(found.voxels * geometry.voxel_volume, geometry.unit)
        grey = (found.mean, found.sd, found.low, found.high)
        table.writerow(
            (
                label.id,
                label.name,
                label.state.value,
                label.meaning.value,
                clicks,
                len(said) - clicks,
                found.things,
                found.voxels,
                f"{volume:.6g}",
                unit,
                *("" if isnan(value) else f"{value:.6g}" for value in grey),
            )
        )
    return written.getvalue()

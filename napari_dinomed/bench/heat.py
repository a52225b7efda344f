"""Heat maps of figures, drawn with matplotlib where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.bench.plots import require_plots
from napari_dinomed.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinomed.whole.scale import Grid

# Chance, and all there is to reach.
_LEAST, _MOST = 0.5, 1.0
# Under this a cell is dark, and its figure is written in white.
_DARK = 0.75


def plot_scale(path: Path, grids: Sequence[Grid]) -> None:
    """Draw the mean AUROC of encoders and sides as a PNG: a map for each readout."""
    require_plots()
    from matplotlib.figure import Figure

    first = grids[0]
    width = 1.6 + len(grids) * (1.4 + 0.8 * len(first.sides))
    height = 1.4 + 0.5 * len(first.encoders)
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    for axes, grid in zip(np.ravel(figure.subplots(1, len(grids))), grids, strict=True):
        shown = axes.imshow(grid.means, "viridis", vmin=_LEAST, vmax=_MOST, aspect="auto")
        axes.set_title(f"{grid.readout}: mean AUROC", fontsize=9)
        axes.set_xticks(range(len(grid.sides)), [str(n or "as is") for n in grid.sides])
        axes.set_yticks(range(len(grid.encoders)), grid.encoders, fontsize=8)
        axes.set_xlabel("pixels of the shorter side")
        for (row, column), mean in np.ndenumerate(grid.means):
            ink = "white" if mean < _DARK else "black"
            text = "–" if np.isnan(mean) else f"{mean:.2f}"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    figure.colorbar(shown, ax=figure.axes)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")

"""The heat map of a study: encoders and blocks down, sides and planes across."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinomed.bench.study import Studied


def plot_study(path: Path, rows: Sequence[Studied]) -> None:
    """Draw Dice as colours, with seconds and megabytes beside it, as a PNG."""
    from matplotlib.figure import Figure

    down = list(dict.fromkeys(_place_of(row)[0] for row in rows))
    across = list(dict.fromkeys(_place_of(row)[1] for row in rows))
    grid = np.full((len(down), len(across)), np.nan)
    figure = Figure(
        figsize=(2.2 + 1.5 * len(across), 1.4 + 0.8 * len(down)),
        dpi=110,
        layout="constrained",
    )
    axes = figure.subplots()
    for row in rows:
        own, theirs = _place_of(row)
        y, x = down.index(own), across.index(theirs)
        grid[y, x] = row.dice
        told = f"{row.dice:.3f}\n{row.seconds:.0f} s, {row.megabytes:.0f} MB"
        axes.text(x, y, told, ha="center", va="center", fontsize=8, color="black")
    # Pale colours, so that figures can be read on all of them.
    low, high = float(np.nanmin(grid)) - 0.02, float(np.nanmax(grid)) + 0.1
    axes.imshow(grid, cmap="YlGn", vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set_title("Dice by a linear probe, seconds to encode, tokens", fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _place_of(row: Studied) -> tuple[str, str]:
    """In which line and in which column a row stands."""
    if row.side is None:
        return row.encoder, "every voxel"
    planes = "" if row.planes == "one" else ", three planes"
    blocks = f"{row.blocks} block{'s' if row.blocks != 1 else ''}"
    return f"{row.encoder}\n{blocks}", f"side {row.side}{planes}"

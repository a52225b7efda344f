"""Curves of Dice against clicks, drawn with matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.errors import DinomedError
from napari_dinomed.io.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinomed.bench.suite import Measured


def require_plots() -> None:
    """Raise `DinomedError` where curves cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise DinomedError(
            "Drawing curves needs matplotlib: pip install 'napari-dinomed[bench]'"
        )


def plot_curves(path: Path, results: list[Measured]) -> None:
    """Draw Dice against clicks, a line for each result, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for result in results:
        values = result.mean.dice
        label = f"{result.name} ({result.method}, {_short(result.encoder)})"
        axes.plot(np.arange(1, len(values) + 1), values, marker=".", label=label)
    axes.set(xlabel="clicks", ylabel="Dice", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="lower right")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _short(encoder: str) -> str:
    return "ViT" if encoder.startswith("file:") else encoder

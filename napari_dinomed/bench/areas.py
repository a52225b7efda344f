"""AUROC of labels with their intervals, drawn with matplotlib where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.bench.plots import require_plots
from napari_dinomed.io.atomic import replacing
from napari_dinomed.whole.readout import READOUTS

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinomed.whole.scale import Trial

_CHANCE = 0.5
# Between the readouts of a label, in its line's height.
_APART = 0.25


def plot_areas(path: Path, trial: Trial) -> None:
    """Draw AUROC and its 95 % interval for each label and readout, as a PNG."""
    require_plots()
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(one.label for one in trial.figures))
    height = 1.4 + 0.4 * len(labels)
    figure = Figure(figsize=(6.4, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    for number, readout in enumerate(READOUTS):
        own = [one for one in trial.figures if one.readout == readout]
        areas = np.array([one.auroc for one in own])
        low, high = np.array([(one.low, one.high) for one in own]).T
        # The interval is of draws, and need not hold what all patients give.
        reach = np.maximum([areas - low, high - areas], 0)
        lines = np.array([labels.index(one.label) for one in own]) + number * _APART
        axes.errorbar(areas, lines, xerr=reach, fmt="o", capsize=3, label=readout)
    axes.axvline(_CHANCE, color="grey", linestyle=":")
    axes.set_yticks(np.arange(len(labels)) + _APART / 2, labels)
    axes.invert_yaxis()
    axes.set(xlabel="AUROC (95 %)", xlim=(0, 1), title=trial.encoder)
    axes.legend(fontsize=8, loc="lower left")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")

"""Curves of Dice against clicks, drawn with matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.bench.suite import PRODUCT, short_name
from napari_dinomed.errors import DinomedError
from napari_dinomed.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinomed.bench.cohort import CohortCase
    from napari_dinomed.bench.soak import Look
    from napari_dinomed.bench.speed import Scaled
    from napari_dinomed.bench.suite import Measured
    from napari_dinomed.features.adapter import AdapterHeader

_DASHES = ("-", "--", ":")


def require_plots() -> None:
    """Raise `DinomedError` where curves cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise DinomedError(
            "Drawing curves needs matplotlib: pip install 'napari-dinomed[bench]'"
        )


def plot_curves(path: Path, results: list[Measured]) -> None:
    """Draw Dice against clicks as a PNG: a line for each result, and the cases' mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    clicks = np.arange(1, len(results[0].mean.dice) + 1)
    for number, result in enumerate(results):
        dashes = _DASHES[number // 10 % len(_DASHES)]
        label = result.name if result.method == PRODUCT else result.method
        axes.plot(clicks, result.mean.dice, dashes, marker=".", label=label)
    if len({result.name for result in results}) > 1:
        mean = np.mean([result.mean.dice for result in results], axis=0)
        axes.plot(clicks, mean, "k", linewidth=3, label="mean")
    axes.set_title(short_name(results[0].encoder), fontsize=9)
    axes.set_xticks(clicks)
    axes.set(xlabel="clicks", ylabel="Dice", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_scaling(path: Path, rows: list[Scaled]) -> None:
    """Draw seconds of a click against what was made larger, both logarithmic, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    for scale in dict.fromkeys(row.scale for row in rows):
        sizes, painted, whole = zip(
            *((row.size, row.painted, row.whole) for row in rows if row.scale == scale),
            strict=True,
        )
        (line,) = axes.loglog(sizes, whole, marker=".", label=f"{scale}: whole object")
        axes.loglog(
            sizes, painted, ":", color=line.get_color(), label=f"{scale}: slice in view"
        )
    axes.set(xlabel="how many", ylabel="seconds")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_cohort(path: Path, rows: list[CohortCase]) -> None:
    """Draw clicks to a Dice of .85 against volumes that taught, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    for label in dict.fromkeys(row.label for row in rows):
        own = [row for row in rows if row.label == label]
        counts = np.array([row.clicks(0.85) for row in own])
        taught = [row.taught for row in own]
        (line,) = axes.plot(taught, counts[:, 0], marker=".", label=f"{label}: taught")
        axes.plot(
            taught,
            counts[:, 1],
            ":",
            color=line.get_color(),
            label=f"{label}: from nothing",
        )
    axes.set(xlabel="volumes that taught", ylabel="clicks to a Dice of .85", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_adapter(path: Path, header: AdapterHeader) -> None:
    """Draw how an adapter was taught, and what it added where it was not, as a PNG.

    On the left the loss after each lesson, of each fold and of what was kept; on the right,
    for each label, Dice of each fold by the probe, frozen and adapted.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), dpi=110, layout="constrained")
    lessons, folds = figure.subplots(1, 2)
    for number, losses in enumerate(header.losses):
        is_kept = number == len(header.losses) - 1
        name = "kept" if is_kept else f"fold {number + 1}"
        places = np.arange(1, len(losses) + 1)
        lessons.plot(places, losses, "k" if is_kept else "-", label=name, linewidth=1)
    lessons.set(xlabel="lessons", ylabel="loss", ylim=(0, None))
    lessons.legend(fontsize=7)
    trials = [trial for trial in header.trials if trial.readout == "probe"]
    for number, trial in enumerate(trials):
        for frozen, adapted in zip(trial.frozen, trial.adapted, strict=True):
            folds.plot((0, 1), (frozen, adapted), f"C{number % 10}.-")
        folds.plot([], [], f"C{number % 10}.-", label=trial.label)
    folds.set(xticks=(0, 1), xticklabels=("frozen", "adapted"), xlim=(-0.3, 1.3))
    folds.set(ylabel=f"Dice on {header.held_out} that did not teach", ylim=(0, 1))
    folds.legend(fontsize=7)
    for axes in (lessons, folds):
        axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_soak(path: Path, looks: Sequence[Look]) -> None:
    """Draw memory, open files and threads of both processes against clicks, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), dpi=110, layout="constrained")
    clicks = [look.clicks for look in looks]
    units = {"mb": "MB resident", "files": "open files", "threads": "threads"}
    for axes, (what, unit) in zip(figure.subplots(1, 3), units.items(), strict=True):
        for who in ("window", "engine"):
            axes.plot(clicks, [getattr(look, f"{who}_{what}") for look in looks], label=who)
        axes.set(xlabel="clicks", ylabel=unit, ylim=(0, None))
        axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")

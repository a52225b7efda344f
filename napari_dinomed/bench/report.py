"""A suite measured and written down: Markdown with tables, curves and overlays."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.bench.case import clicked_cases
from napari_dinomed.bench.interactive import counted, mean_outcome
from napari_dinomed.bench.pictures import Painter
from napari_dinomed.bench.plots import plot_curves
from napari_dinomed.bench.suite import (
    PRODUCT,
    Measured,
    as_json,
    measure_files,
    measure_labels,
    measure_transfer,
    short_name,
)
from napari_dinomed.io.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinomed.bench.case import CaseFiles
    from napari_dinomed.bench.suite import Setup
    from napari_dinomed.engine.messages import Event

    OnEvent = Callable[[Event], None]

_COUNTS = (1, 2, 4)


@dataclass(frozen=True)
class Chapter:
    """What one encoder did on the suite."""

    setup: Setup
    exact: list[list[Measured]]
    jittered: list[list[Measured]]
    labels: dict[str, list[dict[str, Any]]]
    transfer: dict[str, list[dict[str, Any]]]


def write_report(
    folder: Path,
    cases: list[CaseFiles],
    setups: list[Setup],
    with_baselines: bool,
    on_event: OnEvent,
) -> Path:
    """Measure every case with every encoder and write ``README.md`` into a folder.

    Pictures, baselines and jittered clicks are those of the first encoder.

    Returns
    -------
    Path
        The report; figures lie beside it in ``figures.json``.
    """
    clicked = clicked_cases(cases)
    folder.mkdir(parents=True, exist_ok=True)
    chapters = [
        _measure(folder, cases, setup, not number, with_baselines, on_event)
        for number, setup in enumerate(setups)
    ]
    for number, chapter in enumerate(chapters):
        name = f"curves-{number + 1}.png"
        plot_curves(folder / name, [case[0] for case in chapter.exact])
    figures = [_figures(chapter) for chapter in chapters]
    write_text(folder / "figures.json", json.dumps(figures, indent=1))
    path = folder / "README.md"
    write_text(path, _markdown(clicked, chapters))
    return path


def _measure(
    folder: Path,
    cases: list[CaseFiles],
    setup: Setup,
    is_first: bool,
    with_baselines: bool,
    on_event: OnEvent,
) -> Chapter:
    clicked = clicked_cases(cases)
    exact = [
        measure_files(
            files,
            replace(setup, seeds=0),
            is_first and with_baselines,
            on_event,
            Painter(folder / picture_name(files.name))
            if is_first and files.pictured
            else None,
        )
        for files in clicked
    ]
    jittered = [
        measure_files(files, setup, False, on_event)
        for files in clicked
        if setup.seeds and is_first
    ]
    labels = {
        files.name: measure_labels(files, setup, _COUNTS, on_event)
        for files in cases
        if files.task == "labels"
    }
    transfer = {
        files.name: measure_transfer(files, setup, on_event)
        for files in cases
        if files.task == "transfer"
    }
    return Chapter(setup, exact, jittered, labels, transfer)


def picture_name(case: str) -> str:
    """File name of a case's overlays."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in case.lower())
    return f"{plain}.png"


def _figures(chapter: Chapter) -> dict[str, Any]:
    return {
        "encoder": short_name(chapter.setup.encoder),
        "cases": [as_json(case) for case in chapter.exact],
        "jittered": [as_json(case) for case in chapter.jittered],
        "labels": chapter.labels,
        "transfer": chapter.transfer,
    }


def _markdown(clicked: list[CaseFiles], chapters: list[Chapter]) -> str:
    parts = [
        "# Benchmark",
        "",
        "Made by `napari-dinomed bench report`; figures as run, on "
        f"{os.cpu_count()} processor cores. The simulated user clicks at the deepest "
        "voxel of the largest error. *Area* is that under the curve of Dice over clicks, "
        "from 0 to 1; *loss* is the largest between consecutive clicks; clicks to a Dice "
        "that was not reached are shown as –. Surface Dice is at 2 mm, or at one voxel "
        "where the unit is another.",
    ]
    for number, chapter in enumerate(chapters, start=1):
        parts += ["", f"## {short_name(chapter.setup.encoder)}", ""]
        parts += _case_table([case[0] for case in chapter.exact])
        parts += ["", *_group_table(chapter.exact, "exact clicks")]
        if chapter.jittered:
            title = f"clicks off-centre, mean of {chapter.setup.seeds} seeds"
            parts += ["", *_group_table(chapter.jittered, title)]
        parts += ["", f"![Dice against clicks](curves-{number}.png)"]
        parts += _labels_table(chapter)
    parts += ["", "## Against what others do", "", *_baseline_table(chapters[0])]
    parts += ["", "## Pictures", ""]
    parts += [
        "Rows are after 1, 5 and 10 clicks. Orange is right, blue was missed, green "
        "spilled over.",
        "",
    ]
    for files in clicked:
        parts += [f"### {files.name}", "", *_picture(files), ""]
    return "\n".join(parts).rstrip() + "\n"


def _picture(files: CaseFiles) -> list[str]:
    if files.pictured:
        return [f"![]({picture_name(files.name)})", "", files.credit]
    return [f"{files.credit} Its licence keeps its slices out of this report."]


def _case_table(results: list[Measured]) -> list[str]:
    rows = [
        "| case | Dice 1 / 3 / 5 / 10 | area | surface area | to .80 / .85 / .90 | loss | "
        "s a click, p50 / p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        figures = result.summary()
        after = " / ".join(_cut(value) for value in figures["dice_after"].values())
        needed = " / ".join(str(n or "–") for n in figures["clicks_to"].values())
        rows.append(
            f"| {result.name} | {after} | {_cut(figures['area'])} | "
            f"{_cut(figures['surface_area'])} | {needed} | "
            f"{_cut(figures['largest_loss'])} | {figures['latency_p50']:.2f} / "
            f"{figures['latency_p95']:.2f} |"
        )
    return rows


def _group_table(results: list[list[Measured]], title: str) -> list[str]:
    rows = [
        f"| mean over, {title} | cases | Dice 1 / 3 / 5 / 10 | area | clicks to .80 | "
        "largest loss, mean / worst |",
        "|---|---|---|---|---|---|",
    ]
    first = [case[0] for case in results]
    for group in dict.fromkeys(result.group for result in first):
        members = [result for result in first if result.group == group]
        figures = mean_outcome([result.mean for result in members]).summary()
        after = " / ".join(_cut(value) for value in figures["dice_after"].values())
        losses = [result.summary()["largest_loss"] for result in members]
        needed = [counted(result.summary()["clicks_to"]["0.80"]) for result in members]
        rows.append(
            f"| {group or 'all'} | {len(members)} | {after} | {_cut(figures['area'])} | "
            f"{np.mean(needed):.1f} | {_cut(float(np.mean(losses)))} / "
            f"{_cut(max(losses))} |"
        )
    return rows


def _baseline_table(chapter: Chapter) -> list[str]:
    methods = [result.method for result in max(chapter.exact, key=len)]
    rows = [
        "Dice after 5 / 10 clicks.",
        "",
        "| case | " + " | ".join(methods) + " |",
        "|---" * (len(methods) + 1) + "|",
    ]
    for case in chapter.exact:
        cells = [
            f"{_cut(result.mean.dice[min(5, len(result.mean.dice)) - 1])} / "
            f"{_cut(result.mean.dice[-1])}"
            for result in case
        ]
        best = [f"**{cells[0]}**", *cells[1:], *["–"] * (len(methods) - len(cells))]
        rows.append(f"| {case[0].name} | " + " | ".join(best) + " |")
    return rows if methods[0] == PRODUCT else []


def _labels_table(chapter: Chapter) -> list[str]:
    rows = []
    if chapter.labels:
        rows += [
            "",
            "| painted slices: Dice on the others | 1 | 2 | 4 | forest, 1 / 2 / 4 |",
            "|---|---|---|---|---|",
        ]
    for name, counts in chapter.labels.items():
        own = " | ".join(_cut(row["dice"]) for row in counts)
        forest = " / ".join(_cut(row["forest"]) for row in counts)
        rows.append(f"| {name} | {own} | {forest} |")
    if chapter.transfer:
        rows += [
            "",
            "| without a click, from another volume's labels | Dice |",
            "|---|---|",
        ]
    for name, volumes in chapter.transfer.items():
        for row in volumes:
            rows.append(f"| {name}: {row['volume']} | {_cut(row['dice'])} |")
    return rows


def _cut(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"

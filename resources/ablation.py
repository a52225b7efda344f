"""Take one ingredient away at a time, and measure what it was worth.

    python resources/ablation.py --suite tests/benchmarks/patients.toml --group seven

Prints a Markdown table of Dice after 1, 5 and 10 clicks, the mean over the cases of one
object in the suite, and of the largest loss between consecutive clicks.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from napari_dinomed.bench.case import clicked_cases, load_suite
from napari_dinomed.bench.interactive import mean_outcome, product, run_case
from napari_dinomed.bench.suite import Setup, open_case, prepare_case
from napari_dinomed.segment import grow, support
from napari_dinomed.segment.grow import Grower
from napari_dinomed.segment.level import LevelPrior
from napari_dinomed.segment.prompts import Meaning
from napari_dinomed.segment.refine import WalkerOptions

WITHOUT = {
    "everything in place": (),
    "corrections near the click": (
        patch.object(Grower, "_corrected", lambda self, evidence, before: evidence),
    ),
    "the taught probe": (patch.object(grow, "_PROBE_SHARE", 0.0),),
    "grey values competing": (patch.object(grow, "_GREY_SHARE", 0.0),),
    "size held from click to click": (
        patch.object(grow, "LevelPrior", partial(LevelPrior, size_inertia=0, inertia=3)),
    ),
    "size kept": (patch.object(grow, "_MOST_RESIZED", 1e9),),
    "distance in the support": (patch.object(support, "_DISTANCE_WEIGHT", 0.0),),
    "grey values in the support": (patch.object(support, "_GREY_WEIGHT", 0.0),),
    "the mean over a ball": (patch.object(support, "_BALL", 0.01),),
    "the walker": (patch.object(grow, "_WALKER", WalkerOptions(prior=1e6)),),
}


@contextmanager
def without(name: str):
    with ExitStack() as stack:
        for ingredient in WITHOUT[name]:
            stack.enter_context(ingredient)
        yield


def measure(cases, setup: Setup, name: str) -> str:
    outcomes = []
    for files in cases:
        case = open_case(files)
        with without(name):
            job = prepare_case(case, setup, lambda event: None)
            outcomes.append(run_case(case, product(job, files.meaning), setup.clicks))
    mean = mean_outcome(outcomes).dice
    losses = [outcome.summary()["largest_loss"] for outcome in outcomes]
    after = " | ".join(f"{mean[n - 1]:.3f}" for n in (1, 5, 10))
    return f"| {name} | {after} | {np.mean(losses):.3f} / {max(losses):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--encoder", default="filters")
    parser.add_argument("--group", help="only the cases of this group")
    options = parser.parse_args()
    cases = [
        files
        for files in clicked_cases(load_suite(options.suite))
        if files.meaning is Meaning.OBJECT and options.group in (None, files.group)
    ]
    print("| without | 1 click | 5 clicks | 10 clicks | largest loss, mean / worst |")
    print("|---|---|---|---|---|")
    setup = Setup(options.encoder)
    for name in WITHOUT:
        print(measure(cases, setup, name), flush=True)
    if options.encoder != "filters":
        one = Setup(options.encoder, planes="one")
        row = measure(cases, one, "everything in place")
        print(row.replace("everything in place", "planes other than axial"))


if __name__ == "__main__":
    main()

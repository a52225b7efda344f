"""Take one ingredient away at a time, and measure what it was worth.

    python resources/ablation.py --suite tests/benchmarks/patients.toml --group seven
    python resources/ablation.py --suite tests/benchmarks/em.toml --meaning all-like-this

Prints a Markdown table of Dice after 1, 5 and 10 clicks, the mean over the cases, of the
largest loss between consecutive clicks, and of each case's Dice in the end.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.case import clicked_cases, load_suite
from napari_dinomed.bench.interactive import mean_outcome, product, run_case
from napari_dinomed.bench.suite import Setup, open_case, prepare_case
from napari_dinomed.segment.all_alike import appearance
from napari_dinomed.segment.all_alike.appearance import AlikeField
from napari_dinomed.segment.all_alike.corrections import Corrections
from napari_dinomed.segment.all_alike.marks import Marks
from napari_dinomed.segment.all_alike.method import AlikeFinder
from napari_dinomed.segment.one_object import cues, method
from napari_dinomed.segment.one_object.method import ObjectField

EVERYTHING = "everything in place"


def without_cues(*names: str):
    """Answers of the same network, not given some of its cues."""
    return (patch.dict(method.WITHOUT, {"auto": names}),)


def searched(**changed):
    """Answers that are looked for by other numbers."""
    return (patch.object(ObjectField, "options", replace(ObjectField.options, **changed)),)


def with_options(**changed):
    """Answers that go by other numbers."""
    return (patch.object(AlikeField, "options", replace(AlikeField.options, **changed)),)


def without_weight(**weights):
    """Answers by cuts that something does not count for."""
    options = AlikeField.options
    return with_options(
        sections=replace(options.sections, **weights),
        lines=replace(options.lines, **weights),
    )


WITHOUT_FOR_OBJECTS = {
    EVERYTHING: (),
    "closer looks": searched(first_rooms=()),
    "what goes on beyond the box": searched(later_looks=1),
    "what is like the clicks (k-NN)": without_cues(*cues.LIKENESS),
    "the probe": without_cues(*cues.PROBE),
    "all tokens": without_cues(*cues.LIKENESS, *cues.PROBE),
    "grey values competing": without_cues("grey_competition"),
    "grey values at the clicks": without_cues(
        "grey_from_included", "grey_to_included", "grey_to_excluded"
    ),
}
WITHOUT_FOR_ALL_ALIKE = {
    EVERYTHING: (),
    "lines": (patch.object(Marks, "_means_thin", lambda self, so_far, rims: False),),
    "neighbouring sections": (
        patch.object(appearance, "_see_with_neighbours", lambda looks: None),
    ),
    "the perceptron": (
        patch.object(AlikeFinder, "_taught_by", lambda self, answer: answer),
    ),
    "grey values competing": (
        patch.object(
            AlikeFinder, "_competition", lambda self, found, grey: np.zeros_like(grey)
        ),
    ),
    "corrections near the click": (
        patch.object(Corrections, "around_last", lambda self, before, fresh, slices: fresh),
    ),
    "what was found as a teacher": with_options(lessons=0),
    "the usual share": without_weight(weight=0.0),
    "gaps": without_weight(gap=0.0),
    "share held from click to click": with_options(inertia=0.0),
    "smoothing": (
        patch.object(AlikeFinder, "_smoothed", lambda self, logit: np.float32(logit)),
    ),
}
WITHOUT = {
    Meaning.OBJECT: WITHOUT_FOR_OBJECTS,
    Meaning.ALL_LIKE_THIS: WITHOUT_FOR_ALL_ALIKE,
}


@contextmanager
def without(meaning: Meaning, name: str):
    with ExitStack() as stack:
        for ingredient in WITHOUT[meaning][name]:
            stack.enter_context(ingredient)
        yield


def measure(cases, setup: Setup, name: str) -> str:
    outcomes = []
    for files in cases:
        case = open_case(files)
        with without(files.meaning, name):
            job = prepare_case(case, setup, lambda event: None)
            outcomes.append(run_case(case, product(job, files.meaning), setup.clicks))
    mean = mean_outcome(outcomes).dice
    losses = [outcome.summary()["largest_loss"] for outcome in outcomes]
    after = " | ".join(f"{mean[n - 1]:.3f}" for n in (1, 5, 10))
    each = " / ".join(f"{outcome.dice[-1]:.3f}" for outcome in outcomes)
    return f"| {name} | {after} | {np.mean(losses):.3f} / {max(losses):.2f} | {each} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--encoder", default="filters")
    parser.add_argument("--group", help="only the cases of this group")
    parser.add_argument(
        "--meaning", type=Meaning, choices=list(Meaning), default=Meaning.OBJECT
    )
    options = parser.parse_args()
    cases = [
        files
        for files in clicked_cases(load_suite(options.suite))
        if files.meaning is options.meaning and options.group in (None, files.group)
    ]
    each = " / ".join(files.name for files in cases)
    print(f"| without | 1 click | 5 clicks | 10 clicks | largest loss | {each} |")
    print("|---|---|---|---|---|---|")
    setup = Setup(options.encoder)
    for name in WITHOUT[options.meaning]:
        print(measure(cases, setup, name), flush=True)
    if options.encoder != "filters":
        lesser = {
            "planes other than axial": Setup(options.encoder, planes="one"),
            "tokens": Setup("filters"),
        }
        for name, setup in lesser.items():
            print(measure(cases, setup, EVERYTHING).replace(EVERYTHING, name), flush=True)


if __name__ == "__main__":
    main()

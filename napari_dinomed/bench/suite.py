"""Run the simulated user over the cases of a suite, the product and the baselines."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.bench import baselines
from napari_dinomed.bench.case import load_case
from napari_dinomed.bench.interactive import Outcome, mean_outcome, product, run_case
from napari_dinomed.bench.labels import run_forest, run_labels
from napari_dinomed.bench.transfer import run_transfer
from napari_dinomed.bench.users import User, deepest, user_of
from napari_dinomed.engine.messages import Progress, Stage
from napari_dinomed.headless import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.bench.case import Case, CaseFiles
    from napari_dinomed.bench.interactive import Method, OnMask
    from napari_dinomed.bench.users import NextClick
    from napari_dinomed.engine.messages import Event
    from napari_dinomed.headless import Job
    from napari_dinomed.volume import Planes

PRODUCT = "dinomed"


@dataclass(frozen=True)
class Setup:
    """How cases are measured.

    Parameters
    ----------
    encoder, planes, head, window, device
        As for `napari_dinomed.headless.prepare` and `Job.segment`.
    clicks
        Clicks per run.
    seeds
        Runs with jittered clicks; 0 for one run with exact clicks.
    user
        Who clicks on the product; on baselines, always the deepest.
    """

    encoder: str = "filters"
    planes: Planes = "auto"
    head: str = Readout.AUTO
    window: str | None = None
    device: str = "auto"
    clicks: int = 10
    seeds: int = 0
    user: User = "deepest"


@dataclass(frozen=True)
class Measured:
    """What one method did on one case; with several seeds, their mean and each run."""

    name: str
    group: str
    method: str
    encoder: str
    mean: Outcome
    runs: tuple[Outcome, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON; the mean over the runs at the top."""
        top = {
            "name": self.name,
            "group": self.group,
            "method": self.method,
            "encoder": short_name(self.encoder),
        }
        whole = top | self.mean.as_json() | {"summary": self.summary()}
        if len(self.runs) > 1:
            whole["runs"] = [run.as_json() for run in self.runs]
        return whole

    def summary(self) -> dict[str, Any]:
        """The summary of the mean, with the largest loss of any single run."""
        worst = max(run.summary()["largest_loss"] for run in self.runs)
        return self.mean.summary() | {"largest_loss": worst}


def short_name(encoder: str) -> str:
    """An encoder's name without the folder that its weights lie in."""
    kind, colon, path = encoder.partition(":")
    return f"{kind}{colon}{Path(path).name}" if colon else encoder


def measure_files(
    files: CaseFiles,
    setup: Setup,
    with_baselines: bool,
    on_event: Callable[[Event], None],
    on_mask: OnMask | None = None,
) -> list[Measured]:
    """Run the product on a case first, then the baselines where they are wanted."""
    case = open_case(files)
    job = prepare_case(case, setup, on_event)
    methods = {PRODUCT: product(job, files.meaning, setup.head)}
    if with_baselines:
        filters = prepare_case(case, replace(setup, encoder="filters"), on_event)
        methods |= baseline_methods(files, case, job, filters)
    results = []
    for number, (name, method) in enumerate(methods.items()):
        on_event(Progress(number, len(methods), Stage.MEASURING, f"{files.name}: {name}"))
        shown = on_mask if name == PRODUCT else None
        user = setup.user if name == PRODUCT else "deepest"
        next_of = user_of(user, job, files.meaning, setup.head)
        results.append(measure(files, case, method, setup, name, shown, next_of))
    return results


def measure_labels(
    files: CaseFiles,
    setup: Setup,
    counts: tuple[int, ...],
    on_event: Callable[[Event], None],
) -> list[dict[str, Any]]:
    """Dice on the other slices after some were painted, and that of a forest of trees."""
    case = open_case(files)
    job = prepare_case(case, setup, on_event)
    filters = prepare_case(case, replace(setup, encoder="filters"), on_event)
    rows = []
    for number, count in enumerate(counts):
        shown = f"{files.name}: {count} slices"
        on_event(Progress(number, len(counts), Stage.MEASURING, shown))
        begun = time.perf_counter()
        reached = run_labels(case, job, count)
        seconds = time.perf_counter() - begun
        forest = run_forest(case, filters, count)
        rows.append(
            {"slices": count, "dice": reached, "forest": forest, "seconds": seconds}
        )
    return rows


def measure_transfer(
    files: CaseFiles, setup: Setup, on_event: Callable[[Event], None]
) -> list[dict[str, Any]]:
    """Dice on other volumes of what was learnt from the labels of one."""
    case = open_case(files)
    source = (case, prepare_case(case, setup, on_event))
    rows = []
    for image, labels in files.targets:
        other = load_case(Path(image), Path(labels), files.label, files.every)
        target = (other, prepare_case(other, setup, on_event))
        reached = run_transfer(source, target, files.meaning)
        rows.append({"volume": Path(image).name, "dice": reached})
    return rows


def as_json(results: list[Measured]) -> dict[str, Any]:
    """A case's figures: the product's at the top, the baselines' beside them."""
    first, *others = (result.as_json() for result in results)
    return first | {"baselines": others} if others else first


def open_case(files: CaseFiles) -> Case:
    """The volume and truth of a case; errors as `load_case`."""
    return load_case(Path(files.image), Path(files.labels), files.label, files.every)


def prepare_case(case: Case, setup: Setup, on_event: Callable[[Event], None]) -> Job:
    """Compute the features of a case."""
    return prepare(
        case.volume, setup.encoder, setup.window, setup.device, on_event, setup.planes
    )


def measure(
    files: CaseFiles,
    case: Case,
    method: Method,
    setup: Setup,
    name: str = PRODUCT,
    on_mask: OnMask | None = None,
    next_of: NextClick = deepest,
) -> Measured:
    """Run a method on a case, once or for each seed; masks of the first run are shown."""
    seeds = [*range(setup.seeds)] or [None]
    runs = [
        run_case(
            case,
            method,
            setup.clicks,
            seed,
            on_mask if not number else None,
            next_of=next_of,
        )
        for number, seed in enumerate(seeds)
    ]
    mean = runs[0] if len(runs) == 1 else mean_outcome(runs)
    return Measured(files.name, files.group, name, setup.encoder, mean, tuple(runs))


def baseline_methods(
    files: CaseFiles, case: Case, job: Job, filters: Job
) -> dict[str, Method]:
    """Every baseline by name; the walker finds connected things only.

    Parameters
    ----------
    files, case
        The case.
    job
        Features of the encoder being measured.
    filters
        Features of the built-in filters.
    """
    bank, meaning = job.banks[0], files.meaning
    methods = {
        "cosine to the mean prompt": baselines.similarity(bank, meaning),
        "k-NN alone": baselines.nearest_neighbours(bank, meaning),
        "filters and forest": baselines.forest(filters.banks[0], meaning),
    }
    if meaning is Meaning.OBJECT:
        walker = baselines.grey_walker(case.volume, job.window)
        methods["walker on grey values"] = walker
    return methods

"""What a run over a folder costs beside encoding, and how that grows with workers.

    python resources/measure_batch.py FOLDER [--encoder dinov3-s] [--model M.dinomed]

Throughput with one process and with two; share of time outside reading and encoding; what
made-up tasks take of a scheduler; memory over many small volumes. Nothing else should run.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import nibabel as nib
import numpy as np
import psutil

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.batch import labelling as module
from napari_dinomed.batch.hands import hands_of
from napari_dinomed.batch.inputs import find_sources, results_for
from napari_dinomed.batch.labelling import Labelling
from napari_dinomed.batch.run import Batch
from napari_dinomed.headless import Job, prepare
from napari_dinomed.io import read_volume
from napari_dinomed.taught.header import read_header
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, taught

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = (24, 40, 44)
SPACING = (3.0, 2.0, 2.0)


def scan(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright ball in noise, and where it is."""
    random = np.random.default_rng(seed)
    centre = [length // 2 + random.integers(-3, 4) for length in shape]
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    away = sum((g - c) ** 2 for g, c in zip((z, y, x), centre, strict=True))
    truth = away < (min(shape) / 3) ** 2
    grey = 60 + 60 * truth + random.normal(0, 4, shape)
    return grey.clip(0, 255).astype(np.uint8), truth.astype(np.uint8)


def make(folder: Path, shape: tuple[int, int, int], count: int) -> Path:
    """So many volumes, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*SPACING[::-1], 1.0])
    for seed in range(len(list(folder.glob("*.nii.gz"))), count):
        grey, _ = scan(shape, seed)
        nib.save(nib.Nifti1Image(grey.T, affine), folder / f"{seed:05}.nii.gz")
    return folder


def teach(path: Path, folder: Path, shape: tuple[int, int, int], encoder: str) -> None:
    """A model, by the first volume."""
    seen = prepare(read_volume(folder / "00000.nii.gz"), encoder).seen
    _, truth = scan(shape, 0)
    legend = (new_label(1, Meaning.OBJECT),)
    *_, complete = settled(taught(begun(seen), seen, truth, legend))
    complete.write(path)


def label(model: Path, folder: Path, out: Path, workers: int) -> Iterator[float]:
    """Seconds until each volume of a folder is labelled; the cache begins empty."""
    os.environ["NAPARI_DINOMED_HOME"] = str(out.with_name(f"home of {out.name}"))
    sight = read_header(model).sight
    batch = Batch(
        Labelling(model, out, sight.encoder, sight.window_name, sight.planes, "auto")
    )
    waiting = batch.waiting(results_for(find_sources([str(folder)], out), out, ".nii.gz"))
    with hands_of(workers) as hands:
        begun_at = time.perf_counter()
        for row in batch.run(waiting, lambda event: None, hands):
            assert not row.error, row.error
            yield time.perf_counter() - begun_at


def throughput(model: Path, folder: Path, results: Path) -> dict[str, float]:
    """Volumes an hour with one process and with two, once each has done its first."""

    def rate(workers: int) -> float:
        times = list(label(model, folder, results / f"by {workers}", workers))
        return 3600 * (len(times) - workers) / (times[-1] - times[workers - 1])

    one, two = rate(1), rate(2)
    return {"an hour, 1": one, "an hour, 2": two, "times": two / one}


def overhead(model: Path, folder: Path, results: Path) -> dict[str, float]:
    """Shares of the time: reading, encoding, proposing, writing, and the rest."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name, act):
        @functools.wraps(act)
        def wrapped(*given, **named):
            begun_at = time.perf_counter()
            try:
                return act(*given, **named)
            finally:
                spent[name] += time.perf_counter() - begun_at

        return wrapped

    steps = (
        (module, "read_volume", "reading"),
        (module, "prepare", "encoding"),
        (Job, "propose", "proposing"),
        (module, "write_labels", "writing"),
    )
    with ExitStack() as stack:
        for owner, name, what in steps:
            act = timed(what, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, act))
        *_, total = label(model, folder, results / "shares", 1)
    shares = {what: seconds / total for what, seconds in spent.items()}
    shares["rest"] = 1 - sum(shares.values())
    return shares | {"outside": 1 - shares["reading"] - shares["encoding"]}


def nothing(number: int) -> int:
    """A made-up task."""
    return number


def scheduling(tasks: int) -> dict[str, float]:
    """What tasks that do nothing take of the scheduler, which this process is."""
    with hands_of(2) as hands:
        list(hands.each(nothing, range(10)))
        begun_at, worked = time.perf_counter(), time.process_time()
        done = sum(1 for _ in hands.each(nothing, range(tasks)))
        seconds, cpu = time.perf_counter() - begun_at, time.process_time() - worked
    assert done == tasks
    return {
        "tasks/s": tasks / seconds,
        "cpu": cpu / seconds,
        "ms a task": 1e3 * cpu / tasks,
    }


def memory(model: Path, folder: Path, results: Path) -> dict[str, float]:
    """Megabytes that volumes leave behind, after the first half of them."""
    process, runs = psutil.Process(), label(model, folder, results / "many", 1)
    held = [process.memory_info().rss for _ in runs]
    later = np.array(held[len(held) // 2 :]) / 1e6
    slope = np.polyfit(np.arange(len(later)), later, 1)[0]
    return {"MB": later[-1], "MB a hundred volumes": 100 * slope, "volumes": len(held)}


def main() -> None:
    """Make what is not there, measure, print, and keep the figures beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--encoder", default="filters")
    parser.add_argument("--shape", type=int, nargs=3, default=(64, 256, 256))
    parser.add_argument("--volumes", type=int, default=16)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--small", type=int, default=500)
    given = parser.parse_args()
    given.folder = given.folder.resolve()
    shape = tuple(given.shape)
    scans = make(given.folder / "scans", shape, given.volumes)
    small = make(given.folder / "small", SMALL, given.small)
    model = given.model or given.folder / "m.dinomed"
    if not model.exists():
        teach(model, scans, shape, given.encoder)
    results = given.folder / time.strftime("%Y%m%d-%H%M%S")
    results.mkdir()
    figures = {}
    for name, measure in {
        "throughput": lambda: throughput(model, scans, results),
        "shares": lambda: overhead(model, scans, results),
        "scheduler": lambda: scheduling(given.tasks),
        "memory": lambda: memory(model, small, results),
    }.items():
        figures[name] = measure()
        told = ", ".join(f"{what} {value:.3g}" for what, value in figures[name].items())
        print(f"{name}: {told}", flush=True)
    (results / "figures.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

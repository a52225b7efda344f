"""What adapting is worth on a suite of sets: frozen and adapted, by side and seed.

In: a TOML file of sets. Out: a row for every figure, kept as soon as it is known, so that a
run that was stopped goes on with what is missing.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import TypeAdapter

from napari_dinomed.adapt.painted import Lesson
from napari_dinomed.adapt.run import Choices, adapt
from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.batch.lessons import Labelled
from napari_dinomed.bench.adapter_sets import AdaptSet, Setup, Task
from napari_dinomed.bench.adapting import clicked, halves, lesson_of, painted_of, read_by
from napari_dinomed.bench.case import load_case
from napari_dinomed.bench.metrics import dice
from napari_dinomed.errors import ReadError
from napari_dinomed.features.adapter import Adapter, read_adapter
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.features.encoding import plans_for
from napari_dinomed.features.naming import EncoderName
from napari_dinomed.headless import prepare
from napari_dinomed.taught.propose import proposed
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, taught

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_dinomed.bench.case import Case

_AXES = ("slices", "rows", "columns")
_DONE = "done"
# Of an adapter itself: what its own trial says.
TRIAL = "its own trial"


@dataclass(frozen=True)
class Row:
    """A figure.

    Parameters
    ----------
    task
        Whose.
    how
        What was read, and by what.
    value
        Dice; of a trial, the mean gain.
    seconds
        Since the task began.
    note
        What else is to be said.
    """

    task: Task
    how: str
    value: float
    seconds: float
    note: str = ""


def run_tasks(
    setup: Setup, tasks: Sequence[Task], jobs: int, seconds: float | None = None
) -> Iterator[Task | str]:
    """Do what is not done yet, some at once; each that is done, or why one failed.

    After some seconds those that are at work are stopped.
    """
    done = {row.task for row in read_rows(setup.rows) if row.how == _DONE}
    # Others than fork: CUDA does not outlive that.
    context = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(jobs, context, torch.set_num_threads, (threads,)) as pool:
        futures = {
            pool.submit(run_task, setup, task): task for task in tasks if task not in done
        }
        try:
            for future in as_completed(futures, seconds):
                error = future.exception()
                task = futures[future]
                yield task if error is None else f"{task}: {error!r}"
        except TimeoutError:
            yield "Stopped, as time is up; the same command goes on with what is missing."
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()


def run_task(setup: Setup, task: Task) -> None:
    """Do one run, and keep every figure as it comes."""
    begun_at = time.perf_counter()
    one = setup.sets[task.of]
    rows = _of_halves(setup, one, task) if one.is_halved else _of_cohort(setup, one, task)
    for how, value, note in chain(rows, [(_DONE, 0.0, "")]):
        seconds = time.perf_counter() - begun_at
        line = json.dumps(asdict(Row(task, how, value, seconds, note)))
        # One write of a short line: those of several processes do not mix.
        with setup.rows.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read_rows(path: Path) -> list[Row]:
    """The rows that were kept; the last of a figure that is there twice."""
    if not path.exists():
        return []
    kind = TypeAdapter(Row)
    rows = [kind.validate_json(line) for line in path.read_text().splitlines()]
    return list({(row.task, row.how): row for row in rows}.values())


@dataclass(frozen=True)
class Compared:
    """A line of the table: a figure over all seeds.

    Parameters
    ----------
    of, side, lessons, how
        The set, the side, the lessons of the adapter, and what was read by what.
    frozen, adapted
        By seed, those that are there.
    note
        What is to be said of it.
    """

    of: str
    side: int
    lessons: int
    how: str
    frozen: tuple[float, ...]
    adapted: tuple[float, ...]
    note: str = ""

    @property
    def gain(self) -> float | None:
        """Of the means, where both are there."""
        if not self.frozen or not self.adapted:
            return None
        return statistics.fmean(self.adapted) - statistics.fmean(self.frozen)


def compared(rows: Sequence[Row]) -> list[Compared]:
    """Frozen and adapted side by side, set by set; each run beside the frozen one's.

    What is frozen has one run where seeds change nothing.
    """
    lines: dict[tuple[str, int, int, str], list[Row]] = {}
    frozen: dict[tuple[str, int, str], dict[int, float]] = {}
    for row in rows:
        task = row.task
        if row.how == _DONE:
            continue
        if task.lessons:
            key = (task.of, task.side, task.lessons, row.how)
            lines.setdefault(key, []).append(row)
        else:
            of_seeds = frozen.setdefault((task.of, task.side, row.how), {})
            of_seeds[task.seed] = row.value
    found = []
    for (of, side, lessons, how), runs in lines.items():
        known = frozen.get((of, side, how), {})
        usual = known.get(0)
        beside = [known.get(row.task.seed, usual) for row in runs]
        found.append(
            Compared(
                *(of, side, lessons, how),
                tuple(value for value in beside if value is not None),
                tuple(row.value for row in runs),
                "\n".join(dict.fromkeys(row.note for row in runs if row.note)),
            )
        )
    groups = list(dict.fromkeys((one.of, one.side, one.lessons) for one in found))
    return sorted(found, key=lambda one: groups.index((one.of, one.side, one.lessons)))


def _of_halves(setup: Setup, one: AdaptSet, task: Task) -> Iterator[tuple[str, float, str]]:
    ((name, label),) = one.labels.items()
    whole = load_case(Path(one.image), Path(one.expert), label)
    first, second = halves(whole, _AXES.index(one.along))
    painted = painted_of(first, one.slices, task.seed, one.shuffled)
    lesson = lesson_of(painted if one.slices else first, name)
    encoder = _encoder(setup, task)
    if task.lessons:
        yield _adapted(setup, [lesson], task)
    if "probe" in one.reads:
        read = read_by([lesson], [lesson_of(second, name)], encoder, setup.device, _hush)
        yield from ((", ".join(how), value, "") for how, value in read.items())
    if "clicks" in one.reads:
        like = Meaning.ALL_LIKE_THIS
        yield from _clicked(second, like, encoder, setup, task, name)
    if one.other is not None:
        other = one.other
        case = load_case(Path(other.image), Path(other.labels), other.label)
        told = _remarks(case, encoder, setup.device) if task.lessons else ""
        rows = _clicked(case, Meaning.OBJECT, encoder, setup, task, other.name)
        yield from ((how, value, told) for how, value, _ in rows)


def _of_cohort(setup: Setup, one: AdaptSet, task: Task) -> Iterator[tuple[str, float, str]]:
    teaching = [_labelled(pair, one.labels) for pair in one.taught]
    encoder = _encoder(setup, task)
    if task.lessons:
        yield _adapted(setup, teaching, task)
    others = [_labelled(pair, one.labels) for pair in one.measured]
    if "probe" in one.reads:
        read = read_by(teaching, others, encoder, setup.device, _hush)
        yield from ((", ".join(how), value, "") for how, value in read.items())
    is_first = not task.seed and task.side == one.sides[0]
    if "proposals" in one.reads and is_first:
        found = _proposals(teaching, others, encoder, setup.device)
        yield from ((f"{label}, proposed", value, "") for label, value in found.items())


def _clicked(
    case: Case, meaning: Meaning, encoder: str, setup: Setup, task: Task, name: str
) -> Iterator[tuple[str, float, str]]:
    found = clicked(case, meaning, encoder, setup.device, task.seed)
    yield from ((f"{name}, {how}", value, "") for how, value in found.items())


def _proposals(
    teaching: Sequence[Lesson], others: Sequence[Lesson], encoder: str, device: str
) -> dict[str, float]:
    """Mean Dice of each label that a taught model proposes in other volumes."""
    model = None
    for one in teaching:
        job = prepare(one.volume, encoder, device=device, planes="one")
        model = begun(job.seen) if model is None else model
        model = taught(model, job.seen, one.labels, one.legend)
        job.close()
    assert model is not None  # a cohort has volumes
    *_, model = settled(model)
    found: dict[str, list[float]] = {}
    for one in others:
        job = prepare(one.volume, encoder, device=device, planes="one")
        *_, proposal = proposed(model, job.seen.described(model))
        assert proposal is not None  # it is the last of the steps
        job.close()
        z, y, x = (slice(0, length) for length in one.labels.shape)
        named = {label.name: label for label in one.legend}
        for label in model.header.labels:
            truth = one.labels == named[label.name].id
            if truth.any():
                box = proposal.box
                mask = Mask.of(box.labels == label.id, box.start).array((z, y, x))
                found.setdefault(label.name, []).append(dice(truth, mask))
    return {name: statistics.fmean(values) for name, values in found.items()}


def _adapted(setup: Setup, lessons: Sequence[Lesson], task: Task) -> tuple[str, float, str]:
    """Adapt the encoder, unless it was before; what its own trial says."""
    out = setup.adapter(task)
    if not out.exists():
        choices = Choices(lessons=task.lessons, seed=task.seed)
        name = _seen_at(setup.encoder, task.side)
        for step in adapt(lessons, name, None, setup.device, choices, _hush):
            if isinstance(step, Adapter):
                step.write(out)
    header = read_adapter(out).header
    said = "better" if header.is_better else "not better"
    return TRIAL, header.gain, f"Its own trial: spread {header.spread:.3f}, {said}."


def _remarks(case: Case, encoder: str, device: str) -> str:
    """What a user is told who shows a volume to an adapted encoder, but for its name."""
    loaded = BackboneEncoder.from_name(encoder, device, _hush)
    (plan,) = plans_for(case.volume, loaded, "one")
    # Each names the adapter, and with it the seed.
    said = (remark.partition(": ")[2] for remark in loaded.remarks(case.volume, plan))
    return "Told of another kind: " + " ".join(said)


def _labelled(pair: tuple[str, str], labels: dict[str, str]) -> Lesson:
    volume, numbers, legend = Labelled(*pair, tuple(labels.values())).read()
    named = tuple(
        replace(label, name=name) for label, name in zip(legend, labels, strict=True)
    )
    return Lesson(volume, numbers, named)


def _encoder(setup: Setup, task: Task) -> str:
    """The encoder of a run, by its whole name."""
    if task.lessons:
        return f"{setup.encoder}+{setup.adapter(task)}"
    return _seen_at(setup.encoder, task.side)


def _seen_at(encoder: str, side: int) -> str:
    asked = EncoderName.parse(encoder)
    if asked.side or asked.blocks or asked.adapter:
        raise ReadError(
            f"Expected an encoder without side and adapter, got {asked}: the suite has "
            "the sides."
        )
    return f"{encoder}@{side}" if side else encoder


def _hush(text: str) -> None:
    del text  # of many runs at once nobody would read it

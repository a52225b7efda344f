"""What teaching is worth: clicks on one volume after another, with and without memory.

In: labelled volumes, in order. Out: for each, what a model proposes that all before it have
taught, and how many clicks it takes from there, and from nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.annotation.mask import EMPTY, Mask
from napari_dinomed.bench.case import Case
from napari_dinomed.bench.interactive import product, run_case
from napari_dinomed.bench.metrics import clicks_to, dice
from napari_dinomed.headless import prepare
from napari_dinomed.taught.propose import proposed
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, taught

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.batch.lessons import Labelled
    from napari_dinomed.headless import Job, OnEvent
    from napari_dinomed.taught.model import TaughtModel
    from napari_dinomed.volume import Planes

TARGETS = (0.80, 0.85, 0.90)


@dataclass(frozen=True)
class CohortCase:
    """One label of one volume of a cohort.

    Parameters
    ----------
    name, label
        Of the volume, and of the label.
    taught
        Volumes that had taught it before.
    proposed
        Dice of the proposal; 0 where there was none.
    with_memory, without
        Dice after each click, from the proposal and from nothing.
    """

    name: str
    label: str
    taught: int
    proposed: float
    with_memory: tuple[float, ...]
    without: tuple[float, ...]

    def clicks(self, target: float) -> tuple[int, int]:
        """Clicks to a Dice with memory and without; one more than were made if never."""
        never = len(self.without) + 1
        from_nothing = clicks_to(self.without, target) or never
        if self.proposed >= target:
            return 0, from_nothing
        return clicks_to(self.with_memory, target) or never, from_nothing

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        counts = {f"{target:.2f}": self.clicks(target) for target in TARGETS}
        return asdict(self) | {"clicks_to": counts}


def run_cohort(
    volumes: list[Labelled],
    encoder: str,
    window: str | None,
    planes: Planes,
    device: str,
    clicks: int,
    on_event: OnEvent,
) -> Iterator[CohortCase]:
    """Go through labelled volumes; each teaches, once it has been clicked on.

    Parameters
    ----------
    volumes
        In order.
    encoder, window, planes, device, on_event
        As for `prepare`.
    clicks
        On each label, at most.
    """
    model: TaughtModel | None = None
    for files in volumes:
        volume, labels, legend = files.read()
        job = prepare(volume, encoder, window, device, on_event, planes)
        starts = _proposed(model, job)
        for label in legend:
            truth = labels == label.id
            if truth.any():
                start = starts.get(label.name, EMPTY)
                yield _clicked(files, job, label, truth, start, clicks, model)
        model = begun(job.seen) if model is None else model
        *_, model = settled(taught(model, job.seen, labels, legend))


def _proposed(model: TaughtModel | None, job: Job) -> dict[str, Mask]:
    """What a model finds, by the label's name."""
    if model is None:
        return {}
    *_, proposal = proposed(model, job.seen.described(model))
    assert proposal is not None  # it is the last of the steps
    box = proposal.box
    return {
        label.name: Mask.of(box.labels == label.id, box.start)
        for label in model.header.labels
    }


def _clicked(
    files: Labelled,
    job: Job,
    label: Label,
    truth: np.ndarray[Any, np.dtype[np.bool_]],
    start: Mask,
    clicks: int,
    model: TaughtModel | None,
) -> CohortCase:
    case = Case(job.volume, truth)
    z, y, x = (slice(0, length) for length in truth.shape)
    mask = start.array((z, y, x))
    corrected, fresh = (
        run_case(case, product(job, label.meaning, start=begin), clicks, start=seen)
        for begin, seen in ((start, mask), (EMPTY, None))
    )
    lessons = model.header.lessons if model is not None else ()
    volumes = {lesson.label.name: lesson.volumes for lesson in lessons}
    return CohortCase(
        files.image.rpartition("/")[2],
        label.name,
        volumes.get(label.name, 0),
        dice(truth, mask) if start else 0.0,
        corrected.dice,
        fresh.dice,
    )

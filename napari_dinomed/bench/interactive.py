"""Simulated clicks against expert labels: overlap and time after each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.bench.clicks import dice, next_click
from napari_dinomed.engine.messages import Progress
from napari_dinomed.errors import ReadError
from napari_dinomed.io import read_labels, read_volume
from napari_dinomed.segment.prompts import Meaning, Prompts
from napari_dinomed.session.state import Annotation, new_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import Event, HeadName
    from napari_dinomed.headless import Job
    from napari_dinomed.volume import Volume


@dataclass(frozen=True, eq=False)
class Case:
    """A volume and the mask that an expert gave it, (z, y, x)."""

    volume: Volume
    truth: NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """Dice and seconds after each click."""

    dice: tuple[float, ...]
    seconds: tuple[float, ...]


def load_case(image: Path, labels: Path, label: str) -> Case:
    """Read a volume and the union of some of its labels.

    Parameters
    ----------
    image, labels
        Files on the same grid of voxels.
    label
        Numbers joined by ``+``.

    Raises
    ------
    ReadError
        Where the files do not go together, or the labels are not there.
    """
    volume = read_volume(image)
    expert, label_volume = read_labels(labels)
    # Same voxels, in the file's order: some label files carry an affine of their own.
    on_file = label_volume.geometry.to_file_order(expert)
    if on_file.shape != volume.geometry.file_shape:
        raise ReadError(
            f"Expected labels of {volume.geometry.file_shape} voxels like the image, "
            f"got {on_file.shape} in {labels.name}."
        )
    try:
        numbers = [int(part) for part in label.split("+")]
    except ValueError as error:
        raise ReadError(f"Expected a label like 3 or 1+2, got {label!r}.") from error
    truth = np.isin(volume.geometry.from_file_order(on_file), numbers)
    if not truth.any():
        raise ReadError(f"{labels.name} has no voxel of label {label}.")
    return Case(volume, truth)


def run_case(
    case: Case,
    job: Job,
    meaning: Meaning,
    clicks: int,
    head: HeadName = "auto",
    on_event: Callable[[Event], None] | None = None,
) -> Outcome:
    """Click up to ``clicks`` times; a perfect mask ends it, its Dice repeated."""
    mask = np.zeros_like(case.truth)
    prompts, scores, seconds = Prompts(), list[float](), list[float]()
    for number in range(1, clicks + 1):
        point = next_click(case.truth, mask, case.volume.geometry.spacing)
        if point is None:
            break
        prompts = prompts.with_point(point)
        annotation = Annotation((new_label(1, meaning),), prompts)
        begun = time.perf_counter()
        mask = job.segment(annotation, head) == 1
        seconds.append(time.perf_counter() - begun)
        scores.append(dice(case.truth, mask))
        if on_event is not None:
            on_event(Progress(number, clicks, "clicks"))
    missing = clicks - len(scores)
    return Outcome((*scores, *scores[-1:] * missing), (*seconds, *([0.0] * missing)))

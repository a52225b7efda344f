"""How long a click takes, beside the least that it could take.

In: a volume and how many labels. Out: rows of seconds, each with its floor measured in the
same run: what must be done at least, done once and nothing else.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.clicks import next_click
from napari_dinomed.engine.messages import Segmented, SegmentVolume, SliceLabels
from napari_dinomed.headless import prepare
from napari_dinomed.segment.regions import bounding_box
from napari_dinomed.volume.phantom import ct_abdomen, em_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_dinomed.engine.client import EngineClient
    from napari_dinomed.engine.messages import Event
    from napari_dinomed.headless import Job
    from napari_dinomed.volume import Volume

    Bools = NDArray[np.bool_]

# Further clicks on the first object.
_FURTHER = 6
# What is made larger, one at a time, by about a factor of ten, and what it is beside.
SCALES: Mapping[str, tuple[int, ...]] = {
    "slices": (32, 64, 128, 256, 512),
    "rows and columns": (256, 512, 1024),
    "clicks": (1, 3, 10, 30, 100),
    "labels": (1, 5, 10, 20),
}
_SLICES, _ROWS = 64, 256
# Voxels from one click to the next where nothing is left to correct.
_STRIDE = 97


@dataclass(frozen=True)
class Timing:
    """Seconds of one thing that a user waits for.

    Parameters
    ----------
    name
        What it is.
    seconds
        Of each time that it was done.
    floor
        What the least of it takes alone.
    floor_name
        What that least is.
    """

    name: str
    seconds: tuple[float, ...]
    floor: float
    floor_name: str

    def quantile(self, share: float) -> float:
        """Seconds that a share of the times take at most."""
        return float(np.quantile(self.seconds, share))

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self) | {"p50": self.quantile(0.5), "p95": self.quantile(0.95)}


@dataclass(frozen=True)
class Scaled:
    """Median seconds of a further click, where one thing was made larger.

    Parameters
    ----------
    scale, size
        A key of `SCALES`, and how much of it there was.
    painted, whole
        Until the slice in view was painted, and until the object was there.
    """

    scale: str
    size: int
    painted: float
    whole: float


def measure_scaling(
    encoder: str, device: str, on_event: Callable[[Event], None]
) -> Iterator[Scaled]:
    """Time further clicks on made-up CTs of many sizes, with many clicks and labels."""
    for scale, sizes in SCALES.items():
        job = None
        for size in sizes:
            if job is None or scale in ("slices", "rows and columns"):
                slices = size if scale == "slices" else _SLICES
                rows = size if scale == "rows and columns" else _ROWS
                volume, truths = made_up_organs((slices, rows, rows))
                job = prepare(volume, encoder, device=device, on_event=on_event)
            clicks = _Clicks(job, truths * 3)
            for _ in range(size if scale == "clicks" else 1):
                clicks.on(1)
            while scale == "labels" and clicks.labels < size:
                clicks.on(clicks.labels + 1)
            taken = [clicks.on(1) for _ in range(_FURTHER)]
            painted, whole = np.median(taken, axis=0)
            yield Scaled(scale, size, float(painted), float(whole))


def made_up_organs(shape: tuple[int, int, int]) -> tuple[Volume, tuple[Bools, ...]]:
    """A made-up CT and its organs: the spleen, neither large nor small, comes first."""
    volume, organs = ct_abdomen(shape)
    return volume, tuple(organs == organ for organ in (3, 1, 4, 5, 2, 6, 7, 8))


def made_up_sections(shape: tuple[int, int, int]) -> tuple[Volume, tuple[Bools, ...]]:
    """A made-up EM stack and its mitochondria, all of them one label."""
    volume, truth = em_stack(shape)
    return volume, (truth > 0,)


def measure_speed(
    volume: Volume,
    truths: tuple[Bools, ...],
    meaning: Meaning,
    encoder: str,
    device: str,
    on_event: Callable[[Event], None],
    elsewhere: EngineClient | None = None,
) -> list[Timing]:
    """Click on objects as a user would, and time every answer.

    Parameters
    ----------
    volume
        The volume.
    truths
        Masks (z, y, x) of the objects; one label each, the first is corrected.
    meaning
        Whether a click means an object, or all that looks like it.
    encoder, device
        Who encodes, and where.
    on_event
        Told how far encoding is.
    elsewhere
        Who computes, if not this process; the least is then the way there and back.
    """
    job = prepare(volume, encoder, device=device, on_event=on_event, engine=elsewhere)
    if elsewhere is None:
        product, passing = _floor_of_bank(job), _floor_of_box(job, truths[0])
        bank, box = "one product with all tokens", "one pass over the object's box"
    else:
        product = passing = elsewhere.round_trip or 0.0
        bank = box = "there and back"
    clicks = _Clicks(job, truths, meaning)
    times = {"first click": [clicks.on(1)]}
    times["further click"] = [clicks.on(1) for _ in range(_FURTHER)]
    for label in range(2, len(truths) + 1):
        clicks.on(label)
    if len(truths) > 1:
        among = [clicks.on(1) for _ in range(_FURTHER)]
        times[f"further click, {len(truths)} labels"] = among
    rows = []
    for name, taken in times.items():
        painted, whole = zip(*taken, strict=True)
        rows.append(Timing(f"{name}: slice in view", painted, product, bank))
        rows.append(Timing(f"{name}: whole object", whole, passing, box))
    return rows


class _Clicks:
    """Clicks so far, each on the largest error of its label."""

    def __init__(
        self, job: Job, truths: tuple[Bools, ...], meaning: Meaning = Meaning.OBJECT
    ) -> None:
        self._job, self._truths = job, truths
        numbers = range(1, len(truths) + 1)
        self._labels = tuple(new_label(number, meaning) for number in numbers)
        self._masks = [np.zeros_like(truth) for truth in truths]
        self._prompts = Prompts()

    def __len__(self) -> int:
        return len(self._prompts.points)

    @property
    def labels(self) -> int:
        """How many labels were clicked on."""
        return len({point.label for point in self._prompts.points})

    def on(self, label: int) -> tuple[float, float]:
        """Seconds from a click to the slice in view, and to the whole object."""
        truth, spacing = self._truths[label - 1], self._job.volume.geometry.spacing
        point = next_click(truth, self._masks[label - 1], spacing, label)
        if point is None:
            # Nothing is left to correct: what is right is said once more, elsewhere.
            inside = np.argwhere(truth)
            z, y, x = inside[len(self) * _STRIDE % len(inside)].tolist()
            point = Point((z, y, x), label)
        self._prompts = self._prompts.plus(point)
        return self._timed(label, point)

    def _timed(self, label: int, point: Point) -> tuple[float, float]:
        request = SegmentVolume(
            "volume",
            self._prompts,
            self._labels,
            view_axis=0,
            view_index=point.voxel[0],
            wanted=(label,),
        )
        painted: list[float] = []
        begun = time.perf_counter()

        def hear(event: Event) -> None:
            if isinstance(event, SliceLabels):
                painted.append(time.perf_counter() - begun)

        segmented: Segmented = self._job.engine.run(request, hear)
        whole = time.perf_counter() - begun
        self._masks[label - 1] = segmented.paste(self._truths[0].shape) == label
        return next(iter(painted), whole), whole


def _floor_of_bank(job: Job) -> float:
    tokens = [bank.tokens.flatten(0, 1) for bank in job.banks]
    begun = time.perf_counter()
    for part in tokens:
        part @ torch.ones(part.shape[1], dtype=part.dtype)
    return time.perf_counter() - begun


def _floor_of_box(job: Job, truth: Bools) -> float:
    box = bounding_box(truth, 0)
    begun = time.perf_counter()
    job.window.apply(job.volume.array[box])
    return time.perf_counter() - begun

"""Simulated clicks against expert labels: overlap and time after each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.annotation.mask import EMPTY
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.bench.metrics import (
    MOST_CLICKS,
    area_under,
    clicks_to,
    dice,
    largest_loss,
    surface_dice,
)
from napari_dinomed.bench.users import deepest

if TYPE_CHECKING:
    from napari_dinomed.annotation.labels import Meaning
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.bench.case import Case
    from napari_dinomed.bench.users import NextClick
    from napari_dinomed.headless import Job

Method = Callable[[Prompts], NDArray[np.bool_]]
OnMask = Callable[["Case", int, NDArray[np.bool_]], None]

_TARGETS = (0.80, 0.85, 0.90)
_SHOWN = (1, 3, 5, 10)


@dataclass(frozen=True)
class Outcome:
    """Dice, surface Dice and seconds after each click; where and what each click was."""

    dice: tuple[float, ...]
    surface_dice: tuple[float, ...]
    seconds: tuple[float, ...]
    clicks: tuple[tuple[int, int, int, bool], ...] = ()

    def summary(self) -> dict[str, Any]:
        """What tables show.

        Clicks to a Dice that was never reached count as None; the area under the curve is
        from 0 to 1; the largest loss is between consecutive clicks.
        """
        taken = [seconds for seconds in self.seconds if seconds > 0] or [0.0]
        return {
            "dice_after": {str(n): self.dice[n - 1] for n in _SHOWN if n <= len(self.dice)},
            "area": area_under(self.dice),
            "surface_area": area_under(self.surface_dice),
            "clicks_to": {f"{t:.2f}": clicks_to(self.dice, t) for t in _TARGETS},
            "largest_loss": largest_loss(self.dice),
            "latency_p50": float(np.percentile(taken, 50)),
            "latency_p95": float(np.percentile(taken, 95)),
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self) | {"summary": self.summary()}


def product(
    job: Job, meaning: Meaning, head: str = Readout.AUTO, start: Mask = EMPTY
) -> Method:
    """The product itself as a method: clicks in, mask out; they correct a start."""

    def segment(prompts: Prompts) -> NDArray[np.bool_]:
        starts = {1: start} if start else None
        label = new_label(1, meaning)
        labels = job.segment((label,), prompts, head, starts=starts)
        return np.asarray(labels == 1)

    return segment


def run_case(
    case: Case,
    method: Method,
    clicks: int,
    seed: int | None = None,
    on_mask: OnMask | None = None,
    start: NDArray[np.bool_] | None = None,
    next_of: NextClick = deepest,
) -> Outcome:
    """Click up to so many times; a perfect mask ends it, its figures repeated.

    Parameters
    ----------
    case
        Volume and truth.
    method
        What answers the clicks.
    clicks
        How many at most.
    seed
        Jitters the clicks; None clicks at the deepest voxel.
    on_mask
        Told the case, the number of each click and the mask after it.
    start
        The mask before any click; empty if None.
    next_of
        Who clicks.
    """
    spacing = case.volume.geometry.spacing
    random = None if seed is None else np.random.default_rng(seed)
    mask = np.zeros_like(case.truth) if start is None else start
    prompts = Prompts()
    rows: list[tuple[float, float, float]] = []
    for number in range(1, clicks + 1):
        prompt = next_of(case, mask, prompts, random)
        if prompt is None:
            rows.append((*(rows[-1][:2] if rows else (1.0, 1.0)), 0.0))
            continue
        prompts = prompts.plus(prompt)
        begun = time.perf_counter()
        mask = method(prompts)
        seconds = time.perf_counter() - begun
        surface = surface_dice(case.truth, mask, spacing, case.tolerance)
        rows.append((dice(case.truth, mask), surface, seconds))
        if on_mask is not None:
            on_mask(case, number, mask)
    overlap, surface_overlap, taken = zip(*rows, strict=True)
    made = tuple((*point.voxel, point.include) for point in prompts.points)
    return Outcome(overlap, surface_overlap, taken, made)


def mean_outcome(outcomes: list[Outcome]) -> Outcome:
    """Click by click, the mean over several runs of a case or over several cases."""
    overlap, surface_overlap, seconds = (
        tuple(float(value) for value in np.mean(rows, axis=0))
        for rows in zip(
            *((o.dice, o.surface_dice, o.seconds) for o in outcomes), strict=True
        )
    )
    return Outcome(overlap, surface_overlap, seconds)


def counted(clicks: int | None) -> int:
    """Clicks to a target for a mean: what was never reached counts as the cap of 20."""
    return MOST_CLICKS if clicks is None else clicks

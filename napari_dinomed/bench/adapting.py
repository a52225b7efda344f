"""What adapting an encoder is worth: half of a volume teaches, the other half is measured.

In: a labelled volume. Out: Dice on the half that was not seen, frozen and adapted: read by
a probe and by k-NN that the painted slices taught, and by clicks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.adapt.judge import READOUTS, dice_of, show
from napari_dinomed.adapt.painted import Lesson, slices_of
from napari_dinomed.adapt.run import Step, adapt
from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.bench.case import Case
from napari_dinomed.bench.interactive import product, run_case
from napari_dinomed.bench.labels import labelled_slices
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.headless import prepare
from napari_dinomed.volume import Geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_dinomed.adapt.run import Choices

_CLICKS = (1, 5, 10)


@dataclass(frozen=True)
class Worth:
    """Dice on the half that was not seen.

    Parameters
    ----------
    how
        What read or clicked.
    frozen, adapted
        With the encoder as it is, and with its adapter.
    """

    how: str
    frozen: float
    adapted: float


def halves(case: Case, axis: int) -> tuple[Case, Case]:
    """The first and the second half of a case along (z, y, x)."""
    middle = case.truth.shape[axis] // 2
    return _part(case, axis, slice(None, middle)), _part(case, axis, slice(middle, None))


def teach_half(
    half: Case,
    slices: int,
    encoder: str,
    device: str,
    choices: Choices,
    out: Path,
    say: Callable[[str], None],
) -> Iterator[Step]:
    """Adapt an encoder to some painted slices of a half; the adapter is written last.

    Parameters
    ----------
    half
        The half that teaches.
    slices
        How many of its slices are painted, evenly spaced.
    encoder, device, choices, say
        As for `adapt`.
    out
        The adapter's file.
    """
    for step in adapt([_painted(half, slices)], encoder, None, device, choices, say):
        if isinstance(step, Step):
            yield step
        elif step is not None:
            step.write(out)


def measure_half(
    taught: Case,
    measured: Case,
    slices: int,
    encoders: tuple[str, str],
    device: str,
    with_clicks: bool,
    say: Callable[[str], None],
) -> list[Worth]:
    """Dice on the other half, by an encoder as it is and with its adapter."""
    columns = [_read(taught, measured, slices, name, device, say) for name in encoders]
    if with_clicks:
        for column, name in zip(columns, encoders, strict=True):
            column.update(_clicked(measured, name, device))
    frozen, adapted = columns
    return [Worth(how, frozen[how], adapted[how]) for how in frozen]


def _read(
    taught: Case,
    measured: Case,
    slices: int,
    name: str,
    device: str,
    say: Callable[[str], None],
) -> dict[str, float]:
    encoder = BackboneEncoder.from_name(name, device, say)
    own, other = (
        list(show(slices_of(lesson, ("1",), encoder, None), encoder))
        for lesson in (_painted(taught, slices), _lesson(measured))
    )
    read = {readout: dice_of(own, other, 1, readout)[0] for readout in READOUTS}
    return {str(readout): dice for readout, dice in read.items() if dice is not None}


def _clicked(measured: Case, name: str, device: str) -> dict[str, float]:
    job = prepare(measured.volume, name, device=device)
    method = product(job, Meaning.ALL_LIKE_THIS)
    dice = run_case(measured, method, _CLICKS[-1]).dice
    return {f"{count} clicks": dice[count - 1] for count in _CLICKS}


def _lesson(case: Case) -> Lesson:
    label = replace(new_label(1), name="1")
    return Lesson(case.volume, case.truth.astype(np.uint8), (label,))


def _painted(case: Case, slices: int) -> Lesson:
    """A lesson of some slices; nothing is known of the others."""
    truth = np.zeros_like(case.truth)
    chosen = labelled_slices(case.truth, slices)
    truth[chosen] = case.truth[chosen]
    return _lesson(Case(case.volume, truth))


def _part(case: Case, axis: int, part: slice) -> Case:
    which = (slice(None),) * axis + (part,)
    array = np.ascontiguousarray(case.volume.array[which])
    own = case.volume.geometry
    z, y, x = array.shape
    geometry = Geometry.from_spacing((z, y, x), own.spacing, own.unit)
    # One window for both halves would need the other half's grey values.
    volume = replace(case.volume, array=array, geometry=geometry, origin=None)
    return Case(volume, np.ascontiguousarray(case.truth[which]))

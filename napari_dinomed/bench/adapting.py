"""What adapting an encoder is worth: half of a volume teaches, the other half is measured.

In: a labelled volume. Out: Dice on the half that was not seen, frozen and adapted: read by
a probe and by k-NN that the painted slices taught, and by clicks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.adapt.judge import READOUTS, dice_of, show
from napari_dinomed.adapt.painted import MOST, Lesson, slices_of
from napari_dinomed.adapt.run import Step, adapt
from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.bench.case import Case
from napari_dinomed.bench.interactive import product, run_case
from napari_dinomed.bench.labels import labelled_slices
from napari_dinomed.bench.pictures import Painter
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.features.device import answering_device
from napari_dinomed.headless import prepare
from napari_dinomed.volume import Geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_dinomed.adapt.run import Choices
    from napari_dinomed.bench.interactive import OnMask

_CLICKS = (1, 5, 10)
_PICTURES = ("frozen.png", "adapted.png")
# Slices of a measured volume that are read at most: neighbours tell the same.
_READ = 32


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
    lesson = lesson_of(painted_of(half, slices))
    for step in adapt([lesson], encoder, None, device, choices, say):
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
    pictures: Path | None = None,
) -> list[Worth]:
    """Dice on the other half, by an encoder as it is and with its adapter.

    What clicks find can be drawn, as ``frozen.png`` and ``adapted.png`` in a folder.
    """
    own, other = lesson_of(painted_of(taught, slices)), lesson_of(measured)
    columns = [
        {how: dice for (_, how), dice in read_by([own], [other], name, device, say).items()}
        for name in encoders
    ]
    if with_clicks:
        for column, name, file in zip(columns, encoders, _PICTURES, strict=True):
            painter = None if pictures is None else Painter(pictures / file)
            meaning = Meaning.ALL_LIKE_THIS
            column.update(clicked(measured, meaning, name, device, on_mask=painter))
    frozen, adapted = columns
    return [Worth(how, frozen[how], adapted[how]) for how in frozen]


def read_by(
    taught: Sequence[Lesson],
    measured: Sequence[Lesson],
    name: str,
    device: str,
    say: Callable[[str], None],
) -> dict[tuple[str, str], float]:
    """Dice of each label by each readout, that some volumes taught, on others.

    Only slices that hold a label are read.
    """
    encoder = BackboneEncoder.from_name(name, device, say)
    names = tuple(dict.fromkeys(label.name for one in taught for label in one.legend))
    own, other = (
        [
            shown
            for lesson in lessons
            for shown in show(slices_of(lesson, names, encoder, None, most), encoder)
        ]
        for lessons, most in ((taught, MOST // len(taught)), (measured, _READ))
    )
    where = answering_device(encoder.torch_device)
    found: dict[tuple[str, str], float] = {}
    for readout in READOUTS:
        read = dice_of(own, other, len(names), readout, where)
        for label, dice in zip(names, read, strict=True):
            if dice is not None:
                found[label, readout] = dice
    return found


def clicked(
    case: Case,
    meaning: Meaning,
    name: str,
    device: str,
    seed: int | None = None,
    on_mask: OnMask | None = None,
) -> dict[str, float]:
    """Dice after some clicks; a seed clicks off-centre, as people do."""
    job = prepare(case.volume, name, device=device)
    dice = run_case(case, product(job, meaning), _CLICKS[-1], seed, on_mask).dice
    job.close()
    return {f"{count} click{'s' * (count > 1)}": dice[count - 1] for count in _CLICKS}


def lesson_of(case: Case, name: str = "1") -> Lesson:
    """A case as what teaches, or is read."""
    label = replace(new_label(1), name=name)
    return Lesson(case.volume, case.truth.astype(np.uint8), (label,))


def painted_of(case: Case, slices: int, seed: int = 0, shuffled: bool = False) -> Case:
    """A case of which some slices are painted; nothing is known of the others.

    Shuffled, each has what belongs on the next.
    """
    truth = np.zeros_like(case.truth)
    chosen = labelled_slices(case.truth, slices, seed)
    truth[chosen] = case.truth[chosen[1:] + chosen[:1] if shuffled else chosen]
    return Case(case.volume, truth)


def _part(case: Case, axis: int, part: slice) -> Case:
    which = (slice(None),) * axis + (part,)
    array = np.ascontiguousarray(case.volume.array[which])
    own = case.volume.geometry
    z, y, x = array.shape
    geometry = Geometry.from_spacing((z, y, x), own.spacing, own.unit)
    # One window for both halves would need the other half's grey values.
    volume = replace(case.volume, array=array, geometry=geometry, origin=None)
    return Case(volume, np.ascontiguousarray(case.truth[which]))

"""The whole of adapting: try it on what is held out, then teach by everything.

For each fold an adapter is taught without it and tried on it; the one that is kept is
taught by all. A run can be given up after every lesson, and goes on from its last epoch.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch

from napari_dinomed import __version__
from napari_dinomed.adapt.autosave import Autosave, restore
from napari_dinomed.adapt.judge import (
    READOUTS,
    Shown,
    dice_of,
    examples_of,
    show,
)
from napari_dinomed.adapt.painted import painted
from napari_dinomed.adapt.teach import (
    CROP,
    CROPS,
    LinearHead,
    Pupil,
    cost_of_a_crop,
    course_of,
)
from napari_dinomed.errors import ModelError
from napari_dinomed.features.adapter import (
    Adapter,
    AdapterHeader,
    Scale,
    Trial,
)
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.device import answering_device
from napari_dinomed.features.lora import insert, require_blocks
from napari_dinomed.features.naming import EncoderName
from napari_dinomed.features.weights import locate_weights
from napari_dinomed.segment.heads import LinearProbe
from napari_dinomed.volume.colours import stain_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from napari_dinomed.adapt.painted import Lesson, Painted
    from napari_dinomed.features.encoder import Notice
    from napari_dinomed.features.lora import LowRank

# Lessons after which a run is saved.
EPOCH = 10
# Voxels of each class that a head begins with, and its penalty.
_BEGUN_WITH = 3000
_PENALTY = 1e-3
# Of what memory is free a crop may take so much; crops are not smaller than that.
_SHARE, _LEAST_SIDE = 0.5, 112


@dataclass(frozen=True)
class Choices:
    """How an encoder is adapted.

    Parameters
    ----------
    rank
        How thin the adapters are.
    blocks
        How many of the blocks are adapted, from the last; 0 for all.
    rate
        The highest learning rate.
    lessons
        Of four crops each.
    seed
        Another one teaches by other crops, and begins elsewhere.
    """

    rank: int = 8
    blocks: int = 0
    rate: float = 1e-3
    lessons: int = 80
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """So much of a run is done.

    Parameters
    ----------
    done, total
        Lessons.
    seconds
        What is left, as far as that can be told.
    saying
        What the user should know now; most often nothing.
    """

    done: int
    total: int
    seconds: float
    saying: str = ""


def adapt(
    lessons: Sequence[Lesson],
    encoder_name: str,
    window: str | None,
    device: str,
    choices: Choices,
    notice: Notice,
) -> Iterator[Step | Adapter | None]:
    """Adapt an encoder to labelled volumes.

    Parameters
    ----------
    lessons
        What teaches it.
    encoder_name, device, notice
        As for `make_encoder`.
    window
        As for `choose_window`.
    choices
        How.

    Yields
    ------
    Step
        After each lesson; the adapter is last. None where it may be interrupted.

    Raises
    ------
    ModelError, WeightsError
        Where there is too little to learn from, or no transformer to teach.
    """
    asked = EncoderName.parse(encoder_name)
    if asked.adapter is not None:
        raise ModelError(
            f"Expected an encoder without an adapter, got {asked}: adapters are made one "
            "for each data set, not one on the other."
        )
    if asked.base == FILTERS.name:
        raise ModelError(
            "Expected a vision transformer to adapt, got the built-in filters."
        )
    encoder = BackboneEncoder.from_name(encoder_name, device, notice)
    require_blocks(encoder.model)
    material = painted(lessons, encoder, window)
    usual = encoder.seen_as(locate_weights(asked.base)[1])
    blocks = _blocks(encoder, choices)
    key = _key(lessons, encoder, window, choices)
    adapters = insert(encoder.model, choices.rank, blocks)
    run = _Run(encoder, adapters, material, choices, Autosave(key, notice))
    if usual.signature != encoder.signature:
        yield from run.try_as_usual(usual, painted(lessons, usual, window))
    yield from run.steps()
    first = material.first
    modality = first.stack.volume.modality
    header = AdapterHeader(
        str(replace(asked, side=None, blocks=None)),
        encoder.weights_hash,
        modality,
        Scale.of(first.stack.volume, first.plan),
        encoder.spec.sides[modality],
        encoder.spec.blocks,
        choices.rank,
        blocks,
        choices.rate,
        choices.lessons,
        material.names,
        len(lessons),
        len(material.slices),
        "volumes" if material.are_volumes else "slices",
        run.trials(),
        seed=choices.seed,
        stain=stain_of(first.stack.volume),
        losses=run.losses,
    )
    yield Adapter(header, run.tensors)
    # Asked for more, whoever has it has written it.
    run.autosave.remove()


class _Run:
    """One run, from its beginning or from where it was given up."""

    def __init__(
        self,
        encoder: BackboneEncoder,
        adapters: dict[str, LowRank],
        material: Painted,
        choices: Choices,
        autosave: Autosave,
    ) -> None:
        self.encoder, self.adapters = encoder, adapters
        self.material, self.choices, self.autosave = material, choices, autosave
        self.tensors: dict[str, torch.Tensor] = {}
        self._frozen: list[tuple[float | None, ...]] = []
        self._usual: list[tuple[float | None, ...]] = []
        self._place, self._kept = autosave.read()
        self._parts: tuple[int | None, ...] = (*material.parts, None)

    def try_as_usual(self, encoder: BackboneEncoder, material: Painted) -> Iterator[None]:
        """Try what the frozen encoder tells where it is shown slices as it usually is."""
        self._forget()
        shown = yield from _one_by_one(show(material.slices, encoder))
        self._usual = [self._tried(shown, part) for part in material.parts]

    def _forget(self) -> None:
        """Have the encoder frozen: adapters that do nothing."""
        for adapter in self.adapters.values():
            adapter.begin(torch.Generator())

    def steps(self) -> Iterator[Step | None]:
        """Teach and try one pupil after the other."""
        self._forget()
        begun = time.perf_counter()
        shown = yield from _one_by_one(show(self.material.slices, self.encoder))
        encoding = time.perf_counter() - begun
        self._frozen = [self._tried(shown, part) for part in self.material.parts]
        self._require_a_trial()
        side, together, each = self._measured(shown)
        yield self._step(each, encoding, self._promise(each, encoding))
        for number in range(self._place.taught, len(self._parts)):
            part = self._parts[number]
            pupil = self._pupil(shown, part, side, together)
            if self._kept:
                restore(pupil, self._place.done, self._kept)
                self._kept = {}
            clock = time.perf_counter()
            for loss in pupil.teach():
                if loss is None:
                    yield None
                    continue
                each, clock = time.perf_counter() - clock, time.perf_counter()
                self._place = self._place.after(pupil.done, loss)
                if pupil.done % EPOCH == 0:
                    self.autosave.write(self._place, pupil)
                yield self._step(each, encoding)
            if part is None:
                self.tensors = pupil.tensors()
                return
            adapted = yield from _one_by_one(show(self.material.slices, self.encoder))
            tried = self._tried(adapted, part)
            place, dice = self._place, (*self._place.dice, tried)
            self._place = replace(place, taught=number + 1, done=0, dice=dice)
            self.autosave.write(self._place, None)

    @property
    def losses(self) -> tuple[tuple[float, ...], ...]:
        """Of each pupil after each lesson."""
        return self._place.losses

    def _require_a_trial(self) -> None:
        if not any(None not in column for column in zip(*self._frozen, strict=True)):
            raise ModelError(
                "Expected a label that lies on slices of every part, to teach and to try "
                f"it, got {', '.join(self.material.names)}, which do not: paint more."
            )

    def trials(self) -> tuple[Trial, ...]:
        """Frozen and adapted side by side, where every fold could try a label."""
        rows = []
        pairs = [(name, readout) for name in self.material.names for readout in READOUTS]
        for number, (name, readout) in enumerate(pairs):
            frozen, adapted, usual = (
                tuple(dice for one in side if (dice := one[number]) is not None)
                for side in (self._frozen, self._place.dice, self._usual)
            )
            if len(frozen) == len(self._frozen):
                rows.append(Trial(name, readout, frozen, adapted, usual))
        return tuple(rows)

    def _pupil(
        self, shown: list[Shown], part: int | None, side: int, together: int
    ) -> Pupil:
        slices = self.material.slices
        teaching = [one for one in zip(slices, shown, strict=True) if one[0].part != part]
        course = course_of(
            [one for one, _ in teaching],
            self.encoder,
            self.choices.lessons,
            self.choices.rate,
            side,
            together,
            self.choices.seed,
        )
        examples = examples_of([one for _, one in teaching], _BEGUN_WITH)
        probe = LinearProbe(_PENALTY).fit(
            examples.to(answering_device(self.encoder.torch_device))
        )
        head = LinearHead(probe, 1 + len(self.material.names))
        return Pupil(self.encoder, self.adapters, head, course)

    def _tried(self, shown: list[Shown], part: int) -> tuple[float | None, ...]:
        pairs = list(zip(self.material.slices, shown, strict=True))
        taught = [there for one, there in pairs if one.part != part]
        held = [there for one, there in pairs if one.part == part]
        classes = len(self.material.names)
        device = answering_device(self.encoder.torch_device)
        read = [dice_of(taught, held, classes, readout, device) for readout in READOUTS]
        return tuple(dice for label in zip(*read, strict=True) for dice in label)

    def _measured(self, shown: list[Shown]) -> tuple[int, int, float]:
        """Side of a crop that fits into memory, how many do, and seconds of a lesson."""
        side = CROP
        while True:
            pupil = self._pupil(shown, self.material.parts[0], side, 1)
            needed, seconds = cost_of_a_crop(pupil)
            side = pupil.course.side
            device = self.encoder.torch_device
            many = int(_SHARE * _free(device) / needed)
            if many:
                # On a processor several at once are no faster, and keep clicks waiting.
                most = 1 if device.type == "cpu" else CROPS
                return side, min(many, most), seconds * CROPS
            if side // 2 < _LEAST_SIDE:
                raise ModelError(
                    f"Teaching this encoder takes {needed / 1e9:.2g} GB of memory for a "
                    f"crop of {side} pixels. Choose a smaller encoder, or fewer --blocks."
                )
            side //= 2

    def _step(self, each: float, encoding: float, saying: str = "") -> Step:
        """Where the run is, and what is left at the speed of the last lesson."""
        own, parts = self.choices.lessons, len(self._parts)
        done = self._place.taught * own + self._place.done
        trials = parts - 1 - self._place.taught
        left = (own * parts - done) * each + max(0, trials) * encoding
        return Step(done, own * parts, left, saying)

    def _promise(self, each: float, encoding: float) -> str:
        """What is about to be done, and how long it takes."""
        step = self._step(each, encoding)
        gone = f", {step.done} of them done before" if step.done else ""
        return (
            f"{len(self.material.slices)} labelled slices, {len(self._parts) - 1} folds; "
            f"{step.total} lessons{gone}: about {step.seconds / 60:.0f} min on "
            f"{self.encoder.device}."
        )


def _one_by_one(shown: Iterator[Shown]) -> Generator[None, None, list[Shown]]:
    """All that is shown; it may be interrupted between any two."""
    found = []
    for one in shown:
        found.append(one)
        yield None
    return found


def _free(device: torch.device) -> int:
    """Bytes of memory that are free where a model computes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _blocks(encoder: BackboneEncoder, choices: Choices) -> tuple[int, ...]:
    depth = len(encoder.model.blocks)
    if not 0 <= choices.blocks <= depth:
        raise ModelError(f"Expected at most {depth} blocks to adapt, got {choices.blocks}.")
    return tuple(range(depth))[-choices.blocks :]


def _key(
    lessons: Sequence[Lesson],
    encoder: BackboneEncoder,
    window: str | None,
    choices: Choices,
) -> str:
    """A hash of all that a run depends on."""
    digest = hashlib.blake2b(
        repr((encoder.signature, window, choices, __version__)).encode()
    )
    for one in lessons:
        digest.update(one.volume.fingerprint.encode())
        digest.update(repr([label.name for label in one.legend]).encode())
        digest.update(np.ascontiguousarray(one.labels).data)
    return digest.hexdigest()[:32]

"""What a taught model is, but for its numbers: read without any of the encoder's libraries.

In and out: JSON in the header of a safetensors file. It names no patient and no path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from napari_dinomed import __version__
from napari_dinomed.annotation.labels import Effort, Label, Meaning
from napari_dinomed.errors import ModelError
from napari_dinomed.io.tensors import Kind
from napari_dinomed.volume import Modality, Window
from napari_dinomed.volume.window import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Told = Literal["looks", "surroundings", "both"]
LearnerName = Literal["knn", "probe", "perceptron"]

_Number = Annotated[float, Field(allow_inf_nan=False)]
# Of a voxel or a volume, in any unit: its third power still is a number.
_Length = Annotated[float, Field(ge=1e-30, le=1e30)]
_Axis = Annotated[int, Field(ge=0, le=2)]

SUFFIX = ".dinomed"
VERSION: Literal[1] = 1
# Spacings that differ by more look different to an encoder.
_ODD_SPACING = 2.0


@dataclass(frozen=True)
class Sight:
    """How the volumes were seen that taught a model.

    Parameters
    ----------
    encoder, signature
        Name of the encoder, and what identifies it: weights' hash and layers.
    axes
        Axes that slices were taken along.
    window
        Grey values that the encoder saw, where it is the same for every volume (CT).
    modality
        What kind of volume.
    spacing
        Size of a voxel along (z, y, x), of the first volume.
    pixel
        Size of a pixel that the encoder was shown of it; None where that is a voxel.
    """

    encoder: str
    signature: str
    axes: Annotated[tuple[_Axis, ...], Field(min_length=1), AfterValidator(_each_once)]
    window: Annotated[Window, AfterValidator(_shows_something)]
    modality: Modality
    spacing: tuple[_Length, _Length, _Length]
    pixel: _Length | None = None

    def __post_init__(self) -> None:
        # A model that comes from elsewhere does not choose a file to load.
        if self.encoder.startswith("file:"):
            raise ValueError(f"expected an encoder's name, got {self.encoder!r}")

    @property
    def planes(self) -> Literal["one", "three"]:
        """The choice of planes that gives these axes."""
        return "three" if len(self.axes) > 1 else "one"

    @property
    def window_name(self) -> str | None:
        """Name of the window, where it is the same for every volume."""
        return self.window.name if self.window.name in PRESETS else None


@dataclass(frozen=True)
class Way:
    """A way to learn labels.

    Parameters
    ----------
    learner
        Which learner.
    told
        What it is told of a place: what the encoder's tokens look like there, what lies
        around, or both.
    """

    learner: LearnerName
    told: Told

    def __str__(self) -> str:
        return f"{self.learner} of {self.told}"


@dataclass(frozen=True)
class Reading:
    """How a label is read in one way.

    Parameters
    ----------
    way
        Which.
    cut, spread
        Its logit from which a place belongs, and how far logits of what belongs are from
        that, in the median.
    dice
        On examples of each volume, by what the others taught.
    """

    way: Way
    cut: _Number
    spread: Annotated[_Number, Field(gt=0)]
    dice: tuple[_Number, ...]


@dataclass(frozen=True)
class Amount:
    """How much of a volume has a label.

    Parameters
    ----------
    voxels, size
        How many voxels, and the room that they fill.
    surface
        The area around them; None in models that were written before it was measured.
    effort
        What a user did for it; None where that is not known, as for labels from a file.
    """

    voxels: Annotated[int, Field(gt=0)]
    size: Annotated[_Number, Field(gt=0)]
    surface: Annotated[_Number, Field(gt=0)] | None = None
    effort: Effort | None = None

    @property
    def raggedness(self) -> float | None:
        """Its surface, in that of a ball as large: 1 for a ball, more for all else."""
        if self.surface is None:
            return None
        return float(self.surface / (36 * math.pi * self.size**2) ** (1 / 3))


@dataclass(frozen=True)
class Apart:
    """How far looks are from the examples nearest to them: 0 for the same, 1 for unlike.

    Parameters
    ----------
    inside
        In the mean over a label, from examples of it.
    around
        Over what lies around it, from examples of all else.
    """

    inside: Annotated[_Number, Field(ge=0)]
    around: Annotated[_Number, Field(ge=0)]


@dataclass(frozen=True)
class Signs:
    """What is seen of a label that was found, for telling how good it is.

    Parameters
    ----------
    doubt
        Share on which two ways to read the model differ, of all that either finds; None
        where there is one way.
    apart
        How far it is from what taught.
    size
        Of an object, before it was cut to one that is usual; None of all that looks alike.
    """

    doubt: float | None
    apart: Apart
    size: float | None = None


@dataclass(frozen=True)
class Lesson:
    """How one label is read.

    Parameters
    ----------
    label
        The label; its number is its class among the examples.
    amounts
        What was labelled in each volume that taught it, by the volume's number.
    readings
        The best first. What they say, less their cuts, in their spreads, is averaged; where
        they differ, the answer is in doubt.
    cut
        Mean from which a place belongs.
    dice
        Of the mean, on examples of each volume, by what the others taught.
    apart
        How far each volume is from the others, by its number; empty where it is the only
        one, and in models that were written before it was measured.
    """

    label: Label
    amounts: Mapping[int, Amount] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    cut: _Number = 0.0
    dice: tuple[_Number, ...] = ()
    apart: Mapping[int, Apart] = field(default_factory=dict)

    @property
    def volumes(self) -> int:
        """How many volumes taught it."""
        return len(self.amounts)

    @property
    def voxels(self) -> int:
        """How many labelled voxels they had."""
        return sum(amount.voxels for amount in self.amounts.values())

    @property
    def effort(self) -> Effort | None:
        """What users did for it in all volumes where that is known; None where in none."""
        known = [one.effort for one in self.amounts.values() if one.effort is not None]
        return sum(known, Effort(0, 0)) if known else None

    @property
    def usual_sizes(self) -> tuple[float, float]:
        """The least and the most that an object of it has, as far as is known.

        The fewer were seen, the farther others may lie beyond: one tells half to double.
        """
        sizes = [amount.size for amount in self.amounts.values()]
        beyond = 1 + 1 / len(sizes)
        return min(sizes) / beyond, max(sizes) * beyond

    @property
    def told_by(self) -> tuple[str, ...]:
        """What tells odd proposals of it from usual ones."""
        is_object = self.label.meaning is Meaning.OBJECT
        has_surfaces = any(one.surface is not None for one in self.amounts.values())
        told = {
            "two readers": len(self.readings) > 1,
            "looks": bool(self.apart),
            "size": is_object,
            "surface": is_object and has_surfaces,
        }
        return tuple(name for name, is_told in told.items() if is_told)

    @property
    def mean_dice(self) -> float:
        """Mean over the volumes; not a number before it was tried."""
        return sum(self.dice) / len(self.dice) if self.dice else float("nan")


@dataclass(frozen=True)
class Header:
    """All of a model but its numbers.

    Parameters
    ----------
    sight
        How the volumes were seen.
    length
        What distances are measured by, in the unit of the spacing: the mean extent of the
        first volume.
    lessons
        How each label is read.
    cases
        A hash of each volume that taught, by its number: the same again is no other.
    program
        Version that wrote it.
    """

    sight: Sight
    length: _Length
    lessons: tuple[Lesson, ...] = ()
    cases: tuple[str, ...] = ()
    program: str = __version__
    version: Literal[1] = VERSION

    @property
    def volumes(self) -> int:
        """How many volumes taught it."""
        return len(self.cases)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that it knows."""
        return tuple(lesson.label for lesson in self.lessons)

    @property
    def ways(self) -> tuple[Way, ...]:
        """All that some label is read by, each once."""
        ways = (reading.way for lesson in self.lessons for reading in lesson.readings)
        return tuple(dict.fromkeys(ways))

    def require_sight(self, sight: Sight) -> tuple[str, ...]:
        """What a user should be warned of, where a volume is seen otherwise.

        Raises
        ------
        ModelError
            Where it is seen by another encoder, or not along all axes.
        """
        own = self.sight
        if own.signature != sight.signature:
            raise ModelError(
                f"Expected features of {own.encoder}, which taught this model, got "
                f"{sight.encoder}, or other weights of that name. Choose that encoder, or "
                "teach a model with this one."
            )
        if not set(own.axes) <= set(sight.axes):
            raise ModelError(
                f"This model was taught on slices along {len(own.axes)} axes, and this "
                f"volume is seen along {len(sight.axes)}. Choose all "
                "three: Slices in the panel, --planes three in a command."
            )
        return differences(own, sight)


def _of_one_piece(header: Header) -> Header:
    """A header of a model that was settled, whose parts speak of each other."""
    lessons, known = header.lessons, range(header.volumes)
    _require(lessons and _are_distinct(one.id for one in header.labels), "labels")
    _require(_are_distinct(one.name for one in header.labels), "names, each once")
    _require(all(one.readings and one.amounts for one in lessons), "labels that were read")
    _require(all(n in known for one in lessons for n in one.amounts), "volumes that taught")
    return header


def _each_once(axes: tuple[int, ...]) -> tuple[int, ...]:
    _require(_are_distinct(axes), "axes, each once")
    return axes


def _shows_something(window: Window) -> Window:
    is_finite = math.isfinite(window.high - window.low)
    _require(is_finite and window.low < window.high, "a window from a low to a high value")
    return window


def _require(is_so: object, what: str) -> None:
    if not is_so:
        raise ValueError(f"expected {what}")


def _are_distinct(values: Iterable[object]) -> bool:
    listed = list(values)
    return len(set(listed)) == len(listed)


KIND = Kind[Header](
    "dinomed",
    TypeAdapter(Annotated[Header, AfterValidator(_of_one_piece)]),
    "model",
    "teach",
)


def read_header(path: Path) -> Header:
    """Read what a model is; errors as `Kind.read`."""
    return KIND.read(path)


def differences(own: Sight, sight: Sight) -> tuple[str, ...]:
    """In what a volume is seen otherwise than those that taught."""
    said = []
    if own.modality != sight.modality:
        said.append(f"It was taught on {own.modality}, and this is {sight.modality}.")
    if own.modality == "CT" and own.window != sight.window:
        said.append(
            f"It was taught with the window {own.window}, and this one is {sight.window}."
        )
    pairs = zip(own.spacing, sight.spacing, strict=True)
    if max(max(a / b, b / a) for a, b in pairs) > _ODD_SPACING:
        taught, seen = (
            " × ".join(f"{length:.3g}" for length in one.spacing) for one in (own, sight)
        )
        said.append(f"It was taught at a spacing of {taught}, and this one's is {seen}.")
    return tuple(said)

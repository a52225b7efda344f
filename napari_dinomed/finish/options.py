"""Options of tools: what they are called, what they are counted in, how they are written.

In: frozen dataclasses whose fields are annotated. Out: a list of options that a panel, a
command line and a table can show, and values made of what a user typed. Values are in the
volume's own unit; users read and write millilitres and cubic micrometres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, get_type_hints

from napari_dinomed.errors import FinishError


class Measure(StrEnum):
    """What an amount is an amount of."""

    LENGTH = "length"
    VOLUME = "volume"
    GREY = "grey"


@dataclass(frozen=True)
class Amount:
    """A number that the user gives; annotates a field.

    Parameters
    ----------
    text
        What the panel calls it.
    measure
        Of what it is an amount.
    usual
        What it is until somebody says otherwise: a length in mm, a volume in ml; in the
        finest voxel widths, or thousands of voxels, where the unit is no millimetre; of
        grey values a share of the way from the darkest to the brightest shown.
    """

    text: str
    measure: Measure
    usual: float


@dataclass(frozen=True)
class Choice:
    """One of a few; annotates a field whose type is an enumeration with texts.

    Parameters
    ----------
    text
        What the panel calls it.
    """

    text: str


class Texts(StrEnum):
    """An enumeration whose members are what is typed, each with what a panel shows."""

    text: str

    def __new__(cls, value: str, text: str) -> Texts:
        """A member that is a word with a text."""
        member = str.__new__(cls, value)
        member._value_, member.text = value, text
        return member


@dataclass(frozen=True)
class Option:
    """A field of a tool's options.

    Parameters
    ----------
    name
        Of the field, and on the command line.
    kind
        How it is shown.
    choices
        What can be chosen, the usual first; empty for an amount.
    """

    name: str
    kind: Amount | Choice
    choices: tuple[Texts, ...] = ()

    @property
    def typed(self) -> str:
        """How it is written on the command line."""
        if isinstance(self.kind, Amount):
            return f"{self.name}={self.kind.measure.upper()}"
        *first, last = self.choices
        return f"{self.name}={', '.join(first)} or {last}"


def options_of(options: type[Any]) -> tuple[Option, ...]:
    """The options that a tool shows; what a hand draws on the canvas is none."""
    found, hints = [], get_type_hints(options, include_extras=True)
    for field in fields(options):
        kind = next(iter(getattr(hints[field.name], "__metadata__", ())), None)
        if isinstance(kind, Amount):
            found.append(Option(field.name, kind))
        elif isinstance(kind, Choice):
            choices = tuple(hints[field.name].__origin__)
            found.append(Option(field.name, kind, choices))
    return tuple(found)


@dataclass(frozen=True)
class Scale:
    """What amounts are counted in, for one volume.

    Parameters
    ----------
    unit
        Length unit of the volume.
    spacing
        Distance of voxels.
    grey
        The darkest and the brightest grey value that is told apart.
    """

    unit: str
    spacing: tuple[float, float, float]
    grey: tuple[float, float] = (0.0, 1.0)

    def unit_of(self, measure: Measure) -> tuple[str, float]:
        """What the user reads, and how many of the volume's own unit make one of it."""
        if measure is Measure.GREY:
            return "", 1.0
        if measure is Measure.LENGTH:
            return self.unit, 1.0
        usual = {"mm": ("ml", 1e3), "nm": ("µm³", 1e9)}
        return usual.get(self.unit, (f"{self.unit}³", 1.0))

    def usual(self, amount: Amount) -> float:
        """What an amount is at first, in the volume's own unit."""
        if amount.measure is Measure.GREY:
            return self.grey[0] + amount.usual * (self.grey[1] - self.grey[0])
        is_patient = self.unit == "mm"
        if amount.measure is Measure.LENGTH:
            # Less than a voxel would do nothing.
            finest = min(self.spacing)
            return max(amount.usual, finest) if is_patient else amount.usual * finest
        return amount.usual * 1e3 * (1.0 if is_patient else math.prod(self.spacing))


def made(options: type[Any], values: Mapping[str, Any], scale: Scale) -> Any:
    """Options from what a user typed, chose or drew; what is not said is as usual.

    Parameters
    ----------
    options
        The dataclass.
    values
        By name, amounts in what the user reads.
    scale
        What that is.

    Raises
    ------
    FinishError
        Where a name is not known, a value is none, or what has to be drawn is missing.
    """
    known = {option.name: option for option in options_of(options)}
    unknown = values.keys() - {field.name for field in fields(options)}
    if unknown:
        told = ", ".join(known) or "none"
        raise FinishError(f"Expected an option of {told}; got {sorted(unknown)[0]!r}.")
    given = dict(values)
    for name, option in known.items():
        if not isinstance(option.kind, Amount):
            given[name] = _chosen(option, given.get(name, option.choices[0]))
        elif name in given:
            given[name] = _amount(name, option.kind, given[name], scale)
        else:
            given[name] = scale.usual(option.kind)
    missing = [field.name for field in fields(options) if field.name not in given]
    if missing:
        told = " and ".join(missing)
        raise FinishError(f"Expected {told}: draw on the canvas for this tool first.")
    return options(**given)


def no_longer(options: Any, longest: float) -> Any:
    """Options whose lengths are at most one: farther apart than that, nothing lies."""
    lengths = [
        option.name
        for option in options_of(type(options))
        if isinstance(option.kind, Amount) and option.kind.measure is Measure.LENGTH
    ]
    return replace(
        options, **{name: min(getattr(options, name), longest) for name in lengths}
    )


def _amount(name: str, amount: Amount, value: Any, scale: Scale) -> float:
    unit, factor = scale.unit_of(amount.measure)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    is_grey = amount.measure is Measure.GREY
    if not math.isfinite(number) or not (is_grey or number > 0):
        expected = "a number" if is_grey else f"a number of {unit} over 0"
        raise FinishError(f"Expected {expected} for {name}, got {value!r}.")
    return number * factor


def _chosen(option: Option, value: Any) -> Texts:
    for choice in option.choices:
        if choice == value:
            return choice
    told = ", ".join(option.choices)
    raise FinishError(f"Expected {told} for {option.name}, got {value!r}.")

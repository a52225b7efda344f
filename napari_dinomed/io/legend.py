"""Names and colours of labels as a line of ASCII, for formats without a place for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_dinomed.io.label_values import unnamed
from napari_dinomed.volume import NamedLabel

if TYPE_CHECKING:
    from napari_dinomed.io.format import Legend

CREATOR = "napari-dinomed"
# What is believed of a file: each label takes memory.
_MOST_UNNAMED = 1_000_000


def to_text(legend: Legend) -> str:
    """Labels as JSON; those that nobody gave a name are only counted, run by run."""
    named = [label for label in legend if label != unnamed(label.id)]
    others = sorted(label.id for label in legend if label == unnamed(label.id))
    about = {
        "creator": CREATOR,
        "labels": [[label.id, to_hex(label), label.name] for label in named],
        "unnamed": _runs(others),
    }
    return json.dumps(about, separators=(",", ":"))


def from_text(text: str) -> Legend | None:
    """The labels of `to_text`; None where the text is another."""
    try:
        about = json.loads(text)
        if about["creator"] != CREATOR:
            return None
        named = tuple(_named(*entry) for entry in about["labels"])
        runs = [(int(first), int(last)) for first, last in about["unnamed"]]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if sum(max(last - first + 1, 0) for first, last in runs) > _MOST_UNNAMED:
        return named
    others = (unnamed(n) for first, last in runs for n in range(first, last + 1))
    return tuple(sorted((*named, *others), key=lambda label: label.id))


def to_hex(label: NamedLabel) -> str:
    """A label's colour, two digits for each of red, green and blue."""
    return "".join(f"{round(255 * min(max(part, 0), 1)):02x}" for part in label.color)


def from_hex(digits: str) -> tuple[float, float, float]:
    """The colour of `to_hex`."""
    r, g, b = bytes.fromhex(digits)
    return (r / 255, g / 255, b / 255)


def _named(number: Any, digits: str, name: Any) -> NamedLabel:
    return NamedLabel(int(number), str(name), from_hex(digits))


def _runs(numbers: list[int]) -> list[list[int]]:
    """First and last of each run of numbers that follow each other."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs

"""Legends: labels usual for a kind of volume, and legends from elsewhere taken up."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from napari_dinomed.annotation.labels import MAX_LABEL, PALETTE, Label, Meaning, new_label
from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator, Mapping, Sequence

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.labels import LabelId
    from napari_dinomed.volume import NamedLabel

    Color = tuple[float, float, float]

_NAMES: Mapping[str, tuple[str, ...]] = {
    # As in AMOS and BTCV, the usual sets of abdominal organs.
    "Abdomen": (
        "spleen",
        "right kidney",
        "left kidney",
        "gallbladder",
        "oesophagus",
        "liver",
        "stomach",
        "aorta",
        "inferior vena cava",
        "pancreas",
        "right adrenal gland",
        "left adrenal gland",
        "duodenum",
        "bladder",
    ),
    # Organs at risk that radiotherapy plans name most.
    "Head and neck": (
        "brainstem",
        "spinal cord",
        "right parotid",
        "left parotid",
        "right submandibular gland",
        "left submandibular gland",
        "mandible",
        "oesophagus",
        "larynx",
        "right eye",
        "left eye",
        "optic chiasm",
    ),
    # As in BraTS, in its order.
    "Brain tumour": ("necrosis", "oedema", "enhancing tumour"),
    "EM organelles": (
        "mitochondria",
        "nucleus",
        "endoplasmic reticulum",
        "Golgi apparatus",
        "vesicles",
        "lipid droplets",
        "plasma membrane",
    ),
}
_ALL_ALIKE = {"EM organelles"}
PRESETS = tuple(_NAMES)
# Of a colour that comes a second and a third time: lighter, then darker.
_SHADES = (0.0, 0.5, -0.45)


def preset(name: str) -> tuple[Label, ...]:
    """The labels of a preset, numbered from 1; KeyError where there is none."""
    meaning = Meaning.ALL_LIKE_THIS if name in _ALL_ALIKE else Meaning.OBJECT
    return tuple(
        replace(new_label(number, meaning), name=each, color=_shade(number))
        for number, each in enumerate(_NAMES[name], start=1)
    )


def with_legend(document: Document, legend: Sequence[Label]) -> Document:
    """Labels of these names, each there once; a blank document takes their numbers, too.

    Names that are there take the legend's colour, unless another label has it. No voxel
    changes.

    Raises
    ------
    DocumentError
        Where a number is over what a document can hold, or two labels have one name.
    """
    numbers, names = ({one.id for one in legend}, {one.name for one in legend})
    if not legend or len(names) < len(legend) or max(numbers) > MAX_LABEL:
        raise DocumentError(
            f"Expected labels from 1 to {MAX_LABEL}, each with a name of its own; got "
            f"{len(legend)} labels of {len(names)} names."
        )
    is_untouched = document.is_blank and all(
        label == new_label(label.id, label.meaning) for label in document.labels
    )
    if is_untouched:
        next_id = max(document.next_id, *(one.id + 1 for one in legend))
        return replace(document, labels=tuple(legend), next_id=next_id)
    named = {label.name: label for label in legend}
    changed, _ = with_names(document, legend)
    others = {label.color for label in changed.labels if label.name not in named}
    free = free_colors(others | {label.color for label in legend})
    for label in changed.labels:
        if label.name in named:
            color = named[label.name].color
            unlike = next(free, color) if color in others else color
            changed = changed.with_label(replace(label, color=unlike))
    return changed


def with_names(
    document: Document, legend: Collection[Label]
) -> tuple[Document, Mapping[int, LabelId]]:
    """Labels of these names, new ones where there are none, and their numbers here.

    A document in which nothing was said yet takes them for its own.
    """
    known = {label.name: label.id for label in document.labels}
    named = {known[label.name] for label in legend if label.name in known}
    spare = [
        one.id
        for one in document.labels
        if document.is_blank
        and one.id not in named
        and one == new_label(one.id, one.meaning)
    ]
    changed, numbers = document, {}
    for label in legend:
        number = known.get(label.name)
        if number is None:
            if not spare:
                changed = changed.with_new_label(label.meaning)
            number = spare.pop(0) if spare else changed.labels[-1].id
            taken = replace(label, id=number, state=changed.find(number).state)
            changed = changed.with_label(taken)
        numbers[label.id] = number
    return changed, numbers


def labels_from(legend: Sequence[NamedLabel], meaning: Meaning) -> tuple[Label, ...]:
    """Labels of a legend from a file."""
    return tuple(
        replace(new_label(1, meaning), id=one.id, name=one.name, color=one.color)
        for one in legend
    )


def free_names(name: str, taken: Container[str]) -> Iterator[str]:
    """Names for parts of what has a name: «spleen 2», «spleen 3» … that nothing has yet."""
    numbered = (f"{name} {number}" for number in count(2))
    return (one for one in numbered if one not in taken)


def free_colors(taken: Container[Color]) -> Iterator[Color]:
    """The palette's colours, then their shades, that nothing has yet."""
    shades = map(_shade, range(1, len(PALETTE) * len(_SHADES) + 1))
    return (shade for shade in shades if shade not in taken)


def _shade(number: int) -> Color:
    """The colour of a number, lighter and darker where the palette comes to its end."""
    shade = _SHADES[(number - 1) // len(PALETTE) % len(_SHADES)]
    to = 1.0 if shade > 0 else 0.0
    red, green, blue = (part + abs(shade) * (to - part) for part in new_label(number).color)
    return (red, green, blue)

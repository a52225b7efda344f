"""Labels from elsewhere, to go on with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import MAX_LABEL, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_dinomed.volume import NamedLabel


def continued_from(
    document: Document, labels: NDArray[np.integer[Any]], legend: Iterable[NamedLabel]
) -> Document:
    """Labels (z, y, x) from elsewhere in the place of a document's own.

    They count as set by hand: clicks add to them and never take from them.

    Raises
    ------
    DocumentError
        Where there are none, a number is over what a document can hold, or a label of
        this one is done.
    """
    document.require_all_open()
    masks = Mask.split(labels)
    if not masks or min(masks) < 0 or max(masks) > MAX_LABEL:
        found = f"{min(masks)} to {max(masks)}" if masks else "none"
        raise DocumentError(f"Expected labels from 1 to {MAX_LABEL}, got {found}.")
    named = {entry.id: entry for entry in legend if entry.id > 0}
    meaning = document.labels[0].meaning
    made = []
    for number in sorted({*masks, *named}):
        label = new_label(number, meaning)
        if number in named:
            entry = named[number]
            label = replace(label, name=entry.name, color=entry.color)
        made.append(label)
    next_id = max(document.next_id, made[-1].id + 1)
    hand = Mask.of(labels != 0)
    return Document(
        tuple(made), Prompts(), masks, hand, choices=document.choices, next_id=next_id
    )

"""Labels brought together and into another order: a document in, a new one out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document


def merged(document: Document, label: int, into: int) -> Document:
    """A label's voxels given to another, as if by hand; the label and its prompts go.

    Raises
    ------
    DocumentError
        Where both are the same label, or one of them is done.
    """
    if label == into:
        raise DocumentError("Expected two labels to merge, got the same one twice.")
    document.require_open(label, into)
    return document.without_label(label).with_edit(document.mask(label), into)


def moved(document: Document, label: int, places: int) -> Document:
    """A label that many places further down the list, or up; no further than its end."""
    labels = list(document.labels)
    known = document.find(label)
    place = labels.index(known)
    labels.pop(place)
    labels.insert(min(max(place + places, 0), len(labels)), known)
    return replace(document, labels=tuple(labels))

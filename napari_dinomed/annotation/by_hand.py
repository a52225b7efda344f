"""What a hand does to a label as a whole, and what it did to it voxel by voxel.

In: a document, a label, the voxels that it is to have. Out: a document in which that was
done as a brush and an eraser would: no label that is done changes, and answers keep to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinomed.annotation.legends import free_colors, free_names
from napari_dinomed.annotation.mask import EMPTY, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask


def reshaped(
    document: Document, label: int, wanted: Mask, parts: Sequence[Mask] = ()
) -> Document:
    """A label with other voxels; what another label has stays that one's.

    Parameters
    ----------
    document
        The document.
    label
        The label.
    wanted
        The voxels that it is to have.
    parts
        Voxels of it that are each to be a label of its own, named after it.

    Raises
    ------
    DocumentError
        Where the label is done, or all numbers of labels have been given.
    """
    document.require_open(label)
    own = document.mask(label)
    added = wanted - own
    for other in document.labels:
        if other.id != label:
            added = added - document.mask(other.id)
    changed = document.with_erasure(own - wanted, label).with_edit(added, label)
    for part in parts:
        changed = _with_part(changed, label, part)
    return changed


def _with_part(document: Document, label: int, part: Mask) -> Document:
    """One more label that means what another does, with a name after it."""
    whole, known = document.find(label), document.labels
    changed = document.with_new_label(whole.meaning)
    made = changed.labels[-1]
    name = next(free_names(whole.name, {one.name for one in known}))
    color = next(free_colors({one.color for one in known}), made.color)
    changed = changed.with_label(replace(made, name=name, color=color))
    return changed.with_edit(part, made.id)


def paint_of(document: Document, label: int) -> tuple[Mask, Mask]:
    """What a hand added to a label and took from it, so far as no stroke says it.

    Parameters
    ----------
    document
        The document.
    label
        The label.
    """
    strokes = document.prompts.strokes
    said = union(stroke.mask for stroke in strokes if stroke.label == label)
    # What another label includes is none of this one's already.
    others = union(stroke.mask for stroke in strokes if stroke.label != label)
    added = (document.hand & document.mask(label)) - said
    return added, document.erased.get(label, EMPTY) - said - others

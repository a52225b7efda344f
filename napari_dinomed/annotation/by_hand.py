"""What a hand does to a label as a whole, and what it did to it voxel by voxel.

In: a document, a label, the voxels that it is to have. Out: a document in which that was
done as a brush and an eraser would: no label that is done changes, and answers keep to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.annotation.mask import EMPTY, union

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask


def reshaped(document: Document, label: int, wanted: Mask) -> Document:
    """A label with other voxels; what another label has stays that one's.

    Parameters
    ----------
    document
        The document.
    label
        The label.
    wanted
        The voxels that it is to have.

    Raises
    ------
    DocumentError
        Where the label is done.
    """
    document.require_open(label)
    own = document.mask(label)
    added = wanted - own
    for other in document.labels:
        if other.id != label:
            added = added - document.mask(other.id)
    return document.with_erasure(own - wanted, label).with_edit(added, label)


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

"""What a hand does to a whole label: gives it another shape, has its paint teach.

In: a document, a label, the voxels that it is to have. Out: a document in which that was
done as a brush and an eraser would: no label that is done changes, and answers keep to it.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from napari_dinomed.annotation.mask import EMPTY, Mask
from napari_dinomed.annotation.prompts import Stroke
from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dinomed.annotation.document import Document


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


def taught_by_paint(document: Document, label: int) -> Document:
    """What was painted and erased by hand, said as strokes: the label is answered anew.

    What a hand added includes, what it took away excludes. What a stroke says already is
    not said twice.

    Parameters
    ----------
    document
        The document.
    label
        The label.

    Raises
    ------
    DocumentError
        Where the label is done, or nothing was painted that no stroke says.
    """
    document.require_open(label)
    strokes = document.prompts.strokes
    said = _union(stroke.mask for stroke in strokes if stroke.label == label)
    # What another label includes is none of this one's already.
    others = _union(stroke.mask for stroke in strokes if stroke.label != label)
    painted = (document.hand & document.mask(label)) - said
    erased = document.erased.get(label, EMPTY) - said - others
    taught = document
    for mask, include in ((painted, True), (erased, False)):
        if mask:
            taught = taught.with_prompt(Stroke(mask, label, include))
    if taught is document:
        name = document.find(label).name
        raise DocumentError(
            f"Nothing was painted on {name} that does not teach already: correct some of "
            "it by brush or eraser first."
        )
    return taught


def _union(masks: Iterable[Mask]) -> Mask:
    return reduce(or_, masks, EMPTY)

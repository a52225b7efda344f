"""Labels that a model proposes: they begin what the user has said nothing of yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinomed.annotation.mask import EMPTY, without_empty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.labels import LabelId
    from napari_dinomed.annotation.mask import Mask


def with_proposals(document: Document, found: Mapping[int, Mask]) -> Document:
    """Labels that nothing was said of yet begin as somebody else proposes them.

    They take free voxels; an earlier proposal gives way.
    """
    free, old = set(unsaid(document)), unseen(document)
    masks = {n: mask for n, mask in document.masks.items() if n not in old}
    starts = {n: mask for n, mask in document.starts.items() if n not in old}
    for label, proposed in found.items():
        if label not in free:
            continue
        for other, mask in masks.items():
            proposed = proposed if other == label else proposed - mask
        masks[label] = starts[label] = proposed - document.erased.get(label, EMPTY)
    return replace(document, masks=without_empty(masks), starts=without_empty(starts))


def unsaid(document: Document) -> tuple[LabelId, ...]:
    """Labels that are open, and that the user has not marked or painted."""
    return tuple(
        label.id
        for label in document.labels
        if not (label.is_done or document.prompts.of(label.id))
        and not (document.mask(label.id) & document.hand)
    )


def unseen(document: Document) -> set[LabelId]:
    """Labels that were proposed; nobody has looked at what nothing was said of since."""
    return set(unsaid(document)) & set(document.starts)

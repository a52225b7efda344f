"""Whether a document that was read can be of a volume, and agrees with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.annotation.mask import union
from napari_dinomed.errors import DocumentError

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document


def require_fits(document: Document, shape: tuple[int, int, int]) -> None:
    """Raise `DocumentError` where it cannot be of a volume of this shape."""
    known = {label.id for label in document.labels}
    named = {*document.masks, *document.waiting, *document.erased, *document.starts}
    named |= {prompt.label for prompt in document.prompts.all}
    named |= {n for claim in document.claims for n in (claim.label, claim.other)}
    if not named <= known:
        raise DocumentError(
            f"It names the labels {sorted(named - known)}, which it does not have."
        )
    try:
        masks = (document.masks, document.erased, document.starts)
        for mask in (document.hand, *(mask for kind in masks for mask in kind.values())):
            mask.require_inside(shape)
    except ValueError as error:
        raise DocumentError(f"Its labels are on another grid: {error}.") from error
    document.prompts.require_inside(shape)
    total = sum(mask.count for mask in document.masks.values())
    if union(document.masks.values()).count < total:
        raise DocumentError("Two of its labels have the same voxels.")

"""Files of weights: the user chooses what is loaded, a document from elsewhere does not.

In: a document as it was kept. Out: the same, or one that asks for the built-in filters.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError
from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.settings import load_settings, save_settings

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document

_FILE = "file:"
# More than anyone goes back to.
_MOST_REMEMBERED = 20


def remember_weights(encoder: str) -> None:
    """Keep in mind that the user chose a file of weights; other encoders need no such."""
    if not encoder.startswith(_FILE) or _is_known(encoder):
        return
    # Where it cannot be kept, the user is asked to choose again next time.
    with suppress(DinomedError):
        settings = load_settings()
        known = (encoder, *settings.weight_files)[:_MOST_REMEMBERED]
        save_settings(replace(settings, weight_files=known))


def without_foreign_weights(document: Document) -> tuple[Document, str]:
    """A document that loads no file that the user did not choose; what to say, if so."""
    encoder = document.choices.encoder
    if not encoder.startswith(_FILE) or _is_known(encoder):
        return document, ""
    said = (
        f"This document was made with weights from the file {encoder.removeprefix(_FILE)}, "
        "which you have not chosen on this machine: the built-in filters take its place. "
        "If you know the file, choose it as encoder."
    )
    choices = replace(document.choices, encoder=FILTERS.name)
    return replace(document, choices=choices), said


def _is_known(encoder: str) -> bool:
    try:
        return encoder in load_settings().weight_files
    except DinomedError:
        return False

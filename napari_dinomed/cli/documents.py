"""Teaching from documents: what somebody made of a volume in the window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.proposals import unseen
from napari_dinomed.batch.lessons import chosen_labels
from napari_dinomed.errors import DocumentError
from napari_dinomed.io import Pick, read_volume
from napari_dinomed.io.format import FIRST
from napari_dinomed.session.file import load_document

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label, Meaning
    from napari_dinomed.volume import Volume


@dataclass(frozen=True)
class FromDocument:
    """A volume, and the document that was made of it.

    Parameters
    ----------
    image, document
        Where they are.
    chosen, meaning
        As for `chosen_labels`.
    pick
        What of the image it was made of.
    """

    image: str
    document: str
    chosen: tuple[str, ...]
    meaning: Meaning
    pick: Pick = FIRST

    def read(self) -> tuple[Volume, NDArray[np.int64], tuple[Label, ...]]:
        """The volume, its labels (z, y, x), and what they stand for.

        Raises
        ------
        ReadError
            Where one cannot be read, or a label is not asked for by its number.
        DocumentError
            Where the document is of another volume, or nobody has touched a label.
        ModelError
            Where a label is asked for twice.
        """
        path, volume = Path(self.document), read_volume(self.image, self.pick)
        saved = load_document(path)
        saved.require_volume(volume.fingerprint, path.name)
        document = saved.document
        labels = document.labels_of(volume.geometry.shape).astype(np.int64)
        labels[np.isin(labels, list(unseen(document)))] = 0
        if not labels.any():
            raise DocumentError(
                f"Expected a label in {path.name} that somebody clicked on, painted or "
                "locked, got none."
            )
        names = {label.id: label.name for label in document.labels}
        return volume, *chosen_labels(labels, names, self.chosen, self.meaning)

    def known(self) -> dict[int, str]:
        """Labels of it that somebody had a hand in, by their numbers."""
        document = load_document(Path(self.document)).document
        labels = document.masks.keys() - unseen(document)
        return {label.id: label.name for label in document.labels if label.id in labels}

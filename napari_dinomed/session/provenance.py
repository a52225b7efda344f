"""How labels were made, in a file beside theirs: a document that tells its own making.

In: a saved document. Out: the same without folders, whose names are nobody's business, and
the name of the file that it goes to.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from napari_dinomed import __version__
from napari_dinomed.annotation.labels import legend_of
from napari_dinomed.annotation.making import BLANK, NOTHING, Answer, Change, Made
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.errors import WriteError
from napari_dinomed.io import Origin, write_labels
from napari_dinomed.io.format import FIRST
from napari_dinomed.session.file import SUFFIX, SavedDocument, save_document

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.making import Deed, Features
    from napari_dinomed.io import Pick
    from napari_dinomed.volume import Volume, Window

# Those whose arithmetic, or whose reading of a file, is in the voxels.
_LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-image",
    "scikit-learn",
    "connected-components-3d",
    "edt",
    "torch",
    "timm",
    "nibabel",
    "pydicom",
    "highdicom",
)
# All up to the last part of a path, whatever machine it is of.
_FOLDERS = re.compile(r"^(file:).*[/\\]")


def beside(labels: Path) -> Path:
    """Where it lies how labels were made."""
    return labels.with_name(labels.name + SUFFIX)


@cache
def versions() -> Mapping[str, str]:
    """Versions of the program, of Python and of libraries, by name."""
    found = {"napari-dinomed": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def pick_of(volume: Volume) -> Pick:
    """Which volume of its file it is; without the part's key, which may name a study."""
    origin = volume.origin
    return replace(origin.pick, part=None) if isinstance(origin, Origin) else FIRST


def answered_at_once(
    volume: Volume,
    document: Document,
    window: Window,
    features: Features,
    answered: NDArray[np.integer[Any]],
    kept: NDArray[np.integer[Any]],
) -> SavedDocument:
    """A document all of whose prompts were answered in one go, as ``segment`` does.

    Parameters
    ----------
    volume, document
        What was labelled, and what was said of it.
    window, features
        What the encoder saw, and what the labels were read from.
    answered, kept
        The answer (z, y, x), and what was kept of it.
    """
    full = replace(document, masks=Mask.split(answered))
    left = full if kept is answered else replace(document, masks=Mask.split(kept))
    made = NOTHING.then(Change.between(BLANK, document, "segment"), Answer(0, features))
    if left is not full:
        made = made.then(Change.between(full, left, "keep what is hot and large enough"))
    return SavedDocument(
        volume.fingerprint,
        volume.geometry,
        window,
        features.encoder,
        left,
        made,
        pick_of(volume),
        versions(),
    )


def save_labels(path: Path, volume: Volume, saved: SavedDocument) -> None:
    """Write a document's labels on the volume's grid, and how they were made beside them.

    Raises
    ------
    WriteError
        As `write_labels` and `save_beside`.
    """
    labels = saved.document.labels_of(volume.geometry.shape)
    write_labels(path, labels, volume, legend_of(saved.document.legend))
    save_beside(path, saved)


def save_beside(labels: Path, saved: SavedDocument) -> None:
    """Write how labels were made beside their file, which is written.

    Raises
    ------
    WriteError
        As `save_document`.
    """
    try:
        save_document(beside(labels), without_folders(saved))
    except WriteError as error:
        raise WriteError(
            f"{labels.name} is saved, but not how it was made: {beside(labels).name} "
            f"cannot be written, {error.__cause__ or error}."
        ) from error


def without_folders(saved: SavedDocument) -> SavedDocument:
    """The same, a file of weights called by its name alone; its hash is kept."""
    made = Made.of(_deed_without_folders(deed) for deed in saved.made)
    return replace(saved, document=_document_without_folders(saved.document), made=made)


def _document_without_folders(document: Document) -> Document:
    encoder = _FOLDERS.sub(r"\1", document.choices.encoder)
    return replace(document, choices=replace(document.choices, encoder=encoder))


def _deed_without_folders(deed: Deed) -> Deed:
    if not isinstance(deed, Change) or deed.choices is None:
        return deed
    encoder = _FOLDERS.sub(r"\1", deed.choices.encoder)
    return replace(deed, choices=replace(deed.choices, encoder=encoder))

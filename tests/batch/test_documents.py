"""Teaching from what somebody made of a volume in the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.continuing import continued_from
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.legends import with_names
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.proposals import with_proposals
from napari_dinomed.cli.documents import FromDocument
from napari_dinomed.errors import DocumentError
from napari_dinomed.io import read_volume
from napari_dinomed.session.file import SavedDocument, save_document
from napari_dinomed.volume import Window

SHAPE = (6, 12, 12)


@pytest.fixture
def files(tmp_path):
    """A volume, a document that was made of it, and its labels."""
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).integers(0, 99, SHAPE))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2:5, 2:5], labels[4:, 8:, 8:] = 1, 2
    volume = read_volume(tmp_path / "scan.npy")
    document = continued_from(Document((new_label(1),)), labels, ())
    _save(tmp_path / "scan.dinomed.json", volume, document)
    return tmp_path, volume, document, labels


def _save(path, volume, document):
    window = Window(0.0, 99.0)
    saved = SavedDocument(volume.fingerprint, volume.geometry, window, "", document)
    save_document(path, saved)


def _read(folder, *chosen):
    image, document = (str(folder / f"scan.{end}") for end in ("npy", "dinomed.json"))
    return FromDocument(image, document, chosen, Meaning.OBJECT).read()


def test_a_document_teaches_what_is_in_it(files):
    folder, _, _, labels = files
    volume, found, legend = _read(folder)
    assert volume.geometry.shape == SHAPE
    np.testing.assert_array_equal(found, labels)
    assert [label.name for label in legend] == ["Label 1", "Label 2"]
    _, joined, legend = _read(folder, "1+2")
    np.testing.assert_array_equal(joined, labels > 0)
    assert [label.name for label in legend] == ["Label 1 + Label 2"]


def test_a_proposal_that_nobody_touched_teaches_nothing(files):
    folder, volume, document, labels = files
    document, _ = with_names(document, (replace(new_label(3), name="guess"),))
    third = document.labels[-1].id
    document = with_proposals(document, {third: Mask.of(labels == 0, (0, 0, 0))})
    assert document.mask(third)
    _save(folder / "scan.dinomed.json", volume, document)
    _, found, _ = _read(folder)
    np.testing.assert_array_equal(found, labels)


def test_another_volumes_document_is_refused(files):
    folder, *_ = files
    np.save(folder / "scan.npy", np.random.default_rng(1).integers(0, 99, SHAPE))
    with pytest.raises(DocumentError, match="another volume"):
        _read(folder)

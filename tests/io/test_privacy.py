"""After a whole job on DICOM, the DICOM segmentation alone tells whose images they were."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed import headless
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.batch.lessons import Labelled, teach_model
from napari_dinomed.io import describe, read_volume, write_labels
from napari_dinomed.io.format import FIRST
from napari_dinomed.io.registry import label_suffixes
from napari_dinomed.report import measure, overlay_picture, write_picture
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.file import SavedDocument, save_document
from napari_dinomed.volume import NamedLabel
from tests.command import run
from tests.conftest import ball
from tests.io import made

SHAPE = (12, 32, 36)
# Upright, so that every format can hold the grid.
MATRIX = np.array([[0, 0, 1.0, -20], [0, 1.0, 0, -30], [2.0, 0, 0, -9], [0, 0, 0, 1.0]])
PATIENT = {
    "PatientName": "Quixote^Alonso",
    "PatientID": "LAMANCHA-1605",
    "PatientBirthDate": "15470929",
    "PatientAddress": "Barataria 7",
    "PatientComments": "tilts at windmills",
    "StudyDescription": "head of Quixote",
    "InstitutionName": "Toboso General",
}
PLACE = "rocinante ward"
SECRETS = [*PATIENT.values(), "Quixote", "Alonso", "1605", PLACE]


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / PLACE
    folder.mkdir()
    inside = ball(SHAPE, (6, 16, 18), 8, (2.0, 1.0, 1.0))
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    array = np.where(inside, 120, 20) + noise
    return made.write_dicom(folder / "series", array.astype(np.int16), MATRIX, **PATIENT)


def told_in(root):
    """Files below a folder that tell one of the secrets, by name or content."""
    found = {}
    for path in root.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if content[:2] == b"\x1f\x8b":
            content += gzip.decompress(content)
        content += str(path.relative_to(root)).encode()
        secrets = [secret for secret in SECRETS if secret.encode() in content]
        if secrets:
            found[path.name] = secrets
    return found


def test_nothing_that_is_written_names_the_patient(series, tmp_path, home, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    out.mkdir()
    volume = read_volume(series)
    print(*describe(series, FIRST).values())
    job = headless.prepare(volume, "filters")
    label = new_label(1, Meaning.OBJECT)
    prompts = Prompts().plus(Point((6, 16, 18), label.id))
    labels = job.segment((label,), prompts)
    assert labels.any()
    legend = (NamedLabel(1, "liver", (0.9, 0.3, 0.1)),)
    for suffix in label_suffixes():
        write_labels(out / f"labels{suffix}", labels, volume, legend)
    figures = measure(volume, labels, (label,))
    (out / "report.json").write_text(json.dumps(figures))
    picture = overlay_picture(volume, job.window, labels, (label,))
    write_picture(out / "overlay.png", picture)
    saved = SavedDocument(
        volume.fingerprint, volume.geometry, job.window, "filters", Document.begun()
    )
    save_document(out / "copy.dinomed.json", saved)
    Autosave(volume.fingerprint, series / "900", is_beside=False).write(saved)
    files = Labelled(str(series), str(out / "labels.nii.gz"))
    model = teach_model(
        [files], None, "filters", None, "auto", "cpu", lambda _: None, "probe"
    )
    model.write(out / "model.dinomed")

    captured = capsys.readouterr()
    for text in (captured.out, captured.err, caplog.text):
        assert not [secret for secret in SECRETS if secret in text]
    names = {path.name for path in out.iterdir()}
    assert len(names) == len(label_suffixes()) + 4
    assert any(home.rglob("*.json"))
    assert told_in(home) == {}
    # In the segmentations, what the standard asks for.
    named = [PATIENT[k] for k in ("PatientName", "PatientID", "PatientBirthDate")]
    asked = sorted([*named, "Quixote", "Alonso", "1605"])
    told = {name: sorted(secrets) for name, secrets in told_in(out).items()}
    assert told == {"labels.dcm": asked, "labels.labelmap.dcm": asked}


def test_a_run_over_a_folder_names_the_files_and_nobody(series, tmp_path, home):
    """Its tables say which volume each row is of: that is what they are for."""
    volume = read_volume(series)
    truth = tmp_path / "truth.nii.gz"
    write_labels(truth, (volume.array > 70).astype(np.uint8), volume)
    out = tmp_path / "out"
    for command in (
        ("teach", "--image", series, "--labels", truth, "--out", tmp_path / "m.dinomed"),
        ("apply", tmp_path / "m.dinomed", series, "--out", out),
    ):
        assert run(*command).returncode == 0
    assert (out / "series_labels.nii.gz").exists()
    assert told_in(home) == {}
    told = told_in(out)
    assert {secret for secrets in told.values() for secret in secrets} == {PLACE}
    named = {"results.csv", "review.json", "manifest.jsonl", "report.html"}
    assert set(told) == named


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_labels_have_nothing_of_a_nifti_but_its_grid(tmp_path, kind):
    image = kind(np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header["descrip"] = b"Quixote 1605"
    image.header["aux_file"] = b"Quixote.txt"
    image.header["intent_name"] = b"of Quixote"
    if kind is nib.Nifti1Image:
        image.header["db_name"] = b"Quixote"
        image.header["data_type"] = b"Quixote"
    for code, text in ((4, b"<Quixote/>"), (6, b"Quixote"), (2, b"Quixote " * 2)):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, text))
    path = Path(tmp_path / "a.nii")
    nib.save(image, path)
    assert b"Quixote" in path.read_bytes()
    volume = read_volume(path)
    write_labels(tmp_path / "l.nii", np.ones(volume.array.shape, np.uint8), volume)
    assert b"Quixote" not in (tmp_path / "l.nii").read_bytes()
    assert read_volume(tmp_path / "l.nii").legend is not None

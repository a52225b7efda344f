"""What is asked of a batch and cannot be: one line, or a row, and nothing is lost."""

from __future__ import annotations

import csv
import shutil

import pytest

from napari_dinomed.batch import labelling, lessons
from napari_dinomed.batch.lessons import Labelled, teach_model
from napari_dinomed.errors import ModelError
from napari_dinomed.features.filters import FilterEncoder
from tests.command import run


@pytest.fixture
def folder(cohort, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(cohort[0]))
    return cohort[0]


def test_a_file_that_a_table_names_and_is_not_there_is_a_row(folder, tmp_path):
    shutil.copy(folder / "002_image.nii.gz", tmp_path / "x.nii.gz")
    (tmp_path / "list.csv").write_text("missing.nii.gz\nx.nii.gz\n")
    out = tmp_path / "out"
    given = ("apply", folder / "m.dinomed", tmp_path / "list.csv", "--out", out)
    done = run(*given)
    assert done.returncode == 0
    assert "2 volumes, 1 of them failed" in done.stdout
    with (out / "results.csv").open() as file:
        errors = {
            row["image"].rpartition("/")[2]: row["error"] for row in csv.DictReader(file)
        }
    assert "There is no file" in errors["missing.nii.gz"]
    assert errors["x.nii.gz"] == ""
    # Once it is there, it is labelled too.
    shutil.copy(folder / "003_image.nii.gz", tmp_path / "missing.nii.gz")
    assert "2 volumes, 0 of them failed" in run(*given).stdout


def test_another_encoder_is_refused_before_any_volume_is_read(
    folder, tmp_path, monkeypatch
):
    def read(*_):
        raise AssertionError("a volume was read")

    monkeypatch.setattr(labelling, "read_volume", read)
    monkeypatch.setattr(FilterEncoder, "signature", "other filters")
    given = ("apply", folder / "m.dinomed", f"{folder}/00?_image.nii.gz", "--out")
    refused = run(*given, tmp_path / "out")
    assert refused.returncode == 1
    assert refused.stderr.count("which taught this model") == 1
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_a_label_that_no_volume_has_is_refused_before_any_is_encoded(folder, monkeypatch):
    def prepared(*_):
        raise AssertionError("a volume was encoded")

    monkeypatch.setattr(lessons, "prepare", prepared)
    files = (f"{folder}/000_image.nii.gz", f"{folder}/000_label.nii.gz")
    volumes = [Labelled(*files, chosen) for chosen in (("1", "9"), ("1+2",))]
    with pytest.raises(
        ModelError, match=r"none has 9\. There are: 1 \(Label 1\), 2"
    ) as said:
        teach_model(volumes, None, "filters", None, "auto", "cpu", None)
    assert "\n" not in str(said.value)


def test_a_label_that_one_volume_lacks_is_learnt_from_the_others(folder, monkeypatch):
    both = Labelled("a", "b", ("1", "2"))
    known = iter([{1: "Label 1"}, {2: "Label 2"}])
    monkeypatch.setattr(Labelled, "known", lambda self: next(known))
    monkeypatch.setattr(Labelled, "read", lambda self: (_ for _ in ()).throw(EOFError))
    with pytest.raises(EOFError):
        teach_model([both, both], None, "filters", None, "auto", "cpu", None)


def test_labels_of_a_file_are_known_by_their_numbers_and_names(folder):
    files = (f"{folder}/000_image.nii.gz", f"{folder}/000_label.nii.gz")
    assert Labelled(*files).known() == {1: "Label 1", 2: "Label 2"}

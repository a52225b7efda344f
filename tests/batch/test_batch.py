"""Folders of volumes: labelled one after another, never twice, never lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from napari_dinomed.batch import hands
from napari_dinomed.batch.hands import hands_of
from napari_dinomed.batch.held import held
from napari_dinomed.batch.inputs import find_sources, results_for
from napari_dinomed.batch.labelling import Labelling
from napari_dinomed.batch.run import MANIFEST, REPORT, RESULTS, Batch
from napari_dinomed.bench.metrics import dice
from napari_dinomed.cli import app
from napari_dinomed.errors import ClusterError, ReadError, WriteError
from napari_dinomed.io import Source
from napari_dinomed.io.journal import Journal
from napari_dinomed.taught import learners
from tests.command import run, run_apart
from tests.taught.conftest import SPACING


def _batch(folder, out):
    return Batch(Labelling(folder / "m.dinomed", out, "filters", None, "auto", "cpu"))


def _label(folder, out, sources):
    batch = _batch(folder, out)
    waiting = batch.waiting(results_for(find_sources(sources, out), out, ".nii.gz"))
    rows = list(batch.run(waiting, lambda event: None))
    return rows, batch.write_results()


def test_a_folder_is_labelled_on_the_files_own_grid(cohort, tmp_path):
    folder, truths = cohort
    rows, _ = _label(folder, tmp_path, [f"{folder}/00[23]_image.nii.gz"])
    assert [row.error for row in rows] == ["", ""]
    for seed in (2, 3):
        stored = nib.load(tmp_path / f"{seed:03}_image_labels.nii.gz")
        image = nib.load(folder / f"{seed:03}_image.nii.gz")
        np.testing.assert_array_equal(stored.affine, image.affine)
        labels = np.asarray(stored.dataobj).T
        assert dice(truths[seed] == 1, labels == 1) > 0.75
    with (tmp_path / RESULTS).open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4
    assert {row["label"] for row in table} == {"Label 1", "Label 2"}
    assert int(table[0]["voxels"]) == pytest.approx((truths[2] == 1).sum(), rel=0.3)
    assert table[0]["light"] in ("green", "yellow")
    page = (tmp_path / REPORT).read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "002_image.nii.gz" in page
    assert 'src="http' not in page
    assert table[0]["unit"] == "ml"
    assert float(table[0]["volume"]) == pytest.approx(
        int(table[0]["voxels"]) * np.prod(SPACING) / 1000, rel=1e-4
    )


def test_a_broken_volume_is_a_row_and_not_the_end(cohort, tmp_path):
    folder, _ = cohort
    sources = tmp_path / "in"
    sources.mkdir()
    shutil.copy(folder / "002_image.nii.gz", sources / "b.nii.gz")
    (sources / "a.nii.gz").write_bytes((sources / "b.nii.gz").read_bytes()[:2000])
    out = tmp_path / "out"
    rows, results = _label(folder, out, [f"{sources}/*.nii.gz"])
    assert [bool(row.error) for row in rows] == [True, False]
    assert len(results) == 2
    assert not (out / "a_labels.nii.gz").exists()
    # What failed is tried again; what is done is not.
    again, _ = _label(folder, out, [f"{sources}/*.nii.gz"])
    assert [row.source.endswith("a.nii.gz") for row in again] == [True]


@pytest.mark.parametrize("torn", [0, 40])
def test_killed_anywhere_it_goes_on_with_the_same_bytes(cohort, tmp_path, torn):
    folder, _ = cohort
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    pattern = [f"{folder}/00[23]_image.nii.gz"]
    _label(folder, whole, pattern)
    batch = _batch(folder, resumed)
    waiting = batch.waiting(results_for(find_sources(pattern, resumed), resumed, ".nii.gz"))
    first = next(batch.run(waiting, lambda event: None))
    assert not first.error
    manifest = resumed / MANIFEST
    if torn:
        # The line of the next volume was cut in its middle.
        with manifest.open("a") as file:
            file.write(json.dumps({"task": "x" * 100})[:torn])
    rows, results = _label(folder, resumed, pattern)
    assert len(rows) == 1
    assert len(results) == 2
    for name in ("002_image_labels.nii.gz", "003_image_labels.nii.gz"):
        ours, theirs = (nib.load(out / name) for out in (whole, resumed))
        np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
    for path in whole.glob("*.nii.gz"):
        assert (resumed / path.name).stat().st_size == path.stat().st_size


@pytest.mark.parametrize("moment", [(Journal, "note"), (Batch, "_put")])
def test_killed_between_a_result_and_its_line_nothing_is_lost(
    cohort, tmp_path, monkeypatch, moment
):
    folder, _ = cohort
    pattern = [f"{folder}/002_image.nii.gz"]

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*moment, killed)
        with pytest.raises(KeyboardInterrupt):
            _label(folder, tmp_path, pattern)
    assert not (tmp_path / "002_image_labels.nii.gz").exists()
    rows, results = _label(folder, tmp_path, pattern)
    assert len(rows) == (1 if moment[0] is Journal else 0)
    assert [row.error for row in results] == [""]
    assert (tmp_path / "002_image_labels.nii.gz").stat().st_size == results[0].written[0]


def test_workers_label_what_one_process_does_and_may_die(cohort, tmp_path):
    folder, _ = cohort
    alone, together = tmp_path / "alone", tmp_path / "together"
    pattern = [f"{folder}/00[0123]_image.nii.gz"]
    _label(folder, alone, pattern)
    with hands_of(2) as cluster:
        batch = _batch(folder, together)
        places = results_for(find_sources(pattern, together), together, ".nii.gz")
        rows = batch.run(batch.waiting(places), lambda event: None, cluster)
        done = [next(rows)]
        workers = psutil.Process().children(recursive=True)
        victim = next(one for one in workers if "spawn_main" in " ".join(one.cmdline()))
        victim.kill()
        done += rows
    assert [row.error for row in done] == [""] * 4
    assert len(batch.write_results()) == 4
    for path in alone.glob("*.nii.gz"):
        ours, theirs = nib.load(path), nib.load(together / path.name)
        np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)


def test_a_scheduler_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(hands, "_PATIENCE", 0.2)
    with pytest.raises(ClusterError, match="No scheduler answers at tcp"):
        hands.hands_of(1, "tcp://127.0.0.1:9").__enter__()


def test_one_run_at_a_time_in_a_folder(cohort, tmp_path):
    folder, _ = cohort
    sources = [f"{folder}/002_image.nii.gz"]
    with held(tmp_path), pytest.raises(WriteError, match=r"another run \(process \d+ on"):
        _label(folder, tmp_path, sources)
    assert not (tmp_path / MANIFEST).exists()
    rows, _ = _label(folder, tmp_path, sources)
    assert [row.error for row in rows] == [""]
    assert not list(tmp_path.glob(".running"))


def test_another_model_is_other_work(cohort, tmp_path):
    folder, _ = cohort
    pattern = [f"{folder}/002_image.nii.gz"]
    _label(folder, tmp_path, pattern)
    other = tmp_path / "other"
    other.mkdir()
    data = (folder / "m.dinomed").read_bytes()
    (other / "m.dinomed").write_bytes(data.replace(b"Label 1", b"Label 9"))
    rows, _ = _label(other, tmp_path, pattern)
    assert [row.measures[0].label for row in rows] == ["Label 9"]


def test_labels_that_somebody_corrected_are_not_replaced(cohort, tmp_path):
    folder, _ = cohort
    pattern = [f"{folder}/002_image.nii.gz"]
    _label(folder, tmp_path, pattern)
    place = tmp_path / "002_image_labels.nii.gz"
    place.write_bytes(b"corrected by hand")
    other = tmp_path / "other"
    other.mkdir()
    data = (folder / "m.dinomed").read_bytes()
    (other / "m.dinomed").write_bytes(data.replace(b"Label 1", b"Label 9"))
    (row,), _ = _label(other, tmp_path, pattern)
    assert "--overwrite" in row.error
    assert place.read_bytes() == b"corrected by hand"


def test_labels_that_somebody_corrects_during_a_run_are_not_replaced(cohort, tmp_path):
    folder, _ = cohort
    patterns = [f"{folder}/00{number}_image.nii.gz" for number in (2, 3)]
    _label(folder, tmp_path, patterns)
    other = tmp_path / "other"
    other.mkdir()
    data = (folder / "m.dinomed").read_bytes()
    (other / "m.dinomed").write_bytes(data.replace(b"Label 1", b"Label 9"))
    batch = _batch(other, tmp_path)
    pairs = results_for(find_sources(patterns, tmp_path), tmp_path, ".nii.gz")
    rows = batch.run(batch.waiting(pairs), lambda event: None)
    assert not next(rows).error
    place = tmp_path / "003_image_labels.nii.gz"
    place.write_bytes(b"corrected by hand")
    (late,) = rows
    assert "somebody may have corrected it" in late.error
    assert place.read_bytes() == b"corrected by hand"
    # Nor does the next run put those in their place that were made meanwhile.
    assert batch.waiting(pairs) == pairs[1:]
    (again,) = batch.run(pairs[1:], lambda event: None)
    assert again.error
    assert place.read_bytes() == b"corrected by hand"


def test_volumes_of_one_name_do_not_get_each_others_labels(cohort, tmp_path):
    folder, _ = cohort
    scans = []
    for number in (2, 3):
        scans.append(tmp_path / str(number) / "image.nii.gz")
        scans[-1].parent.mkdir()
        shutil.copy(folder / f"00{number}_image.nii.gz", scans[-1])
    out = tmp_path / "out"
    ((first,), _), ((second,), _) = (_label(folder, out, [str(one)]) for one in scans)
    kept = (out / "image_labels.nii.gz").read_bytes()
    assert f"labels of another volume, {scans[0]}" in second.error
    assert not first.error
    rows, (again, *_) = _label(folder, out, [str(scans[0])])
    assert not rows
    assert again == first
    assert (out / "image_labels.nii.gz").read_bytes() == kept


def test_results_tell_of_all_labels_in_the_folder(cohort, tmp_path):
    folder, _ = cohort
    for number in (2, 3):
        _label(folder, tmp_path, [f"{folder}/00{number}_image.nii.gz"])
    table = csv.DictReader((tmp_path / "results.csv").open())
    assert list(dict.fromkeys(row["labels"][:3] for row in table)) == ["003", "002"]


def test_what_is_no_volume_in_a_folder_is_a_row_or_passed_by(cohort, tmp_path):
    folder, _ = cohort
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(folder / "002_image.nii.gz", scans / "z.nii.gz")
    (scans / "again").symlink_to(scans)
    (scans / "gone.nii.gz").symlink_to(tmp_path / "nothing.nii.gz")
    os.mkfifo(scans / "pipe.nii.gz")
    odd = os.fsencode(scans) + b"/k\xff.nii.gz"
    shutil.copy(os.fsencode(folder / "002_image.nii.gz"), odd)
    rows, _ = _label(folder, tmp_path / "out", [str(scans)])
    told = {Path(row.source).name: bool(row.error) for row in rows}
    assert told == {
        "gone.nii.gz": True,
        "k\ufffd.nii.gz": False,
        "pipe.nii.gz": True,
        "z.nii.gz": False,
    }
    assert not _label(folder, tmp_path / "out", [str(scans / "z.nii.gz")])[0]


def test_of_several_time_points_the_first_is_labelled_which_is_said(cohort, tmp_path):
    folder, _ = cohort
    once = nib.load(folder / "002_image.nii.gz")
    twice = np.stack([once.get_fdata()] * 2, axis=-1)
    nib.save(nib.Nifti1Image(twice, once.affine), tmp_path / "twice.nii.gz")
    (row,), _ = _label(folder, tmp_path / "out", [str(tmp_path / "twice.nii.gz")])
    assert "It has 2 time points, of which the first was labelled." in row.warnings


def test_a_folder_of_series_is_as_many_volumes(shared_data, tmp_path):
    slices = sorted((shared_data / "ct_dicom").rglob("CT.*"))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for path in slices[:3]:
            shutil.copy(path, tmp_path / name)
    found = find_sources([str(tmp_path)], tmp_path / "out")
    assert [path.name for path in found] == ["first", "second"]


def test_a_volume_that_fails_oddly_is_a_row(cohort, tmp_path, monkeypatch):
    from napari_dinomed.batch import labelling

    def fails(*_):
        raise MemoryError("no room")

    folder, _ = cohort
    monkeypatch.setattr(labelling, "prepare", fails)
    (row,), _ = _label(folder, tmp_path, [f"{folder}/002_image.nii.gz"])
    assert row.error == "MemoryError: no room"


def test_two_volumes_never_get_one_name(tmp_path):
    for name in ("a/scan.nii.gz", "b/scan.nii.gz", "b/scan.nrrd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path / "out"
    sources = [Source((tmp_path / f"{one}/scan.nii.gz",)) for one in "ab"]
    names = [place.name for _, place in results_for(sources, out, ".nii.gz")]
    assert names == ["a_scan_labels.nii.gz", "b_scan_labels.nii.gz"]
    with pytest.raises(ReadError, match="one name, b_scan"):
        results_for([*sources, Source((tmp_path / "b/scan.nrrd",))], out, ".nii.gz")


def test_inputs_of_every_kind(cohort, tmp_path):
    folder, _ = cohort
    shutil.copy(folder / "002_image.nii.gz", tmp_path / "x.nii.gz")
    deep = tmp_path / "deep"
    deep.mkdir()
    shutil.copy(folder / "003_image.nii.gz", deep / "y.nii.gz")
    (tmp_path / "notes.txt").write_text("no volume")
    assert [p.name for p in find_sources([str(tmp_path)], tmp_path / "out")] == [
        "y.nii.gz",
        "x.nii.gz",
    ]
    table = tmp_path / "list.csv"
    table.write_text("path,age\nx.nii.gz,3\ndeep/y.nii.gz,4\n")
    found = find_sources([str(table)], tmp_path / "out")
    assert [path.name for path in found] == ["x.nii.gz", "y.nii.gz"]
    with pytest.raises(ReadError, match="found no"):
        find_sources([str(tmp_path / "nothing*")], tmp_path / "out")
    # Results of an earlier run are none of them.
    with pytest.raises(ReadError, match="no volume"):
        find_sources([str(deep)], deep)


def test_the_command_line_teaches_tells_and_applies(cohort, tmp_path, monkeypatch):
    folder, _ = cohort
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(folder))
    model = folder / "m.dinomed"
    told = run("model", "info", model)
    assert "Label 1" in told.stdout
    assert "filters" in told.stdout
    image = folder / "002_image.nii.gz"
    dry = run("apply", model, image, "--out", tmp_path / "out", "--dry-run")
    assert "002_image_labels.nii.gz" in dry.stdout
    assert not (tmp_path / "out").exists()
    done = run_apart("apply", model, image, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    again = run("apply", model, image, "--out", tmp_path / "out")
    assert "1 of them done" in again.stdout
    refused = run("teach", "--image", image, "--labels", image, "--out", model)
    assert refused.returncode == 1
    assert "there already" in " ".join(refused.stderr.split())
    other = run("apply", image, image, "--out", tmp_path / "out")
    assert "Expected a model" in other.stderr
    odd = run("apply", model, image, "--out", tmp_path / "odd", "--suffix", ".bogus")
    assert "Expected labels as one of" in " ".join(odd.stderr.split())
    assert not (tmp_path / "odd").exists()
    long = run("apply", model, "n" * 300 + ".nii.gz", "--out", tmp_path / "odd")
    assert "too long" in " ".join(long.stderr.split())
    (tmp_path / "broken.nii.gz").write_bytes(b"no volume")
    none = run("apply", model, tmp_path / "broken.nii.gz", "--out", tmp_path / "none")
    assert none.returncode == 1
    assert "1 of them failed" in none.stdout


def test_models_stand_side_by_side_and_are_tried_on_what_is_known(cohort, monkeypatch):
    folder, _ = cohort
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(folder))
    model, other = folder / "m.dinomed", folder / "other.dinomed"
    other.write_bytes(model.read_bytes().replace(b"Label 1", b"Label 9"))
    files = (f"{folder}/002_image.nii.gz", "--labels", f"{folder}/002_label.nii.gz")
    given = ("model", "compare", model, other, "--image", *files)
    done = CliRunner().invoke(app, [str(one) for one in given], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    rows = [line.split("│")[1:-1] for line in done.output.splitlines() if "│" in line]
    told = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}
    assert told["volumes"] == ["2", "2"]
    assert told["Label 1"][0].startswith("Dice ")
    assert told["Label 1"][1] == "–"
    tried = [cells for cells in rows if cells[0].strip() == "002_image.nii.gz"]
    assert float(tried[0][2]) > 0.75
    assert tried[0][3].strip() == "–"


def test_the_benchmark_of_a_cohort(cohort, tmp_path, monkeypatch):
    folder, _ = cohort
    figures, plot = tmp_path / "cohort.json", tmp_path / "cohort.png"
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(folder))
    monkeypatch.setattr(learners, "_LESSONS", 200)
    given = (
        *("bench", "cohort", "--images", f"{folder}/00?_image.nii.gz"),
        *("--labels", f"{folder}/00?_label.nii.gz", "--label", 1),
        *("--clicks", 1, "--most", 3, "--json", figures, "--plot", plot),
    )
    done = CliRunner().invoke(app, [str(one) for one in given])
    assert done.exit_code == 0, done.output
    rows = json.loads(figures.read_text())["cohort"]
    assert [row["taught"] for row in rows] == [0, 1, 2]
    assert rows[0]["proposed"] == 0
    assert rows[2]["proposed"] > 0.7
    assert rows[2]["with_memory"][-1] >= rows[2]["proposed"] - 0.05
    assert plot.read_bytes().startswith(b"\x89PNG")

"""Volumes that cannot be looked at, labels that cannot be told, stored features."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.errors import ReadError
from napari_dinomed.features.filters import FilterEncoder
from napari_dinomed.whole import gather
from napari_dinomed.whole.gather import read_gathered
from napari_dinomed.whole.model import read_whole_model
from napari_dinomed.whole.table import read_table
from tests.command import run

pytestmark = pytest.mark.usefixtures("few_choices")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eight small volumes, every other of them bright in a corner, and where that is."""
    folder = tmp_path_factory.mktemp("gather")
    random = np.random.default_rng(0)
    for number in range(8):
        grey = random.normal(60, 8, (3, 24, 24))
        grey[:, 8:14, 8:14] += 90 * (number % 2)
        np.save(folder / f"{number}.npy", grey.clip(0, 255).astype(np.uint8))
    corner = np.zeros((3, 24, 24), np.uint8)
    corner[:, 8:14, 8:14] = 1
    np.save(folder / "corner.npy", corner)
    np.save(folder / "nothing.npy", 0 * corner)
    (folder / "broken.npy").write_bytes(b"no volume")
    return folder


def _table(cohort, tmp_path, extra=(), roi=None):
    """A CSV of all volumes, and of more rows after them."""
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "bright", *(["roi"] if roi else [])])
        for number in range(8):
            volume = cohort / f"{number}.npy"
            writer.writerow([volume, number % 2, *([cohort / roi] if roi else [])])
        writer.writerows(extra)
    return path


def test_a_volume_that_fails_is_said_and_the_others_teach(cohort, tmp_path):
    broken = [(cohort / "broken.npy", 1), (cohort / "gone.npy", 0)]
    table = _table(cohort, tmp_path, broken)
    out, figures = tmp_path / "e.npz", tmp_path / "f.json"
    model = tmp_path / "m.dinowhole"
    for command in (
        ("embed", table, "--out", out),
        ("evaluate", table, "--json", figures),
        ("fit", table, "--out", model),
    ):
        done = run("volumes", *command)
        assert done.returncode == 1
        assert "gone.npy is not there" in done.stderr
        assert "broken.npy: " in done.stderr
        assert "2 of 10 volumes were left out" in done.stderr
    assert len(np.load(out)["features"]) == 8
    rows = json.loads(figures.read_text())["volumes"]
    assert {row["volumes"] for row in rows} == {8}
    assert read_whole_model(model).header.heads["bright"].figures.volumes == 8


def test_a_volume_that_fails_oddly_is_not_the_end(cohort, tmp_path, monkeypatch):
    embedded = gather.embedded

    def failing(row, eye, on_event):
        if row.volume.name == "3.npy":
            raise MemoryError("no room")
        return embedded(row, eye, on_event)

    monkeypatch.setattr(gather, "embedded", failing)
    out = tmp_path / "e.npz"
    done = run("volumes", "embed", _table(cohort, tmp_path), "--out", out)
    assert done.returncode == 1
    assert "3.npy: MemoryError: no room" in done.stderr
    assert len(np.load(out)["features"]) == 7


def test_where_no_volume_can_be_looked_at_nothing_is_written(tmp_path):
    (tmp_path / "t.csv").write_text("volume,ill\ngone,1\nlost,0\n")
    done = run("volumes", "embed", tmp_path / "t.csv", "--out", tmp_path / "e.npz")
    assert done.returncode == 1
    assert "None of 2 volumes" in done.stderr
    assert not (tmp_path / "e.npz").exists()


def test_a_label_that_cannot_be_told_is_said_and_the_others_are(cohort, tmp_path):
    table, model = _table(cohort, tmp_path), tmp_path / "m.dinowhole"
    lines = table.read_text().splitlines()
    lines = [f"{lines[0]},always", *(f"{line},1" for line in lines[1:])]
    table.write_text("\n".join(lines))
    done = run("volumes", "fit", table, "--out", model)
    assert done.returncode == 0
    assert "always is left out. Expected at least" in done.stderr
    assert list(read_whole_model(model).header.heads) == ["bright"]
    table.write_text(table.read_text().replace("bright", "patient"))
    done = run("volumes", "evaluate", table)
    assert done.returncode == 1
    assert "None of the labels" in done.stderr


def test_labels_that_make_no_sense_are_said_before_volumes_are_read(
    cohort, tmp_path, monkeypatch
):
    monkeypatch.setattr(gather, "embedded", None)
    table = _table(cohort, tmp_path, [(cohort / "gone.npy", "0.5")])
    done = run("volumes", "evaluate", table)
    assert done.returncode == 1
    assert "'bright', got '0.5' for" in done.stderr


def test_within_a_region_of_interest(cohort, tmp_path):
    table = _table(cohort, tmp_path, roi="corner.npy")
    model, out = tmp_path / "m.dinowhole", tmp_path / "p.csv"
    done = run("volumes", "fit", table, "--out", model)
    assert done.returncode == 0, done.stderr
    assert run("volumes", "predict", model, table, "--out", out).returncode == 0
    told = [float(row["bright"]) for row in csv.DictReader(out.open())]
    assert min(told[1::2]) > 0.5 > max(told[::2])
    done = run("volumes", "predict", model, cohort / "1.npy", "--out", out)
    assert done.returncode == 1
    assert "taught with a region of interest" in done.stderr
    table = _table(cohort, tmp_path, roi="nothing.npy")
    done = run("volumes", "embed", table, "--out", tmp_path / "e.npz")
    assert "nothing.npy has no label" in done.stderr


def test_another_encoder_is_refused_before_a_volume_is_read(cohort, tmp_path, monkeypatch):
    model, out = tmp_path / "m.dinowhole", tmp_path / "p.csv"
    assert run("volumes", "fit", _table(cohort, tmp_path), "--out", model).returncode == 0
    monkeypatch.setattr(FilterEncoder, "signature", "of other filters")
    monkeypatch.setattr(gather, "embedded", None)
    done = run("volumes", "predict", model, cohort / "1.npy", "--out", out)
    assert done.returncode == 1
    assert "Expected features of filters, which taught this model" in done.stderr
    assert not out.exists()


def test_a_prediction_where_all_fail_has_failed(cohort, tmp_path):
    model, out = tmp_path / "m.dinowhole", tmp_path / "p.csv"
    assert run("volumes", "fit", _table(cohort, tmp_path), "--out", model).returncode == 0
    broken = cohort / "broken.npy"
    assert run("volumes", "predict", model, broken, "--out", out).returncode == 1
    assert next(csv.DictReader(out.open()))["error"]
    tiles = ("--tile", 32, "--out", out)
    done = run("volumes", "predict", model, broken, cohort / "1.npy", *tiles)
    assert done.returncode == 0
    assert "1 of them failed" in done.stdout


@pytest.fixture
def stored(cohort, tmp_path):
    """A table, and a file of what its volumes look like."""
    table, features = _table(cohort, tmp_path), tmp_path / "e.npz"
    assert run("volumes", "embed", table, "--out", features).returncode == 0
    return table, features


def test_stored_features_teach_as_the_volumes_do(stored, tmp_path, monkeypatch):
    table, features = stored
    anew, again = tmp_path / "anew.dinowhole", tmp_path / "again.dinowhole"
    assert run("volumes", "fit", table, "--out", anew).returncode == 0
    monkeypatch.setattr(gather, "embedded", None)
    done = run("volumes", "fit", table, "--features", features, "--out", again)
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == anew.read_bytes()
    figures = tmp_path / "f.json"
    given = ("--features", features, "--encoder", "filters", "--json", figures)
    assert run("volumes", "evaluate", table, *given).returncode == 0
    rows = json.loads(figures.read_text())["volumes"]
    assert all(row["encoder"] == "filters" for row in rows)


def test_a_volume_that_was_not_stored_is_left_out(stored, cohort, tmp_path):
    _, features = stored
    table = _table(cohort, tmp_path, [(cohort / "corner.npy", 1)])
    model = tmp_path / "m.dinowhole"
    done = run("volumes", "fit", table, "--features", features, "--out", model)
    assert done.returncode == 1
    assert "corner.npy: e.npz has no features of it" in done.stderr
    assert read_whole_model(model).header.heads["bright"].figures.volumes == 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--window", "lung"), "was seen through"),
        (("--side", 64), "are of one encoder, at one side"),
        (("--encoder", "filters", "--encoder", "dinov3-s"), "are of one encoder"),
    ],
)
def test_stored_features_are_what_was_asked_for(stored, given, said):
    table, features = stored
    done = run("volumes", "evaluate", table, "--features", features, *given)
    assert done.returncode == 1
    assert said in done.stderr


def test_stored_features_of_another_encoder_are_refused(stored, monkeypatch):
    table, features = stored
    monkeypatch.setattr(FilterEncoder, "signature", "of other filters")
    given = ("--features", features, "--encoder", "filters")
    done = run("volumes", "evaluate", table, *given)
    assert done.returncode == 1
    assert "or of other weights" in done.stderr


def test_stored_features_that_were_pooled_otherwise_are_refused(stored, monkeypatch):
    table, features = stored
    monkeypatch.setattr(gather, "POOLING", gather.POOLING + 1)
    done = run("volumes", "evaluate", table, "--features", features)
    assert done.returncode == 1
    assert "pooled by another version" in done.stderr


def test_a_file_that_is_damaged_or_another_is_refused(stored, tmp_path):
    table, features = stored
    rows = read_table(table)
    arrays = dict(np.load(features))
    for wrong in (
        {"features": arrays["features"][1:]},
        {"features": np.full_like(arrays["features"], np.nan)},
        {"sight": np.array("{}")},
        {"places": np.array([None])},
    ):
        np.savez(features, **(arrays | wrong))
        with pytest.raises(ReadError, match="volumes embed"):
            read_gathered(features, rows, lambda row, reason: None)
    features.write_bytes(features.read_bytes()[:300])
    for path in (features, tmp_path / "gone.npz"):
        with pytest.raises(ReadError, match=path.name):
            read_gathered(path, rows, lambda row, reason: None)


def test_features_are_found_wherever_the_table_is_named_from(stored, monkeypatch):
    table, features = stored
    rows = read_table(table)
    monkeypatch.chdir(rows[0].volume.parent)
    near = tuple(
        replace(row, volume=row.volume.relative_to(row.volume.parent)) for row in rows
    )
    failed = []
    seen = read_gathered(features, near, lambda row, reason: failed.append(row))
    assert not failed
    assert seen.rows == near

"""Labels of whole volumes: tables, features, readouts, files, and the commands."""

from __future__ import annotations

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.engine.messages import TellVolume
from napari_dinomed.errors import ModelError, ReadError
from napari_dinomed.headless import VOLUME, prepare
from napari_dinomed.io import read_volume
from napari_dinomed.volume import Geometry, Volume
from napari_dinomed.whole.model import (
    Head,
    Header,
    WholeModel,
    arrays_of,
    read_whole_model,
)
from napari_dinomed.whole.pooling import pooled
from napari_dinomed.whole.readout import READOUTS, figures_of, fit, out_of_fold
from napari_dinomed.whole.table import read_table, truths_of
from tests.command import run
from tests.conftest import ball

SHAPE = (10, 32, 32)


def _scan(random, is_ill):
    """A volume of noise; with a bright ball in it where it is ill."""
    grey = random.normal(60, 8, SHAPE)
    place = tuple(random.integers(9, 23, 2))
    if is_ill:
        grey[ball(SHAPE, (5, *place), 4, (1, 1, 1))] += 90
    return grey.clip(0, 255).astype(np.uint8), place


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A table of twelve small volumes, two of each patient, half of them ill."""
    folder = tmp_path_factory.mktemp("whole")
    random = np.random.default_rng(0)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "patient", "ill", "site"])
        for number in range(12):
            is_ill = number // 2 % 2
            name = f"{number:02}.nii.gz"
            array, _ = _scan(random, is_ill)
            nib.save(nib.Nifti1Image(array.T, np.eye(4)), folder / name)
            site = "" if number == 3 else "north" if is_ill else "south"
            writer.writerow([name, number // 2, is_ill, site])
    return folder


def test_a_table_is_read_and_an_empty_cell_is_not_known(cohort):
    truths = truths_of(read_table(cohort / "table.csv"))
    assert list(truths) == ["ill", "site=north", "site=south"]
    np.testing.assert_array_equal(truths["ill"][:4], [0, 0, 1, 1])
    assert np.isnan(truths["site=north"][3])
    assert truths["site=north"][2] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,ill\na.nii,1\n", "one of them 'volume'"),
        ("volume,ill\n", "a line for each volume"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ReadError, match=said):
        read_table(path)


def test_a_region_keeps_to_the_tokens_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path))
    random = np.random.default_rng(0)
    array, (y, x) = _scan(random, True)
    volume = Volume(array, Geometry.from_spacing(SHAPE, (1, 1, 1), "mm"), "MR")
    seen = prepare(volume, "filters", planes="one").seen
    bank, channels = seen.banks[0], seen.channels
    mask = ball(SHAPE, (5, y, x), 3, (1, 1, 1))
    everywhere = pooled(bank, channels)
    assert everywhere.shape == (2 * channels,)
    np.testing.assert_allclose(
        pooled(bank, channels, np.ones(SHAPE, bool)), everywhere, atol=1e-4
    )
    inside, outside = pooled(bank, channels, mask), pooled(bank, channels, ~mask)
    apart = np.linalg.norm(inside - everywhere)
    assert apart > 3 * np.linalg.norm(outside - everywhere)


def _made_up(count=60):
    random = np.random.default_rng(1)
    belongs = np.arange(count) % 3 == 0
    features = random.normal(0, 1, (count, 8)).astype(np.float32)
    features[belongs, 2] += 4
    return features, belongs, np.arange(count) // 2


@pytest.mark.parametrize("readout", READOUTS)
def test_what_can_be_told_is_told_and_what_cannot_is_not(readout):
    features, belongs, patients = _made_up()
    one = figures_of("ill", features, belongs.astype(float), patients, readout)
    assert one.auroc > 0.8
    assert one.low < one.auroc < one.high <= 1
    assert one.auprc > one.positive / one.volumes + 0.2
    assert 0.25 < one.permuted < 0.75
    noise = np.random.default_rng(2).normal(0, 1, features.shape)
    by_chance = figures_of("ill", noise, belongs.astype(float), patients, readout)
    assert by_chance.auroc < 0.7


def test_volumes_of_a_patient_are_never_divided():
    """Each patient's two volumes are twins: were one to teach, the other were known."""
    random = np.random.default_rng(0)
    features = np.repeat(random.normal(0, 1, (20, 30)), 2, axis=0)
    belongs = np.repeat(random.permutation(20) < 10, 2)
    told = out_of_fold("ill", features, belongs, np.repeat(np.arange(20), 2), "knn")
    leaked = out_of_fold("ill", features, belongs, np.arange(40), "knn")
    right = [((one > 0.5) == belongs).mean() for one in (told, leaked)]
    assert right[1] > right[0] + 0.15


@pytest.mark.parametrize("readout", READOUTS)
def test_a_file_says_what_was_fitted(tmp_path, readout):
    features, belongs, patients = _made_up()
    fitted = fit("ill", features, belongs, patients, readout)
    arrays, neighbours = arrays_of("ill", fitted, features, belongs, np.arange(1, 61))
    figures = figures_of("ill", features, belongs.astype(float), patients, readout)
    sight = _sight()
    header = Header(sight, {"ill": Head(readout, neighbours, figures)}, is_within=False)
    path = tmp_path / "m.dinowhole"
    WholeModel(header, arrays).write(path)
    again = read_whole_model(path)
    others = np.random.default_rng(5).normal(0, 1, (12, 8))
    np.testing.assert_allclose(
        again.predict("ill", others), fitted.predict_proba(others)[:, 1], atol=1e-3
    )
    assert again.header == header
    assert "no region" in again.refusal(is_within=True)
    assert again.refusal(is_within=False) is None
    for name, array in arrays.items():
        for cut in (array[:-1], array[None], array.astype(np.float16)):
            WholeModel(header, arrays | {name: cut}).write(path)
            with pytest.raises(ModelError, match=r"m\.dinowhole is damaged"):
                read_whole_model(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match="cannot be read"):
        read_whole_model(path)


def _sight():
    from napari_dinomed.taught.header import Sight
    from napari_dinomed.volume import Window

    return Sight("filters", "abc", (0,), Window(0, 1), "MR", (1.0, 1.0, 1.0))


def test_one_kind_alone_cannot_teach():
    features, belongs, patients = _made_up()
    with pytest.raises(ModelError, match=r"[23] patients with ill and [23] without"):
        fit("ill", features, np.zeros_like(belongs), patients, "probe")


def test_the_commands_tell_who_is_ill(cohort, tmp_path):
    table, figures = cohort / "ill.csv", tmp_path / "f.json"
    lines = (cohort / "table.csv").read_text().splitlines()
    table.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    done = run("volumes", "evaluate", table, "--json", figures)
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text())["volumes"]
    assert [row["readout"] for row in rows] == ["knn", "probe"]
    assert all(row["auroc"] > 0.9 for row in rows)
    model, out = tmp_path / "m.dinowhole", tmp_path / "p.csv"
    assert run("volumes", "fit", table, "--out", model).returncode == 0
    (tmp_path / "broken.nii.gz").write_bytes(b"no volume")
    scans = (cohort / "00.nii.gz", cohort / "02.nii.gz", tmp_path / "broken.nii.gz")
    done = run("volumes", "predict", model, *scans, "--out", out)
    assert "1 of them failed" in done.stdout
    told = {row["volume"][-9:]: row for row in csv.DictReader(out.open())}
    assert float(told["00.nii.gz"[-9:]]["ill"]) < 0.5 < float(told["02.nii.gz"]["ill"])
    assert next(row["error"] for row in told.values() if row["error"])
    kept = tmp_path / "e.npz"
    assert run("volumes", "embed", table, "--out", kept).returncode == 0
    assert np.load(kept)["features"].shape[0] == 12


def test_results_are_not_written_over_what_they_are_made_of(cohort, tmp_path):
    table = cohort / "own.csv"
    lines = (cohort / "table.csv").read_text().splitlines()
    table.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    before, model = table.read_bytes(), tmp_path / "m.dinowhole"
    scan = cohort / "00.nii.gz"
    voxels = scan.read_bytes()
    assert run("volumes", "fit", table, "--out", model).returncode == 0
    for command in (
        ("predict", model, table, "--out", table),
        ("predict", model, scan, "--out", scan),
        ("embed", table, "--out", table),
        ("evaluate", table, "--json", scan),
        ("evaluate", table, "--plot", scan),
    ):
        done = run("volumes", *command)
        assert done.returncode != 0
        assert "which was read" in done.stderr or "a name that ends in" in done.stderr
    assert table.read_bytes() == before
    assert scan.read_bytes() == voxels


def test_the_engine_says_of_an_open_volume_what_the_command_does(cohort, tmp_path):
    model, out = tmp_path / "m.dinowhole", tmp_path / "p.csv"
    table, scan = cohort / "table.csv", cohort / "02.nii.gz"
    assert run("volumes", "fit", table, "--out", model).returncode == 0
    assert run("volumes", "predict", model, scan, "--out", out).returncode == 0
    (row,) = csv.DictReader(out.open())
    job = prepare(read_volume(scan), "filters")
    said = job.engine.run(TellVolume(VOLUME, str(model)))
    assert [one.label for one in said.labels] == ["ill", "site=north", "site=south"]
    for one in said.labels:
        assert one.probability == pytest.approx(float(row[one.label]), abs=1e-4)
    first = said.labels[0].similar[0]
    assert (first.row, first.belongs) == (3, True)
    assert first.likeness == pytest.approx(1, abs=1e-4)
    assert said.labels[1].similar[0].row == 3
    assert said.warnings == ()


def test_what_another_encoder_taught_or_a_region_is_refused(cohort, tmp_path):
    job = prepare(read_volume(cohort / "02.nii.gz"), "filters")
    for sight, is_within, why in (
        (_sight(), False, "which taught this model"),
        (job.seen.sight, True, "with a region of interest"),
    ):
        WholeModel(Header(sight, {}, is_within), {}).write(tmp_path / "m.dinowhole")
        with pytest.raises(ModelError, match=why):
            job.engine.run(TellVolume(VOLUME, str(tmp_path / "m.dinowhole")))

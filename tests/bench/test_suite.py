"""The benchmark on made-up scans: clicks, baselines, slices, transfer, a report."""

from __future__ import annotations

import json

import pytest

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.case import CaseFiles
from napari_dinomed.bench.report import write_report
from napari_dinomed.bench.suite import (
    PRODUCT,
    Setup,
    as_json,
    measure_files,
    measure_labels,
    measure_transfer,
    short_name,
)


def _quiet(event):
    del event


@pytest.fixture
def files(two_scans):
    image, labels = two_scans[0]
    return CaseFiles("ball", str(image), str(labels), group="balls")


def test_the_product_comes_first_and_beats_what_others_do(files):
    results = measure_files(files, Setup(clicks=3), True, _quiet)
    assert [result.method for result in results] == [
        PRODUCT,
        "cosine to the mean prompt",
        "k-NN alone",
        "filters and forest",
        "walker on grey values",
    ]
    figures = as_json(results)
    assert len(figures["dice"]) == 3
    assert figures["dice"][-1] > 0.9
    assert len(figures["baselines"]) == 4
    for other in figures["baselines"]:
        assert 0 <= other["dice"][-1] <= figures["dice"][-1] + 0.01


def test_jittered_runs_are_averaged_and_kept(files):
    (result,) = measure_files(files, Setup(clicks=2, seeds=2), False, _quiet)
    assert len(result.runs) == 2
    assert result.runs[0].clicks != result.runs[1].clicks
    halves = [run.dice[0] / 2 for run in result.runs]
    assert result.mean.dice[0] == pytest.approx(sum(halves))
    assert len(result.as_json()["runs"]) == 2


def test_figures_name_no_folder():
    assert (
        short_name("file:/home/someone/weights/vit.safetensors") == "file:vit.safetensors"
    )
    assert short_name("dinov3-s") == "dinov3-s"


def test_painted_slices_label_the_others(files):
    rows = measure_labels(files, Setup(), (1, 2), _quiet)
    assert [row["slices"] for row in rows] == [1, 2]
    assert rows[1]["dice"] > 0.8
    assert 0 <= rows[1]["forest"] <= 1


def test_labels_of_one_volume_label_another(files, two_scans):
    image, labels = two_scans[1]
    pair = ((str(image), str(labels)),)
    source = CaseFiles("balls", files.image, files.labels, targets=pair)
    (row,) = measure_transfer(source, Setup(), _quiet)
    assert row["volume"] == "image1.nii"
    assert row["dice"] > 0.5


def test_a_report_holds_tables_curves_and_pictures(files, two_scans, tmp_path):
    image, labels = two_scans[1]
    cases = [
        files,
        CaseFiles("alike", str(image), str(labels), meaning=Meaning.ALL_LIKE_THIS),
        CaseFiles("hidden", str(image), str(labels), credit="Secret.", pictured=False),
        CaseFiles("slices", str(image), str(labels), task="labels"),
        CaseFiles(
            "moved",
            files.image,
            files.labels,
            task="transfer",
            targets=((str(image), str(labels)),),
        ),
    ]
    folder = tmp_path / "report"
    path = write_report(folder, cases, [Setup(clicks=2, seeds=1)], True, _quiet)
    text = path.read_text(encoding="utf-8")
    for part in ("| ball |", "| alike |", "| slices |", "moved: image1.nii", "balls"):
        assert part in text
    for name in ("ball.png", "alike.png", "curves-1.png"):
        assert (folder / name).stat().st_size > 1000
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert figures[0]["encoder"] == "filters"
    assert len(figures[0]["cases"]) == 3
    assert not (folder / "hidden.png").exists()
    assert "Secret. Its licence" in text
    assert str(tmp_path) not in text

"""A suite of adapters: every figure is kept as it comes, and a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from typer.testing import CliRunner

from napari_dinomed.adapt import judge, painted
from napari_dinomed.bench.adapter_sets import Setup, Task, load_sets, tasks_of
from napari_dinomed.bench.adapters import (
    TRIAL,
    Row,
    compared,
    read_rows,
    run_task,
    run_tasks,
)
from napari_dinomed.errors import ReadError
from napari_dinomed.features import backbone
from napari_dinomed.volume import Geometry
from tests.adapt.conftest import grain, weights  # noqa: F401 - a fixture

SUITE = """
[[set]]
name = "half, of grain"
image = "0.ome.tif"
expert = "0-labels.ome.tif"
labels = { streaks = "1" }
along = "slices"
slices = 2
sides = [0, 64]
reads = ["probe", "clicks"]
[set.other]
name = "grain on MR"
image = "1.nii.gz"
labels = "1-labels.nii.gz"
label = "1"

[[set]]
name = "cohort"
labels = { streaks = "1" }
taught = [["0.ome.tif", "0-labels.ome.tif"], ["2.ome.tif", "2-labels.ome.tif"]]
measured = [["3.ome.tif", "3-labels.ome.tif"]]
reads = ["probe", "proposals"]

[[set]]
name = "shuffled"
image = "0.ome.tif"
expert = "0-labels.ome.tif"
labels = { streaks = "1" }
along = "slices"
slices = 2
shuffled = true
reads = []
"""


@pytest.fixture
def small(monkeypatch):
    """Readouts as small as the volumes, one precision for all."""
    monkeypatch.setattr(judge, "_PER_CLASS", {"probe": 300, "knn": 300})
    monkeypatch.setattr(painted, "_FOLDS", 2)
    monkeypatch.setattr(backbone, "settled_precision", lambda device, model, describe: None)


@pytest.fixture
def suite(tmp_path):
    from napari_dinomed.io import write_image, write_labels

    for number, suffix in enumerate(("ome.tif", "nii.gz", "ome.tif", "ome.tif")):
        lesson = grain(number, 4)
        if suffix == "nii.gz":
            millimetres = Geometry.from_spacing(lesson.labels.shape, (3.0, 1.0, 1.0), "mm")
            volume = replace(lesson.volume, geometry=millimetres)
            lesson = replace(lesson, volume=volume)
        image, labels = (tmp_path / f"{number}{kind}.{suffix}" for kind in ("", "-labels"))
        write_image(image, lesson.volume.array, lesson.volume)
        write_labels(labels, lesson.labels, lesson.volume)
    (tmp_path / "suite.toml").write_text(SUITE)
    return tmp_path / "suite.toml"


def _setup(suite, weights):  # noqa: F811
    out = suite.parent / "out"
    out.mkdir(exist_ok=True)
    return Setup(load_sets(suite), weights, "cpu", out)


def test_seed_by_seed_and_frozen_only_where_seeds_differ(suite):
    tasks = tasks_of(load_sets(suite), 2, [5])
    half, cohort = "half, of grain", "cohort"
    assert tasks == [
        *(Task(half, side, 0, lessons) for side in (0, 64) for lessons in (0, 5)),
        *(Task(cohort, 0, 0, lessons) for lessons in (0, 5)),
        Task("shuffled", 0, 0, 5),
        *(Task(half, side, 1, lessons) for side in (0, 64) for lessons in (0, 5)),
        Task(cohort, 0, 1, 5),
        Task("shuffled", 0, 1, 5),
    ]


def test_halves_are_read_and_clicked_and_another_kind_is_told(suite, weights, small):  # noqa: F811
    setup = _setup(suite, weights)
    for lessons in (0, 1):
        run_task(setup, Task("half, of grain", 64, 0, lessons))
    rows = read_rows(setup.rows)
    read = ["streaks, probe", "streaks, knn"]
    clicks = [f"streaks, {n}" for n in ("1 click", "5 clicks", "10 clicks")]
    others = [f"grain on MR, {n}" for n in ("1 click", "5 clicks", "10 clicks")]
    hows = [*read, *clicks, *others, "done"]
    assert [row.how for row in rows if not row.task.lessons] == hows
    assert [row.how for row in rows if row.task.lessons] == [TRIAL, *hows]
    told = next(row.note for row in rows if row.task.lessons and row.how == others[0])
    assert "adapted on EM, and this is" in told
    assert all(0 <= row.value <= 1 for row in rows if row.how != TRIAL)
    lines = {line.how: line for line in compared(rows)}
    assert lines[read[0]].gain == pytest.approx(
        lines[read[0]].adapted[0] - lines[read[0]].frozen[0]
    )
    assert lines[TRIAL].gain is None
    assert "better" in lines[TRIAL].note


def test_a_cohort_is_read_and_proposed(suite, weights, small):  # noqa: F811
    setup = _setup(suite, weights)
    run_task(setup, Task("cohort", 0, 0, 1))
    found = {row.how: row.value for row in read_rows(setup.rows)}
    assert set(found) == {
        *(TRIAL, "streaks, probe", "streaks, knn", "streaks, proposed", "done")
    }


def test_a_shuffled_slice_has_what_belongs_on_the_next():
    import numpy as np

    from napari_dinomed.bench.adapting import painted_of
    from napari_dinomed.bench.case import Case
    from napari_dinomed.bench.labels import labelled_slices

    lesson = grain(0)
    case = Case(lesson.volume, lesson.labels == 1)
    right, wrong = (painted_of(case, 3, shuffled=way).truth for way in (False, True))
    places = np.flatnonzero(right.any((1, 2)))
    assert len(places) == 3
    np.testing.assert_array_equal(right[places[[1, 2, 0]]], wrong[places])
    assert labelled_slices(case.truth, 3) != labelled_slices(case.truth, 3, seed=1)


def test_what_is_done_is_not_done_again_and_failures_are_told(suite, weights):  # noqa: F811
    """In processes of their own, one of which has no file to read."""
    setup = _setup(suite, weights)
    (suite.parent / "3.ome.tif").unlink()
    tasks = [Task("shuffled", 0, 0, 1), Task("cohort", 0, 0, 0)]
    failed, done = sorted(run_tasks(setup, tasks, 2), key=str)
    assert done == tasks[0]
    assert "3.ome.tif" in failed
    trial = next(row for row in read_rows(setup.rows) if row.how == TRIAL)
    again = list(run_tasks(setup, tasks, 1))
    assert [str(one) for one in again] == [failed]
    assert trial in read_rows(setup.rows)


def test_time_that_is_up_ends_it(suite, weights):  # noqa: F811
    setup = _setup(suite, weights)
    (said,) = run_tasks(setup, [Task("cohort", 0, 0, 1)], 1, seconds=0.1)
    assert said.startswith("Stopped, as time is up")
    assert read_rows(setup.rows) == []


def test_the_command_prints_what_is_kept(suite, weights):  # noqa: F811
    from napari_dinomed.cli import app

    setup = _setup(suite, weights)
    tasks = tasks_of(setup.sets, 1, [2])
    rows = [Row(task, "done", 0.0, 1.0) for task in tasks]
    for task in tasks[:2]:
        value = 0.625 if task.lessons else 0.5
        rows.append(Row(task, "streaks, probe", value, 1.0))
    setup.rows.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    command = ["bench", "adapters", "--suite", suite, "--encoder", weights]
    command += ["--out", setup.folder, "--seeds", 1, "--lessons", 2]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.exception
    assert "+0.125" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no set"),
        ("[[set", "Expected TOML"),
        ('[[set]]\nname = "a"', "labels"),
    ],
)
def test_a_suite_that_cannot_be_read_is_told(tmp_path, text, said):
    path = tmp_path / "suite.toml"
    path.write_text(text)
    with pytest.raises(ReadError, match=said):
        load_sets(path)
    with pytest.raises(ReadError, match="Cannot read the suite"):
        load_sets(tmp_path / "none.toml")

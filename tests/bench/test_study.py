"""Does bigger or finer help: every combination is a row, and what it costs is told."""

from __future__ import annotations

import json

import pytest

from napari_dinomed.bench.study import Combination, combinations
from napari_dinomed.errors import ReadError
from tests.adapt.conftest import grain, weights  # noqa: F401 - a fixture


def test_filters_have_planes_only_and_of_these_one():
    made = combinations(["filters", "dinov3-s"], [256, 512], [1], ["one", "three"])
    assert made == [
        Combination("filters", "one"),
        Combination("dinov3-s@256x1", "one"),
        Combination("dinov3-s@256x1", "three"),
        Combination("dinov3-s@512x1", "one"),
        Combination("dinov3-s@512x1", "three"),
    ]
    assert combinations(["dinov3-s"], [], [], ["one"]) == [Combination("dinov3-s", "one")]
    with pytest.raises(ReadError, match="given by --sides"):
        combinations(["dinov3-s@512"], [256], [], ["one"])


def test_the_command_has_a_row_for_each_and_draws_them(weights, tmp_path):  # noqa: F811
    from typer.testing import CliRunner

    from napari_dinomed.cli import app
    from napari_dinomed.io import write_image, write_labels

    lesson = grain(0)
    write_image(tmp_path / "image.ome.tif", lesson.volume.array, lesson.volume)
    write_labels(tmp_path / "labels.ome.tif", lesson.labels, lesson.volume)
    command = ["bench", "study", "--image", tmp_path / "image.ome.tif"]
    command += ["--labels", tmp_path / "labels.ome.tif", "--encoders", "filters"]
    command += ["--encoders", weights, "--sides", 64, "--sides", 128, "--blocks", 2]
    command += ["--along", "slices", "--slices", 2, "--json", tmp_path / "study.json"]
    command += ["--plot", tmp_path / "study.png"]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.exception
    rows = json.loads((tmp_path / "study.json").read_text())["study"]
    assert [(row["encoder"], row["side"], row["blocks"]) for row in rows] == [
        ("filters", None, None),
        ("random", 64, 2),
        ("random", 128, 2),
    ]
    # Streaks along rows and along diagonals are what filters of edges tell.
    assert rows[0]["dice"] > 0.7
    coarse, fine = rows[1:]
    assert fine["megabytes"] == pytest.approx(4 * coarse["megabytes"], rel=0.01)
    assert all(row["seconds"] > 0 for row in rows)
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")

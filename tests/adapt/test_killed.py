"""What becomes of a run whose process is killed, and of labels that do not fit."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner

from napari_dinomed.cli import app
from napari_dinomed.features import backbone
from napari_dinomed.features.adapter import read_adapter
from tests.adapt.conftest import grain

LESSONS = 12
# Seconds that a process may take to its first epoch on a machine that is busy.
PATIENCE = 240


# The one that is faster is found by the clock; here it is the same each time.
PROGRAM = """
from napari_dinomed.cli import main
from napari_dinomed.features import backbone
backbone.settled_precision = lambda device, model, describe: None
main()
"""


@pytest.fixture(autouse=True)
def one_precision(monkeypatch):
    monkeypatch.setattr(backbone, "settled_precision", lambda device, model, describe: None)


@pytest.fixture
def files(tmp_path):
    from napari_dinomed.io import write_image, write_labels

    lesson = grain(0, 2)
    image, labels = tmp_path / "image.ome.tif", tmp_path / "labels.ome.tif"
    write_image(image, lesson.volume.array, lesson.volume)
    write_labels(labels, lesson.labels, lesson.volume)
    return ["--image", str(image), "--labels", str(labels)]


def _adapt(files, weights, out, home):
    command = ["adapt", *files, "--encoder", weights, "--out", str(out)]
    command += ["--lessons", str(LESSONS), "--rank", "2", "--device", "cpu"]
    return command, {"NAPARI_DINOMED_HOME": str(home), "COLUMNS": "120"}


def test_a_process_that_is_killed_is_gone_on_with(files, weights, tmp_path):
    out, home = tmp_path / "killed.dinoadapt", tmp_path / "home"
    command, settings = _adapt(files, weights, out, home)
    whole = [sys.executable, "-c", PROGRAM, *command]
    process = subprocess.Popen(
        whole, env={**os.environ, **settings}, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + PATIENCE
    while not list((home / "cache/adapting").glob("*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not list(tmp_path.glob("killed*"))
    again = CliRunner(env=settings).invoke(app, command)
    assert again.exit_code == 0, again.exception
    assert "of them done before" in again.stderr
    assert not list((home / "cache/adapting").iterdir())
    other = tmp_path / "other.dinoadapt"
    command, settings = _adapt(files, weights, other, tmp_path / "elsewhere")
    assert CliRunner(env=settings).invoke(app, command).exit_code == 0
    gone_on, uninterrupted = read_adapter(out), read_adapter(other)
    assert gone_on.header == uninterrupted.header
    # Of each fold, and of the one that was kept, after every lesson.
    assert [len(losses) for losses in gone_on.header.losses] == [LESSONS] * 3
    pytest.importorskip("matplotlib")
    info = ["model", "info", str(out), "--plot", str(tmp_path / "curves.png")]
    assert CliRunner(env=settings).invoke(app, info).exit_code == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    for name, tensor in uninterrupted.tensors.items():
        torch.testing.assert_close(gone_on.tensors[name], tensor)


def test_labels_on_another_grid_are_one_line(files, weights, tmp_path):
    from napari_dinomed.io import write_labels

    shorter = grain(0, 1)
    write_labels(tmp_path / "shorter.ome.tif", shorter.labels, shorter.volume)
    command, settings = _adapt(files, weights, tmp_path / "a.dinoadapt", tmp_path / "home")
    command[4] = str(tmp_path / "shorter.ome.tif")
    refused = CliRunner(env=settings).invoke(app, command)
    said = str(refused.exception)
    assert "Expected an image on the same grid (2 × 96 × 96" in said
    assert "\n" not in said
    assert not (tmp_path / "a.dinoadapt").exists()

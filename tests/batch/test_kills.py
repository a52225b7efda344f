"""A run over a folder, killed at random moments: begun again, it ends as it would have."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_dinomed.batch.hands import hands_of
from napari_dinomed.batch.inputs import find_sources, results_for
from napari_dinomed.batch.labelling import Labelling
from napari_dinomed.batch.run import Batch
from napari_dinomed.errors import ClusterError
from napari_dinomed.taught.header import read_header
from tests.batch.clusters import TIMEOUT, running_cluster, wait_for
from tests.conftest import LONG

# Of the program, and of each of the processes of a cluster: thirty in all, or four.
KILLS, ROUNDS = (14, 8) if LONG else (2, 1)
# A process takes seconds to start, and there are three for each round.
pytestmark = pytest.mark.timeout(TIMEOUT * (KILLS + 3 * ROUNDS))


@pytest.fixture(scope="module")
def whole(cohort, tmp_path_factory):
    """What an uninterrupted run of the program leaves, and the seconds that it labelled."""
    out = tmp_path_factory.mktemp("whole") / "out"
    program = _program(cohort[0], out)
    begun = _begins(program, out)
    assert program.wait(TIMEOUT) == 0
    return _labels(out), time.monotonic() - begun


def _program(folder, out):
    """The program, as it labels three volumes whose features nobody has computed."""
    command = [sys.executable, "-m", "napari_dinomed", "apply", str(folder / "m.dinomed")]
    home = {"NAPARI_DINOMED_HOME": str(out.parent / f"home of {out.name}")}
    return subprocess.Popen(
        [*command, f"{folder}/00[1-3]_image.nii.gz", "--out", str(out)],
        env={**os.environ, **home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _begins(program, out):
    """When a program has begun to label; or when it ended, where nothing was left."""
    holder = out / ".running"
    wait_for(lambda: holder.exists() or program.poll() is not None)
    return time.monotonic()


def _batch(folder, out):
    """What the program makes of the same command, and what of it is not done."""
    model = folder / "m.dinomed"
    sight = read_header(model).sight
    window, planes = sight.window_name, sight.planes
    batch = Batch(Labelling(model, out, "filters", window, planes, "auto"))
    sources = find_sources([f"{folder}/00[1-3]_image.nii.gz"], out)
    return batch, batch.waiting(results_for(sources, out, ".nii.gz"))


def _labels(out):
    return {path.name: path.read_bytes() for path in sorted(out.glob("*_labels.nii.gz"))}


def _require_whole(folder, out, expected):
    """The labels of an uninterrupted run, and one line for each."""
    assert len(expected) == 3
    assert _labels(out) == expected
    batch, waiting = _batch(folder, out)
    assert not waiting
    lines = [row.labels for row in batch._journal.rows() if row.labels]
    assert sorted(lines) == sorted(expected)


def test_the_program_is_killed(cohort, whole, tmp_path):
    (folder, _), (expected, seconds) = cohort, whole
    random, kills, number = np.random.default_rng(), 0, 0
    while True:
        out = tmp_path / f"out{number}"
        program = _program(folder, out)
        _begins(program, out)
        if kills < KILLS:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(random.uniform(0, seconds))
            kills += program.poll() is None
            program.kill()
        if program.wait(TIMEOUT) == 0:
            _require_whole(folder, out, expected)
            number += 1
            if kills == KILLS:
                break
    print(f"killed {kills} times, ended {number} times, {seconds:.1f} s uninterrupted")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_processes_of_a_cluster_are_killed(cohort, whole, tmp_path, number):
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    (folder, _), (expected, seconds) = cohort, whole
    random = np.random.default_rng()
    with running_cluster(tmp_path) as cluster, hands_of(1, cluster.address) as hands:
        out = tmp_path / "worker"
        batch, waiting = _batch(folder, out)
        killer = _kill_later(cluster.worker, out, random.uniform(0, seconds))
        assert [row.error for row in batch.run(waiting, print, hands)] == [""] * 3
        killer.join()
        _require_whole(folder, out, expected)
        out = tmp_path / "scheduler"
        batch, waiting = _batch(folder, out)
        killer = _kill_later(cluster.scheduler, out, random.uniform(0, seconds))
        with contextlib.suppress(ClusterError):
            list(batch.run(waiting, print, hands))
        killer.join()
    batch, waiting = _batch(folder, out)
    assert [row.error for row in batch.run(waiting, lambda event: None)] == [""] * len(
        waiting
    )
    _require_whole(folder, out, expected)


def _kill_later(process: psutil.Process | subprocess.Popen, out: Path, seconds: float):
    """Kill a process so many seconds after a run has begun in a folder."""

    def kill():
        wait_for((out / ".running").exists)
        time.sleep(seconds)
        process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread

"""A cluster that is there: it labels what one process does, and may be gone at any time."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from napari_dinomed.batch import hands as module
from napari_dinomed.batch.hands import hands_of, usual_workers
from napari_dinomed.errors import ClusterError
from tests.batch.clusters import running_cluster
from tests.command import run

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")


@pytest.fixture
def cluster(tmp_path):
    with running_cluster(tmp_path) as running:
        yield running


def test_a_cluster_that_is_there_labels_what_one_process_does(
    cohort, cluster, tmp_path, monkeypatch
):
    folder, _ = cohort
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(folder))
    given = ("apply", folder / "m.dinomed", folder / "002_image.nii.gz", "--out")
    alone = run(*given, tmp_path / "alone")
    there = run(*given, tmp_path / "there", "--scheduler", cluster.address)
    assert (alone.returncode, there.returncode) == (0, 0), there.stderr
    labels = [tmp_path / one / "002_image_labels.nii.gz" for one in ("alone", "there")]
    assert labels[0].read_bytes() == labels[1].read_bytes()
    assert '"worker":"alone"' in (tmp_path / "there" / "manifest.jsonl").read_text()
    assert "worker alone: 1" in there.stderr


def test_a_scheduler_that_goes_in_the_middle_is_one_line(cluster):
    with hands_of(1, cluster.address) as hands:
        ended = hands.each(time.sleep, [0.01, 600])
        first = next(ended)
        assert (first.task, first.worker) == (0.01, "alone")
        cluster.scheduler.kill()
        with pytest.raises(ClusterError, match="The cluster is gone") as said:
            next(ended)
    assert "\n" not in str(said.value)


def _gpu_of(number):
    """Which GPU a worker sees, and who it is."""
    del number
    time.sleep(0.3)
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == str(2**30)
    return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()


def test_each_process_of_this_machine_sees_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(module, "gpus", lambda: ("GPU-a", "5"))
    with hands_of(2) as hands:
        seen = [ended.result for ended in hands.each(_gpu_of, range(6))]
        assert {gpu for gpu, _ in seen} == {"GPU-a", "5"}
        assert len(set(seen)) == 2
        by_gpu = dict(seen)
        psutil.Process(by_gpu["5"]).kill()
        again = [ended.result for ended in hands.each(_gpu_of, range(8))]
        assert {gpu for gpu, _ in again} == {"GPU-a", "5"}
        assert by_gpu["5"] not in {process for _, process in again}


@pytest.mark.parametrize(
    ("device", "names", "workers"),
    [("auto", ("0", "1"), 2), ("cuda", ("0",), 1), ("cpu", ("0", "1"), 1), ("auto", (), 1)],
)
def test_usually_there_is_a_process_for_each_gpu(monkeypatch, device, names, workers):
    monkeypatch.setattr(module, "gpus", lambda: names)
    assert usual_workers(device) == workers

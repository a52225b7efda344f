"""A cluster that is there: it labels what one process does, and may be gone at any time."""

from __future__ import annotations

import time

import pytest

from napari_dinomed.batch.hands import hands_of
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

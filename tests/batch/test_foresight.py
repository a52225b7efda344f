"""What a run will take, said before it begins."""

from __future__ import annotations

import math

import pytest

from napari_dinomed.batch import foresight
from napari_dinomed.batch.done import Done
from napari_dinomed.batch.foresight import foreseen
from napari_dinomed.batch.labelling import Labelling
from napari_dinomed.errors import ReadError
from napari_dinomed.io import Source
from tests.command import run
from tests.taught.conftest import SHAPE

VOXELS = math.prod(SHAPE)


@pytest.fixture
def labelling(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path / "home"))
    return Labelling(cohort[0] / "m.dinomed", tmp_path, "filters", None, "one", "cpu")


def _sources(folder):
    return [Source((folder / f"00{number}_image.nii.gz",)) for number in range(4)]


def test_it_takes_what_volumes_took_that_are_done(cohort, labelling):
    earlier = [Done("", "", seconds=6.0, written=(300, 1), voxels=VOXELS // 2)] * 2
    found = foreseen(_sources(cohort[0])[:3], earlier, labelling)
    assert found.seconds == pytest.approx(36)
    assert found.disk == pytest.approx(1800)
    assert found.basis == "as 2 took that are done"


def test_of_many_a_few_are_read(cohort, labelling, monkeypatch):
    monkeypatch.setattr(foresight, "_READ", 2)
    earlier = [Done("", "", seconds=6.0, written=(300, 1), voxels=VOXELS)]
    found = foreseen(_sources(cohort[0]), earlier, labelling)
    assert found.seconds == pytest.approx(24, rel=0.02)
    assert "by 2 grids that were read" in found.basis


def test_without_any_that_is_done_slices_are_timed(cohort, labelling):
    found = foreseen(_sources(cohort[0]), [], labelling)
    assert found.seconds > 0
    assert found.disk == pytest.approx(4 * VOXELS, rel=0.02)
    assert "slices of one took that were encoded now" in found.basis


def test_what_cannot_be_read_is_passed_over_unless_it_is_all(cohort, labelling, tmp_path):
    broken = Source((tmp_path / "a.nii.gz",))
    broken.path.write_bytes(b"no volume")
    earlier = [Done("", "", seconds=6.0, written=(300, 1), voxels=VOXELS)]
    found = foreseen([broken, *_sources(cohort[0])[:1]], earlier, labelling)
    assert found.seconds == pytest.approx(6, rel=0.02)
    with pytest.raises(ReadError, match=r"a\.nii\.gz"):
        foreseen([broken], earlier, labelling)


def test_the_command_says_how_long_and_how_much(cohort, tmp_path, monkeypatch):
    folder, _ = cohort
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(tmp_path / "home"))
    image, out = folder / "002_image.nii.gz", tmp_path / "out"
    dry = run("apply", folder / "m.dinomed", image, "--out", out, "--dry-run")
    said = " ".join(dry.stdout.split())
    assert dry.returncode == 0, dry.stderr
    assert "1 volumes take about" in said
    assert "Labels take about 1 MB of" in said
    assert not out.exists()

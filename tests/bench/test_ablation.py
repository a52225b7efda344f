"""The script that takes one step away at a time keeps up with the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import tifffile

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.case import CaseFiles
from napari_dinomed.bench.suite import Setup
from napari_dinomed.volume.phantom import em_stack
from tests.conftest import LONG

SCRIPT = Path(__file__).parents[2] / "resources" / "ablation.py"


@pytest.fixture(scope="module")
def ablation():
    spec = importlib.util.spec_from_file_location("ablation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sections(tmp_path):
    volume, truth = em_stack((4, 96, 96))
    files = tmp_path / "sections.ome.tif", tmp_path / "labels.ome.tif"
    lengths = dict(zip("ZYX", volume.geometry.spacing, strict=True))
    sizes = {f"PhysicalSize{axis}": length for axis, length in lengths.items()}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in lengths}
    for path, array in zip(files, (volume.array, truth), strict=True):
        tifffile.imwrite(path, array, metadata={"axes": "ZYX", **sizes, **units})
    image, labels = map(str, files)
    return CaseFiles("mitochondria", image, labels, meaning=Meaning.ALL_LIKE_THIS)


def _rows(ablation, files):
    setup = Setup("filters")
    steps = ablation.WITHOUT[files.meaning]
    return {step: ablation.measure([files], setup, step) for step in steps}


def test_every_step_of_an_object_can_be_taken_away(ablation, two_scans):
    image, labels = two_scans[0]
    rows = _rows(ablation, CaseFiles("ball", str(image), str(labels)))
    for step, row in rows.items():
        after_ten = float(row.split("|")[4])
        assert 0.5 < after_ten <= 1, step


@pytest.mark.skipif(not LONG, reason="long: all steps, one after another")
def test_every_step_of_all_alike_can_be_taken_away(ablation, sections):
    rows = _rows(ablation, sections)
    everything = rows.pop(ablation.EVERYTHING)
    figures = everything.split("|", 2)[2]
    assert sum(row.split("|", 2)[2] != figures for row in rows.values()) > len(rows) / 2

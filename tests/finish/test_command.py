"""The command that finishes a label of a file, and the table in the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.cli.finish import finish
from napari_dinomed.errors import FinishError, WriteError
from napari_dinomed.finish import TOOLS
from napari_dinomed.finish.tools import table_of_tools
from napari_dinomed.io import read_labels
from tests.conftest import ball

# Array order (i, j, k), 0.8 × 0.8 × 2.4 mm, and no axis runs the canonical way.
AFFINE = np.diag([-0.8, 0.8, -2.4, 1.0])
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def labels(tmp_path):
    """A hollow ball of one label, beside it a wall of another."""
    array = np.zeros((50, 44, 18), np.uint8)
    array[ball(array.shape, (24, 22, 8), 10, (0.8, 0.8, 2.4))] = 1
    array[ball(array.shape, (24, 22, 8), 5, (0.8, 0.8, 2.4))] = 0
    array[38:40] = 4
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "labels.nii.gz")
    return tmp_path / "labels.nii.gz"


def read(path):
    return np.asarray(nib.load(path).dataobj)


def test_one_label_changes_and_the_others_stay(labels, tmp_path, capsys):
    out = tmp_path / "out.nii.gz"
    finish(str(labels), "fill-holes", 1, out)
    before, after = read(labels), read(out)
    whole = ball(before.shape, (24, 22, 8), 10, (0.8, 0.8, 2.4))
    np.testing.assert_array_equal(after == 1, whole)
    np.testing.assert_array_equal(after == 4, before == 4)
    np.testing.assert_array_equal(nib.load(out).affine, nib.load(labels).affine)
    filled = (after != before).sum() * 0.8 * 0.8 * 2.4 / 1000
    assert f"{filled:.4g} ml added, 0 ml removed" in capsys.readouterr().out


def test_lengths_are_those_of_the_file(labels, tmp_path):
    out = tmp_path / "out.nii.gz"
    finish(str(labels), "grow", 1, out, ["distance=2.4"])
    before, after = read(labels), read(out)
    for axis, reach in enumerate((3, 3, 1)):
        first, last = (
            np.flatnonzero((a == 1).any(tuple({0, 1, 2} - {axis})))[0]
            for a in (before, after)
        )
        assert first - last == reach


def test_grey_values_come_from_the_image(labels, tmp_path):
    grey = np.random.default_rng(0).integers(0, 100, (50, 44, 18)).astype(np.int16)
    nib.save(nib.Nifti1Image(grey, AFFINE), tmp_path / "image.nii.gz")
    image, out = str(tmp_path / "image.nii.gz"), tmp_path / "out.nii.gz"
    finish(str(labels), "grey-range", 1, out, ["low=40", "high=60"], image)
    kept = (read(labels) == 1) & (grey >= 40) & (grey <= 60)
    np.testing.assert_array_equal(read(out) == 1, kept)


def test_parts_become_labels_named_after_the_one(tmp_path, capsys):
    array = np.zeros((50, 44, 18), np.uint8)
    array[2:20, 2:20, 2:9], array[30:45, 2:20, 2:9] = 3, 3
    array[2:10, 30:40, 2:9], array[40, 40, 10] = 3, 3
    array[25] = 255
    source = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(array, AFFINE), source)
    options, out = ["by=gaps", "volume=0.5"], tmp_path / "out.nrrd"
    finish(str(source), "split", 3, out, options)
    told = capsys.readouterr().out
    assert "Label 256 is label 3 2" in told
    assert "Label 257 is label 3 3" in told
    before, _ = read_labels(source)
    after, volume = read_labels(out)
    sizes = np.bincount(after.ravel())
    assert sizes[[3, 256, 257]].tolist() == [18 * 18 * 7 + 1, 15 * 18 * 7, 8 * 10 * 7]
    np.testing.assert_array_equal(after >= 256, (before == 3) & (after != 3))
    np.testing.assert_array_equal(after == 255, before == 255)
    named = {entry.id: entry for entry in volume.legend}
    assert named[256].name == "label 3 2"
    out_again = tmp_path / "again.nrrd"
    finish(str(out), "fill-between", 3, out_again, ["along=x"])
    assert {entry.id for entry in read_labels(out_again)[1].legend} == set(named)


def test_grey_values_lead_between_slices(labels, tmp_path):
    array = read(labels)
    whole = ball(array.shape, (24, 22, 8), 10, (0.8, 0.8, 2.4))
    array[...] = 0
    array[..., [5, 11]] = whole[..., [5, 11]]
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "painted.nii.gz")
    grey = np.where(whole, 90, 20).astype(np.int16)
    nib.save(nib.Nifti1Image(grey, AFFINE), tmp_path / "image.nii.gz")
    painted, out = str(tmp_path / "painted.nii.gz"), tmp_path / "out.nii.gz"
    with pytest.raises(FinishError, match="Expected the image"):
        finish(painted, "fill-between", 1, out, ["by=grey"])
    finish(painted, "fill-between", 1, out, ["by=grey"], str(tmp_path / "image.nii.gz"))
    np.testing.assert_array_equal(read(out)[..., 5:12] == 1, whole[..., 5:12])


@pytest.mark.parametrize(
    ("tool", "label", "options", "said"),
    [
        ("grow", 2, [], "Expected a label of 1, 4; got 2"),
        ("grow", 1, ["distance"], "Expected an option like distance=3"),
        ("cut", 1, [], "draw on the canvas"),
        ("keep-largest", 4, [], "label 4 stays as it is: it is one part"),
        ("split", 4, ["by=parts"], "Expected necks, gaps for by, got 'parts'"),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(labels, tool, label, options, said):
    out = labels.with_name("out.nii.gz")
    with pytest.raises(FinishError, match=said):
        finish(str(labels), tool, label, out, options)
    assert not out.exists()


def test_what_was_read_is_not_overwritten(labels):
    with pytest.raises(WriteError, match="was read and stays"):
        finish(str(labels), "fill-holes", 1, labels)


def test_the_command_is_there_and_lists_its_tools():
    command = [sys.executable, "-m", "napari_dinomed", "finish", "--tools"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for tool in TOOLS:
        assert (tool.key in done.stdout) is not tool.is_drawn


def test_the_documentation_has_the_tools_as_they_are():
    assert table_of_tools() in (DOCS / "finishing.md").read_text(encoding="utf-8")

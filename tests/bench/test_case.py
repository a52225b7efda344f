from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.case import borders, load_case, load_suite
from napari_dinomed.errors import ReadError
from tests.bench.conftest import write_nifti

SUITE = """
[[case]]
name = "first"
image = "volumes/i.nii"
labels = "volumes/l.nii"
label = "1+2"
meaning = "all-like-this"
every = 2

[[case]]
name = "second"
image = "i.nii"
labels = "l.nii"
task = "transfer"
targets = [["a.nii", "b.nii"]]
"""


def _suite(tmp_path, text):
    path = tmp_path / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_suite_names_files_beside_itself(tmp_path):
    first, second = load_suite(_suite(tmp_path, SUITE))
    assert first.image == str(tmp_path / "volumes" / "i.nii")
    assert first.meaning is Meaning.ALL_LIKE_THIS
    assert first.every == 2
    assert second.task == "transfer"
    assert second.targets == ((str(tmp_path / "a.nii"), str(tmp_path / "b.nii")),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[case]\n", "TOML"),
        ("", "no case"),
        ('[[case]]\nname = "a"\n', "image"),
        ('[[case]]\nname = "a"\nimage = "b"\nlabels = "c"\ncolour = 3\n', "colour"),
    ],
)
def test_a_suite_that_will_not_do(tmp_path, text, said):
    with pytest.raises(ReadError, match=said):
        load_suite(_suite(tmp_path, text))


def test_a_suite_that_is_not_there(tmp_path):
    with pytest.raises(ReadError, match="Cannot read the suite"):
        load_suite(tmp_path / "none.toml")


def test_every_second_slice(tmp_path):
    labels = np.ones((4, 3, 5), np.uint8)
    image = write_nifti(tmp_path / "i.nii", np.arange(60, dtype=np.int16).reshape(4, 3, 5))
    case = load_case(image, write_nifti(tmp_path / "l.nii", labels), "1", every=2)
    assert case.truth.shape == case.volume.array.shape == (3, 3, 4)
    assert case.volume.geometry.spacing == (2.0, 1.0, 1.0)


def test_labels_are_joined(tmp_path):
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 4
    image = write_nifti(tmp_path / "i.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    case = load_case(image, write_nifti(tmp_path / "l.nii", labels), "1+3")
    assert case.truth.sum() == 12


def test_borders_are_where_labels_meet_and_the_voxels_beside():
    labels = np.ones((3, 4, 9), np.int64)
    labels[:, :, 4:] = 2
    expected = np.zeros(labels.shape, bool)
    expected[:, :, 2:6] = True
    np.testing.assert_array_equal(borders(labels), expected)


@pytest.mark.parametrize(
    ("shape", "label", "said"),
    [((2, 3, 5), "1", "voxels"), ((2, 3, 4), "9", "no voxel"), ((2, 3, 4), "x", "1\\+2")],
)
def test_labels_that_do_not_go_with_the_image(tmp_path, shape, label, said):
    image = write_nifti(tmp_path / "i.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    labels = write_nifti(tmp_path / "l.nii", np.ones(shape, np.uint8))
    with pytest.raises(ReadError, match=said):
        load_case(image, labels, label)


@pytest.mark.parametrize("name", ["patients.toml", "em.toml"])
def test_the_projects_own_suites_name_files_that_are_there(shared_data, name):
    del shared_data
    suite = Path(__file__).resolve().parents[1] / "benchmarks" / name
    for case in load_suite(suite):
        for path in (case.image, case.labels, *(p for pair in case.targets for p in pair)):
            assert Path(path).is_file(), path

from __future__ import annotations

import nibabel as nib
import nrrd
import numpy as np
import pytest

from napari_dinomed.errors import ReadError
from napari_dinomed.io import read_labels, read_volume, write_labels

ARRAY = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
# Columns are the steps of i, j and k in right-anterior-superior millimetres.
OBLIQUE = np.array([[-0.69, 0.1, 0.31], [0.11, 0.66, 0.42], [0.05, 0.21, -2.95]])
ORIGIN = np.array([80.0, -120, 33])


def _write(path, space="left-posterior-superior", signs=(-1, -1, 1)):
    header = {
        "space": space,
        "space directions": OBLIQUE.T * signs,
        "space origin": ORIGIN * signs,
        "kinds": ["domain"] * 3,
    }
    nrrd.write(str(path), ARRAY, header)
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("LAS", (-1, 1, 1)),
    ],
)
def test_a_world_point_shows_what_it_shows_in_nifti(tmp_path, space, signs):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = OBLIQUE, ORIGIN
    nib.save(nib.Nifti1Image(ARRAY, affine), tmp_path / "image.nii")
    first = read_volume(tmp_path / "image.nii")
    second = read_volume(_write(tmp_path / "image.nrrd", space, signs))
    np.testing.assert_array_equal(first.array, second.array)
    np.testing.assert_allclose(first.geometry.matrix, second.geometry.matrix, rtol=1e-6)
    assert second.geometry.unit == "mm"


def test_labels_go_back_onto_exactly_the_grid(tmp_path):
    volume = read_volume(_write(tmp_path / "image.nrrd"))
    write_labels(tmp_path / "labels.nrrd", (volume.array % 5).astype(np.uint8), volume)
    voxels, header = nrrd.read(str(tmp_path / "labels.nrrd"))
    _, source = nrrd.read(str(tmp_path / "image.nrrd"))
    np.testing.assert_array_equal(voxels, ARRAY % 5)
    for field in ("space directions", "space origin"):
        np.testing.assert_allclose(header[field], source[field], rtol=1e-12)
    labels, again = read_labels(tmp_path / "labels.nrrd")
    np.testing.assert_array_equal(labels, volume.array % 5)
    assert again.geometry.orientation == volume.geometry.orientation


def test_without_a_space_it_is_no_patient(tmp_path):
    nrrd.write(str(tmp_path / "em.nrrd"), ARRAY, {"spacings": [4.0, 4.0, 50.0]})
    volume = read_volume(tmp_path / "em.nrrd")
    assert volume.geometry.spacing == (50, 4, 4)
    assert not volume.geometry.patient
    assert volume.array.shape == (4, 3, 2)


def test_a_truncated_file_is_one_clear_error(tmp_path):
    path = _write(tmp_path / "image.nrrd")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReadError, match="truncated"):
        read_volume(path)


def test_voxels_in_another_file_are_not_read(tmp_path):
    path = tmp_path / "image.nhdr.nrrd"
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n"
        "endian: little\ndata file: /etc/passwd\n\n"
    )
    with pytest.raises(ReadError, match="another file"):
        read_volume(path)

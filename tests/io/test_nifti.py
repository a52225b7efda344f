from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.io import Pick, read_labels, read_volume, write_labels

OBLIQUE = np.array(
    [
        [-0.69, 0.10, 0.31, 80.0],
        [0.11, 0.66, 0.42, -120.0],
        [0.05, 0.21, -2.95, 33.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
FLIPPED = np.diag([-0.7, 0.7, -3.0, 1.0])


def _write(path, array, affine=OBLIQUE, kind=nib.Nifti1Image, codes=(1, 2)):
    image = kind(array, affine, dtype=array.dtype)
    image.header.set_sform(affine, codes[0])
    image.header.set_qform(affine, codes[1], strip_shears=True)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "affine", [OBLIQUE, FLIPPED, np.eye(4)], ids=["oblique", "flipped", "plain"]
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_labels_go_back_onto_exactly_the_grid(tmp_path, suffix, affine, kind):
    array = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    path = _write(tmp_path / f"image{suffix}", array, affine, kind)
    volume = read_volume(path)
    out = tmp_path / f"labels{suffix}"
    write_labels(out, (volume.array % 5).astype(np.uint8), volume)
    source, result = nib.load(path), nib.load(out)
    np.testing.assert_array_equal(np.asarray(result.dataobj), array % 5)
    np.testing.assert_array_equal(result.affine, source.affine)
    for field in ("sform_code", "qform_code", "xyzt_units"):
        assert result.header[field] == source.header[field]
    assert type(result) is type(source)
    assert result.shape == source.shape
    assert result.get_data_dtype() == np.uint8


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_grey_values_of_every_type_come_through(tmp_path, dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    array = np.zeros((2, 3, 4), dtype=dtype)
    array[0, 0, 0] = info.min if info else -1234.5
    array[1, 2, 3] = info.max if info else 1234.5
    path = _write(tmp_path / "image.nii", array)
    volume = read_volume(path)
    assert volume.array.min() == array.min()
    assert volume.array.max() == array.max()


def test_big_endian_files_are_read(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=">i2").reshape(2, 3, 4), np.eye(4))
    nib.save(
        nib.Nifti1Image(image.dataobj, image.affine, image.header.as_byteswapped(">")),
        tmp_path / "b.nii",
    )
    volume = read_volume(tmp_path / "b.nii")
    assert volume.array.dtype.isnative
    assert volume.array.max() == 23


def test_the_headers_slope_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "s.nii")
    volume = read_volume(tmp_path / "s.nii")
    assert volume.array.min() == pytest.approx(-1024)
    assert volume.array.dtype == np.float32


def test_the_headers_own_window_is_kept(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    nib.save(image, tmp_path / "none.nii")
    assert read_volume(tmp_path / "none.nii").window is None
    image.header["cal_min"], image.header["cal_max"] = -50, 150
    nib.save(image, tmp_path / "own.nii")
    window = read_volume(tmp_path / "own.nii").window
    assert (window.low, window.high) == (-50, 150)


def test_a_series_gives_one_frame(tmp_path):
    array = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    path = _write(tmp_path / "series.nii", array)
    assert read_volume(path).geometry.file_shape == (4, 3, 2)
    last = read_volume(path, Pick(frame=4))
    np.testing.assert_array_equal(last.geometry.to_file_order(last.array), array[..., 4].T)


def test_labels_above_255_need_two_bytes(tmp_path):
    path = _write(tmp_path / "image.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    volume = read_volume(path)
    labels = np.zeros(volume.array.shape, dtype=np.uint16)
    labels[0, 0, 0] = 700
    write_labels(tmp_path / "labels.nii", labels, volume)
    again, _ = read_labels(tmp_path / "labels.nii")
    assert again.max() == 700


def test_a_stack_without_patient_space_can_be_written(tmp_path):
    from napari_dinomed.volume import Geometry, Volume

    geometry = Geometry.from_spacing((2, 3, 4), (50.0, 4.0, 4.0), "nm")
    volume = Volume(np.zeros((2, 3, 4), np.uint8), geometry, "EM")
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_labels(tmp_path / "labels.nii", labels, volume)
    image = nib.load(tmp_path / "labels.nii")
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels.T)
    np.testing.assert_allclose(image.header.get_zooms(), (0.004, 0.004, 0.05))
    assert image.header.get_xyzt_units()[0] == "micron"

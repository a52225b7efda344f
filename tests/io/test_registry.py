"""Bad files get one clear error; what was there before stays."""

from __future__ import annotations

import errno
import os
import time

import nibabel as nib
import numpy as np
import pytest
import tifffile

from napari_dinomed.errors import DinomedError, ReadError, VolumeError, WriteError
from napari_dinomed.io import Pick, can_read, read_labels, read_volume, write_labels


@pytest.fixture
def nifti(tmp_path):
    random = np.random.default_rng(0)
    array = random.integers(0, 1000, (20, 30, 40)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


def test_a_missing_file(tmp_path):
    with pytest.raises(ReadError, match="no file"):
        read_volume(tmp_path / "nothing.nii")


def test_a_folder(tmp_path):
    with pytest.raises(ReadError, match="folder"):
        read_volume(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8bgarbage", bytes(range(256))])
def test_an_unknown_format(tmp_path, content):
    path = tmp_path / "notes.xyz"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"notes\.xyz"):
        read_volume(path)
    assert not can_read(path)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_gzip(tmp_path, nifti, kept):
    whole = nifti.read_bytes()
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ReadError, match=r"cut\.nii\.gz"):
        read_volume(cut)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.9])
def test_a_truncated_tiff(tmp_path, kept):
    array = np.random.default_rng(0).integers(0, 255, (5, 40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "whole.tif", array, photometric="minisblack")
    whole = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DinomedError, match=r"cut\.tif"):
        read_volume(tmp_path / "cut.tif")


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5, 6)])
def test_wrong_dimensions(tmp_path, shape):
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "odd.nii")
    with pytest.raises(VolumeError, match=r"odd\.nii"):
        read_volume(tmp_path / "odd.nii")


def test_a_frame_that_is_not_there(nifti):
    with pytest.raises(VolumeError, match="frame 3"):
        read_volume(nifti, Pick(frame=3))


def test_a_part_of_what_has_none(nifti):
    with pytest.raises(VolumeError, match="'7' is not there"):
        read_volume(nifti, Pick("7"))


def test_voxels_without_size(tmp_path):
    header = nib.Nifti1Header()
    header.set_sform(np.diag([0.0, 1, 1, 1]), 1)
    image = nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), None, header)
    nib.save(image, tmp_path / "flat.nii")
    with pytest.raises(ReadError, match="size"):
        read_volume(tmp_path / "flat.nii")


def test_labels_must_be_whole_numbers(tmp_path):
    nib.save(
        nib.Nifti1Image(np.full((2, 3, 4), 0.5, np.float32), np.eye(4)), tmp_path / "p.nii"
    )
    with pytest.raises(ReadError, match="whole"):
        read_labels(tmp_path / "p.nii")


def test_recognising_never_raises(tmp_path, nifti):
    assert can_read(nifti)
    assert not can_read(tmp_path)
    assert not can_read(tmp_path / "nothing.nii")


def test_content_goes_before_the_name(tmp_path, nifti):
    odd = tmp_path / "no-suffix"
    odd.write_bytes(nifti.read_bytes())
    np.testing.assert_array_equal(read_volume(odd).array, read_volume(nifti).array)


def test_an_unknown_suffix_to_write(tmp_path, nifti):
    volume = read_volume(nifti)
    with pytest.raises(WriteError, match=r"labels\.png"):
        write_labels(tmp_path / "labels.png", volume.array, volume)


def test_a_missing_folder_to_write(tmp_path, nifti):
    volume = read_volume(nifti)
    with pytest.raises(WriteError, match="not there"):
        write_labels(tmp_path / "nowhere" / "labels.nii", volume.array, volume)


def test_a_full_disk_leaves_the_old_file(tmp_path, nifti, monkeypatch):
    volume = read_volume(nifti)
    target = tmp_path / "labels.nii.gz"
    target.write_bytes(b"what was there")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(WriteError, match="No space left"):
        write_labels(target, np.zeros(volume.array.shape, np.uint8), volume)
    assert target.read_bytes() == b"what was there"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["image.nii.gz", "labels.nii.gz"]


def test_recognising_reads_the_first_bytes_only(tmp_path, nifti):
    """A terabyte that is not there: whoever read it would never come back."""
    path = tmp_path / "large.nii"
    header = nib.Nifti1Header()
    header.set_data_shape((10_000, 10_000, 10_000))
    path.write_bytes(header.binaryblock)
    os.truncate(path, 10**12)
    begun = time.process_time()
    assert can_read(path)
    assert time.process_time() - begun < 1


def test_all_the_shared_volumes_open(shared_data):
    """Every file, the series as a folder, and one of its slices."""
    skipped = (".md", ".txt", ".json")
    files = [
        path
        for path in sorted(shared_data.rglob("*"))
        if path.is_file() and path.suffix not in skipped and path.parent.name != "dicom"
    ]
    folder = shared_data / "ct_dicom" / "dicom"
    assert len(files) > 20
    for path in (*files, folder, next(folder.iterdir())):
        volume = read_volume(path)
        assert volume.array.size, path
        volume.require_content()

"""Headers that lie, names that climb out of their zip, folders that cannot be written."""

from __future__ import annotations

import struct
import zipfile

import h5py
import nibabel as nib
import numpy as np
import psutil
import pytest

from napari_dinomed.errors import DinomedError, ReadError, WriteError
from napari_dinomed.io import can_read, list_contents, read_volume, write_labels
from napari_dinomed.io.registry import label_suffixes
from napari_dinomed.volume import Geometry, Volume
from tests.io import made

ARRAY = np.random.default_rng(0).integers(0, 100, (5, 6, 7)).astype(np.int16)
MATRIX = np.diag([3.0, 2, 1, 1])[[2, 1, 0, 3]]
WRITERS = {
    "a.nii": lambda p: made.write_nifti(p, ARRAY, MATRIX),
    "a.nii.gz": lambda p: made.write_nifti(p, ARRAY, MATRIX),
    "a.mgz": lambda p: made.write_mgz(p, ARRAY, MATRIX),
    "a.nrrd": lambda p: made.write_nrrd(p, ARRAY, MATRIX),
    "a.mha": lambda p: made.write_mha(p, ARRAY, MATRIX),
    "a.tif": lambda p: made.write_tiff(p, ARRAY),
    "a.mrc": lambda p: made.write_mrc(p, ARRAY),
    "a.h5": lambda p: made.write_hdf5(p, ARRAY),
    "a.npy": lambda p: (np.save(p, ARRAY), p)[1],
    "a.npz": lambda p: (np.savez(p, ARRAY), p)[1],
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_truncated(tmp_path, name, kept):
    path = WRITERS[name](tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    if (name, kept) == ("a.tif", 0.9):
        # Only the metadata at the end are gone; the voxels are all there.
        np.testing.assert_array_equal(read_volume(path).array, ARRAY)
        return
    with pytest.raises(DinomedError, match=name):
        read_volume(path)


@pytest.mark.parametrize("name", WRITERS)
def test_wrong_magic(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    path.write_bytes(b"\x00garbage" * 200)
    with pytest.raises(DinomedError, match=name):
        read_volume(path)


def test_a_header_that_claims_ten_terabytes(tmp_path):
    """Nothing may be allocated for it: each is refused before its voxels are touched."""
    header = nib.Nifti1Header()
    header.set_data_shape((22000, 22000, 22000))
    header.set_data_dtype(np.uint8)
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(1000))
    (tmp_path / "a.nrrd").write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 22000 22000 22000\n"
        b"encoding: gzip\n\n" + bytes(1000)
    )
    (tmp_path / "a.mha").write_bytes(
        b"ObjectType = Image\nNDims = 3\nDimSize = 22000 22000 22000\n"
        b"ElementType = MET_UCHAR\nCompressedData = True\nElementDataFile = LOCAL\n"
        + bytes(1000)
    )
    mrc = made.write_mrc(tmp_path / "a.mrc", ARRAY)
    lying = bytearray(mrc.read_bytes())
    lying[:12] = struct.pack("<3i", 22000, 22000, 22000)
    mrc.write_bytes(lying)
    numpy = b"{'descr': '|u1', 'fortran_order': False, 'shape': (22000, 22000, 22000)}"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(numpy) + 1) + numpy + b"\n"
    (tmp_path / "a.npy").write_bytes(head)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", shape=(22000, 22000, 22000), dtype="u1")
    before = psutil.Process().memory_info().rss
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DinomedError, match=path.name):
            read_volume(path)
    assert psutil.Process().memory_info().rss - before < 200e6


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), float("inf")])
def test_voxels_of_no_size(tmp_path, spacing):
    (tmp_path / "a.nrrd").write_bytes(
        f"NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\n"
        f"endian: little\nspace: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,{spacing})\n"
        "\n".encode()
        + ARRAY.tobytes()
    )
    if spacing == -1:
        # A mirrored axis is an orientation, not an error.
        assert read_volume(tmp_path / "a.nrrd").geometry.spacing[0] == 1
        return
    with pytest.raises(ReadError, match="no finite size"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize("spacing", [0.0, -2.0, float("nan")])
def test_slices_of_no_size(tmp_path, spacing):
    folder = made.write_dicom(
        tmp_path / "a", ARRAY, np.diag([2.5, 1, 1, 1])[[2, 1, 0, 3]], PixelSpacing=[1, 1]
    )
    import pydicom

    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelSpacing = [str(spacing), "1"]
        dataset.save_as(path)
    with pytest.raises(ReadError, match="size"):
        read_volume(folder)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "..\\evil"])
def test_names_that_climb_out_of_a_zip(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(ReadError, match="outside"):
        read_volume(tmp_path / "a.zip")


def test_a_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(100_000_000))
    assert (tmp_path / "a.zip").stat().st_size < 200_000
    with pytest.raises(ReadError, match=r"unpack to 0\.1 GB"):
        read_volume(tmp_path / "a.zip")


def test_a_zip_without_images(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", b"hello")
    with pytest.raises(ReadError):
        read_volume(tmp_path / "a.zip")


def test_a_bomb_in_npz(tmp_path):
    header = str({"descr": "|u1", "fortran_order": False, "shape": (10**4, 10**4, 10**5)})
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode()
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", head + b"\n")
    with pytest.raises(ReadError, match="claims"):
        read_volume(tmp_path / "b.npz")


def test_voxels_in_a_file_elsewhere(tmp_path):
    for place in ("/etc/passwd", "../secret.raw", "missing.raw"):
        (tmp_path / "a.mhd").write_text(
            "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
            f"ElementDataFile = {place}\n"
        )
        with pytest.raises(ReadError, match="not a file beside it"):
            read_volume(tmp_path / "a.mhd")
    (tmp_path / "beside.raw").write_bytes(bytes(range(8)))
    (tmp_path / "a.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
        "ElementDataFile = beside.raw\n"
    )
    assert read_volume(tmp_path / "a.mhd").array.size == 8


@pytest.mark.parametrize("name", WRITERS)
def test_names_in_any_script(tmp_path, name):
    folder = tmp_path / "Müller 病院 ن"
    folder.mkdir()
    path = WRITERS[name](folder / f"плюс ü{name}")
    assert read_volume(path).array.size == ARRAY.size


@pytest.mark.parametrize("suffix", label_suffixes())
def test_a_failing_writer_leaves_what_was_there(tmp_path, monkeypatch, suffix):
    """The disk fills up at the moment that the result would take the old one's place."""
    import os

    geometry = Geometry.from_spacing(ARRAY.shape, (3, 2, 1), "nm")
    if suffix in (".mgz", ".mgh", ".mha", ".dcm", ".labelmap.dcm"):
        folder = made.write_dicom(
            tmp_path / "a", ARRAY, np.array([*MATRIX[:2], [2.5, 0, 0, 0], MATRIX[3]])
        )
        volume = read_volume(folder)
    else:
        volume = Volume(ARRAY, geometry, "EM")
    target = tmp_path / f"labels{suffix}"
    labels = np.ones(volume.array.shape, np.uint8)
    write_labels(target, labels, volume)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match="No space left"):
        write_labels(target, labels * 2, volume)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("suffix", label_suffixes())
def test_a_folder_that_is_not_there(tmp_path, suffix):
    volume = Volume(ARRAY, Geometry.from_spacing(ARRAY.shape, (3, 2, 1), "nm"), "EM")
    with pytest.raises(WriteError, match="not there"):
        write_labels(tmp_path / "missing" / f"l{suffix}", ARRAY, volume)


@pytest.mark.parametrize("given", ["", [], "nowhere", "http://127.0.0.1:1/x.zarr", None, 7])
def test_recognising_never_raises(given):
    can_read(given)


@pytest.mark.parametrize("given", ["http://127.0.0.1:1/x.zarr", "s3://"])
def test_an_address_that_does_not_answer(given):
    with pytest.raises(ReadError):
        list_contents(given)

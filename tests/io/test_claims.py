"""Files that claim or become more than they are: refused, or read within bounds."""

from __future__ import annotations

import bz2
import functools
import json
import struct
import time
import zlib

import h5py
import nibabel as nib
import numcodecs
import numpy as np
import psutil
import pydicom
import pytest
import tifffile
import zarr
from pydicom.uid import JPEG2000Lossless

from napari_dinomed.errors import ReadError
from napari_dinomed.io import claims, pieces, read_volume
from tests.io import made

resource = pytest.importorskip("resource", reason="limits memory as POSIX does")
ARRAY = np.arange(4 * 5 * 6, dtype=np.int8).reshape(4, 5, 6)
MATRIX = np.diag([3.0, 2, 1, 1])[[2, 1, 0, 3]]
# What bombs inflate to, and what may be taken beyond what a process has.
GROWN, ROOM = 800_000_000, 500_000_000
# Generous: the bounds are reached in hundredths of a second, the bombs in seconds.
SECONDS = 10


@pytest.fixture
def bounded():
    """Little memory: what takes more fails, and not with the error that is expected."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    begun = time.process_time()
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.process_time() - begun < SECONDS


@functools.cache
def deflated(head=b"", wbits=15):
    """A stream that begins with ``head`` and goes on with zeros, without an end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    begun = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = bytes(2**24)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return begun + first * (GROWN // len(block))


def _nrrd(path, encoding, packed):
    path.write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 6 5 4\n"
        + f"encoding: {encoding}\n\n".encode()
        + packed
    )


def _nifti(path, *patches):
    whole = bytearray(nib.Nifti1Image(ARRAY.T, np.eye(4)).to_bytes())
    for at, value in patches:
        whole[at : at + len(value)] = value
    path.write_bytes(deflated(bytes(whole), wbits=31))


def _mrc(path, ahead):
    plain = bytearray(made.write_mrc(path.with_name("a.mrc"), ARRAY).read_bytes())
    plain[92:96] = struct.pack("<i", ahead)
    path.write_bytes(deflated(bytes(plain), wbits=31))


def _tiff(path):
    """The one strip of a page, put behind it anew."""
    tifffile.imwrite(path, ARRAY[0], compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        packed, tags = deflated(), tiff.pages[0].tags
        tags["StripOffsets"].overwrite(path.stat().st_size)
        tags["StripByteCounts"].overwrite(len(packed))
    with path.open("ab") as file:
        file.write(packed)


def _hdf5(path):
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "a", ARRAY.shape, "u1", chunks=ARRAY.shape, compression="gzip"
        )
        try:
            dataset.id.write_direct_chunk((0, 0, 0), deflated())
        except OSError as error:
            pytest.skip(f"this HDF5 library cannot write such a chunk: {error}")


def _lying(packed, at):
    return packed[:at] + struct.pack("<I", GROWN) + packed[at + 4 :]


# How a chunk of a store is compressed, and the bomb.
PACKED = {
    "zlib": (numcodecs.Zlib(), deflated),
    "gzip": (numcodecs.GZip(), lambda: deflated(wbits=31)),
    "bz2": (numcodecs.BZ2(), lambda: bz2.compress(bytes(2**24)) * (GROWN >> 24)),
    "zstd": (numcodecs.Zstd(), lambda: _lying(numcodecs.Zstd().encode(bytes(2**18)), 5)),
    "blosc": (numcodecs.Blosc(), lambda: _lying(numcodecs.Blosc().encode(ARRAY), 4)),
    "lz4": (numcodecs.LZ4(), lambda: _lying(numcodecs.LZ4().encode(ARRAY), 0)),
}


def _zarr(path, codec):
    compressor, bomb = PACKED[codec]
    zarr.create_array(
        path,
        shape=ARRAY.shape,
        dtype="u1",
        chunks=ARRAY.shape,
        compressors=compressor,
        zarr_format=2,
    )
    (path / "0.0.0").write_bytes(bomb())


# Surplus behind what a header claims is left where it is.
SURPLUS = {
    "a.nrrd": lambda p: _nrrd(p, "gzip", deflated(ARRAY.tobytes(), wbits=31)),
    "b.nrrd": lambda p: _nrrd(
        p,
        "bzip2",
        bz2.compress(ARRAY.tobytes()) + bz2.compress(bytes(2**24)) * (GROWN >> 24),
    ),
    "a.nii.gz": _nifti,
    "a.mrc.gz": lambda p: _mrc(p, 0),
}
BOMBS = {
    "voxels far away.nii.gz": lambda p: _nifti(p, (108, struct.pack("<f", 8e8))),
    "an extension.nii.gz": lambda p: _nifti(
        p, (108, struct.pack("<f", 4096)), (348, struct.pack("<4B2i", 1, 0, 0, 0, 2**29, 6))
    ),
    "a header.mrc.gz": lambda p: _mrc(p, 8 * 10**8),
    "a.tif": _tiff,
    "a.h5": _hdf5,
    **{f"{codec}.zarr": lambda p, codec=codec: _zarr(p, codec) for codec in PACKED},
}


@pytest.mark.parametrize("name", SURPLUS)
def test_what_a_header_does_not_claim_is_not_inflated(tmp_path, name, request):
    SURPLUS[name](tmp_path / name)
    request.getfixturevalue("bounded")
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.geometry.to_file_order(volume.array), ARRAY)


@pytest.mark.parametrize("name", BOMBS)
def test_a_piece_that_becomes_more_than_it_should(tmp_path, name, request):
    BOMBS[name](tmp_path / name)
    request.getfixturevalue("bounded")
    with pytest.raises(ReadError, match="claims") as caught:
        read_volume(tmp_path / name)
    assert name in str(caught.value)


def test_honest_volumes_open_however_well_they_are_packed(tmp_path):
    """An empty label map shrinks a thousandfold and more."""
    empty = np.zeros((64, 512, 512), np.uint8)
    made.write_nifti(tmp_path / "a.nii.gz", empty, MATRIX)
    (tmp_path / "a.nrrd").write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 512 512 64\nencoding: bzip2\n\n"
        + bz2.compress(empty.tobytes())
    )
    tifffile.imwrite(tmp_path / "a.tif", empty, compression="zlib", rowsperstrip=512)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        chunks = (32, 512, 512)
        file.create_dataset("a", data=empty, chunks=chunks, compression="gzip")
    made.write_zarr(tmp_path / "a.zarr", empty, levels=1)
    np.savez_compressed(tmp_path / "a.npz", empty)
    for path in tmp_path.iterdir():
        volume = read_volume(path)
        assert volume.array.shape[0] in (64, 512)
        assert not volume.array.any()


def test_more_frames_than_a_file_can_hold(tmp_path, bounded):
    for name, syntax in (("plain", None), ("packed", JPEG2000Lossless)):
        dataset = made.dicom_slice(ARRAY, MATRIX, 0, NumberOfFrames=20_000_000)
        if syntax is not None:
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData = pydicom.encaps.encapsulate([bytes(100)])
        path = tmp_path / f"{name}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        with pytest.raises(ReadError, match=r"claims 20000000 frames of 5 × 6"):
            read_volume(path)


def test_a_slice_opens_beside_a_damaged_neighbour(tmp_path):
    folder = made.write_dicom(tmp_path / "a", ARRAY, MATRIX)
    lying = made.dicom_slice(ARRAY, MATRIX, 0, NumberOfFrames=20_000_000)
    lying.save_as(folder / "lying", enforce_file_format=True)
    assert read_volume(folder / "900").array.shape == ARRAY.shape


def test_pieces_too_small_to_be_read(tmp_path, bounded):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (900, 900, 900), "u1", chunks=(1, 1, 8))
    with pytest.raises(ReadError, match=r"9\.15e\+07 pieces of 8 bytes"):
        read_volume(tmp_path / "a.h5")


@pytest.mark.parametrize("chunk", [10, 10**6])
def test_a_store_of_more_chunks_than_atoms(tmp_path, bounded, chunk):
    store = tmp_path / "a.zarr"
    zarr.create_array(store, shape=(10, 10, 10), chunks=(10, 10, 10), dtype="u1")
    about = json.loads((store / "zarr.json").read_text())
    about["shape"] = [10**18] * 3
    about["chunk_grid"]["configuration"]["chunk_shape"] = [chunk] * 3
    (store / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(ReadError, match=r"claims 1000000.* × 1000000"):
        read_volume(store)


def test_many_small_chunks_are_read_together(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "LARGE", 100)
    monkeypatch.setattr(pieces, "_MOST_PIECES", 20)
    made.write_hdf5(tmp_path / "a.h5", np.tile(ARRAY, (2, 2, 2)))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["volume"]
        file.create_dataset("volume", data=np.tile(ARRAY, (2, 2, 2)), chunks=(1, 2, 3))
    volume = read_volume(tmp_path / "a.h5")
    assert volume.array.npartitions <= 20
    np.testing.assert_array_equal(np.asarray(volume.array), np.tile(ARRAY, (2, 2, 2)))


def test_what_a_machine_cannot_hold_is_said(tmp_path, monkeypatch):
    class Little:
        available = 100

    made.write_nifti(tmp_path / "a.nii.gz", ARRAY, MATRIX)
    np.save(tmp_path / "a.npy", ARRAY)
    made.write_zarr(tmp_path / "a.zarr", ARRAY, levels=1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Little)
    for path in tmp_path.iterdir():
        with pytest.raises(ReadError, match=r"claims .* × .* to be read at once.*are free"):
            read_volume(path)


def test_sizes_of_zstandard_without_a_claim():
    """A frame without a content size, of a raw, a repeated and a compressed block."""
    blocks = [(5 << 3, bytes(5)), (7 << 3 | 1 << 1, b"x"), (3 << 3 | 2 << 1 | 1, bytes(3))]
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(
        head.to_bytes(3, "little") + body for head, body in blocks
    )
    assert claims._zstd_size(frame) == 5 + 7 + 2**17
    assert claims._zstd_size(frame[:9]) == 5
    assert claims._zstd_size(b"something else") == 0

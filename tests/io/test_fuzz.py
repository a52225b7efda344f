"""Damaged at random, a file gives a volume or one of our own errors; nothing else."""

from __future__ import annotations

import contextlib

import imageio.v3 as imageio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_dinomed.errors import DinomedError
from napari_dinomed.io import can_read, list_contents, read_volume
from tests.conftest import LONG
from tests.io import made

CASES = 2_000 if LONG else 150
ARRAY = np.random.default_rng(0).integers(0, 100, (4, 9, 8)).astype(np.int16)
MATRIX = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -300], [0, 0, 0, 1.0]])
BYTES = st.one_of(
    st.sampled_from([b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"-1"]),
    st.binary(min_size=1, max_size=8),
)
# Where (most of the meaning is at the start), what with, and whether bytes are added.
DAMAGE = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.floats(0, 0.05)), BYTES, st.sampled_from("rrrid")
    ),
    min_size=1,
    max_size=6,
)


def damaged(whole: bytes, damage) -> bytes:
    data = bytearray(whole)
    for place, new, kind in damage:
        at = int(place * max(0, len(data) - 1))
        if kind == "r":
            data[at : at + len(new)] = new
        elif kind == "i":
            data[at:at] = new
        else:
            del data[at : at + 64 * len(new)]
    return bytes(data)


def _nifti_of(suffix):
    return lambda p: made.write_nifti(p / f"a{suffix}", ARRAY, MATRIX)


def _zarr_metadata(folder):
    store = made.write_zarr(folder / "a.zarr", ARRAY.astype(np.uint8), "0.5")
    return store / "zarr.json"


def _zarr_chunk(folder):
    store = made.write_zarr(folder / "a.zarr", ARRAY.astype(np.uint8), "0.4", levels=1)
    return max((p for p in store.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def _png(folder):
    for number, plane in enumerate(ARRAY.astype(np.uint8)):
        imageio.imwrite(folder / f"{number}.png", plane)
    return folder / "2.png"


def _save(folder, save, name):
    save(folder / name, ARRAY)
    return folder / name


# What is damaged, and what is then opened, from it.
FILES = {
    "nii": (_nifti_of(".nii"), None),
    "nii.gz": (_nifti_of(".nii.gz"), None),
    "mgz": (lambda p: made.write_mgz(p / "a.mgh", ARRAY, MATRIX), None),
    "nrrd": (lambda p: made.write_nrrd(p / "a.nrrd", ARRAY, MATRIX), None),
    "mha": (lambda p: made.write_mha(p / "a.mha", ARRAY, MATRIX), None),
    "gipl": (lambda p: made.write_mha(p / "a.gipl", ARRAY, MATRIX), None),
    "tif": (lambda p: made.write_tiff(p / "a.ome.tif", ARRAY), None),
    "mrc": (lambda p: made.write_mrc(p / "a.mrc", ARRAY), None),
    "mrc.gz": (lambda p: made.write_mrc(p / "a.mrc.gz", ARRAY), None),
    "h5": (lambda p: made.write_hdf5(p / "a.h5", ARRAY), None),
    "npy": (lambda p: _save(p, np.save, "a.npy"), None),
    "npz": (lambda p: _save(p, np.savez, "a.npz"), None),
    "dicom": (lambda p: made.write_dicom(p / "a", ARRAY, MATRIX) / "898", "parent"),
    "zarr metadata": (_zarr_metadata, "parent"),
    "zarr chunk": (_zarr_chunk, "store"),
    "png": (_png, "parent"),
}


# Read in a process of their own.
SLOW = ("mha", "gipl")
SETTINGS = {
    "deadline": 20_000,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def _made(kind, folder):
    """A file, and what to open so that it is read."""
    make, opened = FILES[kind]
    path = make(folder)
    return path, {None: path, "parent": path.parent, "store": folder / "a.zarr"}[opened]


@pytest.mark.parametrize("kind", FILES)
def test_undamaged_they_are_read(tmp_path, kind):
    assert read_volume(_made(kind, tmp_path)[1]).array.shape == ARRAY.shape


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in SLOW])
@settings(max_examples=CASES, **SETTINGS)
@given(damage=DAMAGE)
def test_only_our_own_error_comes_out(tmp_path_factory, kind, damage):
    open_damaged(tmp_path_factory.mktemp("fuzz"), kind, damage)


@pytest.mark.parametrize("kind", SLOW)
@settings(max_examples=CASES // 10, **SETTINGS)
@given(damage=DAMAGE)
def test_only_our_own_error_comes_out_of_a_process(tmp_path_factory, kind, damage):
    open_damaged(tmp_path_factory.mktemp("fuzz"), kind, damage)


def open_damaged(folder, kind, damage):
    path, place = _made(kind, folder)
    path.write_bytes(damaged(path.read_bytes(), damage))
    assert can_read(place) in (True, False)
    for read in (list_contents, read_volume):
        try:
            read(place)
        except DinomedError as error:
            assert str(error)  # noqa: PT017 - the error is one of two right outcomes


REAL = {
    "nifti": "mr_hippocampus/images/hippocampus_001.nii.gz",
    "nrrd": "mr_nrrd/brain1_label.nrrd",
    "mrc": "mrc/EMD-3001.map",
    "imagej": "cryoet/14pf_MT.tif",
    "ome-tiff": "ometiff/4D-series.ome.tif",
    "jpeg 2000": "ct_dicom/dicom",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", REAL)
@settings(max_examples=CASES // 3, **SETTINGS)
@given(damage=DAMAGE)
def test_real_files_damaged(tmp_path_factory, shared_data, kind, damage):
    source = shared_data / REAL[kind]
    if source.is_dir():
        source = min(source.iterdir())
    path = tmp_path_factory.mktemp("fuzz") / source.name
    path.write_bytes(damaged(source.read_bytes(), damage))
    for read in (list_contents, read_volume):
        with contextlib.suppress(DinomedError):
            read(path)

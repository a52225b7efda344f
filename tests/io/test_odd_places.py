"""Pipes, devices and folders where files are expected; JSON without a bottom."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import imageio.v3 as imageio
import nibabel as nib
import numpy as np
import pytest
from pydantic import TypeAdapter

from napari_dinomed.errors import DinomedError, ReadError, WriteError
from napari_dinomed.io import (
    can_read,
    list_contents,
    read_labels,
    read_volume,
    write_labels,
)
from napari_dinomed.io.atomic import write_text
from napari_dinomed.io.journal import Journal
from napari_dinomed.session.file import load_document
from napari_dinomed.session.written import prompts_from_file
from tests.io import made

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are of POSIX"),
    # Whoever opens a pipe waits for ever.
    pytest.mark.timeout(20),
]
ARRAY = np.arange(4 * 70 * 70, dtype=np.uint8).reshape(4, 70, 70)
DEEP = "[" * 100_000


@pytest.mark.parametrize("name", ["a.nii.gz", "a.dcm", "a.tif", "a.zarr", "a", "a.zip"])
def test_a_pipe_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert not can_read(tmp_path / name)
    for read in (read_volume, read_labels, list_contents):
        with pytest.raises(ReadError, match=rf"{name} is a pipe"):
            read(tmp_path / name)
    with pytest.raises(ReadError, match="is a pipe"):
        read_volume([tmp_path / name, tmp_path / name])


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/dev/stdin"])
def test_a_device_is_refused_at_once(place):
    if Path(place).is_file():
        pytest.skip("it is a file here")
    with pytest.raises(ReadError, match="a device"):
        read_volume(place)


def test_pipes_inside_of_folders_are_passed_by_or_said(tmp_path):
    series = made.write_dicom(tmp_path / "series", ARRAY, np.diag([2.5, 1, 1, 1]))
    os.mkfifo(series / "pipe")
    assert read_volume(series / "900").array.size == ARRAY.size
    assert read_volume(series).array.size == ARRAY.size
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, plane in enumerate(ARRAY):
        imageio.imwrite(pictures / f"{number}.png", plane)
    os.mkfifo(pictures / "pipe.png")
    assert read_volume(pictures).array.shape == ARRAY.shape
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY, levels=1)
    chunk = next(p for p in store.rglob("*") if p.is_file() and p.name != "zarr.json")
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(ReadError, match="is a pipe"):
        read_volume(store)


def test_voxels_that_are_a_pipe(tmp_path):
    nib.save(nib.Nifti1Pair(ARRAY, np.eye(4)), tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    os.mkfifo(tmp_path / "a.img")
    with pytest.raises(ReadError, match=r"a\.img is a pipe"):
        read_volume(tmp_path / "a.hdr")


@pytest.mark.parametrize("kind", ["pipe", "folder", "deep", "odd"])
@pytest.mark.parametrize("read", [load_document, prompts_from_file])
def test_json_that_is_none(tmp_path, ball_volume, kind, read):
    path = tmp_path / "a.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text(DEEP if kind == "deep" else '{"points": {"a": [Infinity]}}')
    arguments = (path,) if read is load_document else (path, ball_volume[0])
    with pytest.raises(DinomedError):
        read(*arguments)


def test_metadata_without_a_bottom(tmp_path):
    """Of a store that is read, and of one whose place a result would take."""
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY, levels=1)
    (store / "zarr.json").write_text(DEEP)
    with pytest.raises(ReadError, match="OME-Zarr"):
        read_volume(store)
    volume = read_volume(made.write_tiff(tmp_path / "a.tif", ARRAY))
    with pytest.raises(WriteError, match="stays"):
        write_labels(store, np.ones(ARRAY.shape, np.uint8), volume)
    shutil.rmtree(store)


def test_nothing_takes_the_place_of_a_pipe(tmp_path):
    pipe = tmp_path / "figures.json"
    os.mkfifo(pipe)
    with pytest.raises(WriteError, match="a device or a pipe"):
        write_text(pipe, "{}")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_a_run_has_done_is_a_file(tmp_path, make):
    make(tmp_path / "manifest.jsonl")
    with pytest.raises(ReadError, match=r"manifest\.jsonl"):
        Journal(tmp_path / "manifest.jsonl", TypeAdapter(int)).rows()

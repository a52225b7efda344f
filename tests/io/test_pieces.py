"""Voxels that are read long after a file was opened: the same one error as at opening."""

from __future__ import annotations

import re
import sys

import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_dinomed import cli
from napari_dinomed.errors import ReadError
from napari_dinomed.io import pieces, read_volume
from tests.io import made

ARRAY = np.random.default_rng(0).integers(0, 200, (30, 64, 64)).astype(np.uint8)


def _spoil(path, start=None):
    """Overwrite a stretch of a file, in the middle where no other place is given."""
    whole = bytearray(path.read_bytes())
    start = len(whole) // 2 if start is None else start
    whole[start : start + 200] = bytes(200)
    path.write_bytes(whole)


def _tiff(folder):
    tifffile.imwrite(folder / "a.tif", ARRAY, compression="zlib", metadata={"axes": "ZYX"})
    with tifffile.TiffFile(folder / "a.tif") as tiff:
        strip = tiff.pages[15].dataoffsets[0]
    _spoil(folder / "a.tif", strip + 100)
    return folder / "a.tif"


def _hdf5(folder):
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("a", data=ARRAY, chunks=(1, 64, 64), compression="gzip")
    _spoil(folder / "a.h5")
    return folder / "a.h5"


def _zarr(folder):
    store = made.write_zarr(folder / "a.zarr", ARRAY, levels=1)
    chunks = (path for path in store.rglob("*") if path.is_file())
    chunk = max(chunks, key=lambda path: path.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:1000])
    return store


def _pictures(folder):
    for number, plane in enumerate(ARRAY):
        imageio.imwrite(folder / f"{number:02d}.png", plane)
    _spoil(folder / "15.png")
    return folder


DAMAGED = {"TIFF": _tiff, "HDF5": _hdf5, "OME-Zarr": _zarr, "stack of pictures": _pictures}


@pytest.fixture(params=DAMAGED)
def damaged(request, tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    return request.param, DAMAGED[request.param](folder)


def test_damage_is_said_when_it_is_found_as_at_opening(damaged, monkeypatch):
    kind, path = damaged
    with pytest.raises(ReadError) as at_opening:
        read_volume(path)
    monkeypatch.setattr(pieces, "LARGE", 100)
    volume = read_volume(path)
    assert volume.is_lazy
    with pytest.raises(ReadError) as later:
        np.asarray(volume.array)
    said = str(later.value)
    assert re.match(rf"(Expected whole {kind} data|Expected slices)", said), said
    assert path.name in said or "15.png" in said
    # Of several threads, any may be the first to find it.
    assert said.partition(":")[0] == str(at_opening.value).partition(":")[0]


@pytest.mark.parametrize("command", ["info", "segment"])
def test_the_command_line_says_it_in_one_line(
    damaged, command, monkeypatch, capsys, tmp_path
):
    kind, path = damaged
    monkeypatch.setattr(pieces, "LARGE", 100)
    # Information is from samples, which may pass by the damage.
    monkeypatch.setattr("napari_dinomed.volume.volume._BLOCK", 64)
    out = tmp_path / "labels.ome.tif"
    more = ["--point", "2,3,4=1", "--out", out] if command == "segment" else []
    arguments = ["napari-dinomed", command, path, *more]
    monkeypatch.setattr(sys, "argv", [str(each) for each in arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: Expected")
    assert kind in said
    assert said.count("\n") == 1
    assert not out.exists()

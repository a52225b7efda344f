"""MRC, HDF5, NumPy, TIFF and stacks of pictures: sizes, units, axes, order."""

from __future__ import annotations

import gzip
import json
import shutil

import h5py
import imageio.v3 as imageio
import mrcfile
import numpy as np
import pytest
import tifffile

from napari_dinomed.errors import ReadError, VolumeError
from napari_dinomed.io import (
    Pick,
    describe,
    list_contents,
    pieces,
    read_labels,
    read_volume,
    write_labels,
)
from tests.io import made

ARRAY = np.random.default_rng(0).integers(0, 100, (5, 6, 7)).astype(np.int16)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32, np.uint16, np.float16])
@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".rec", ".map"])
def test_mrc_modes(tmp_path, dtype, suffix):
    array = ARRAY.astype(dtype)
    volume = read_volume(made.write_mrc(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.unit == "Å"
    assert volume.geometry.spacing == pytest.approx((50, 4, 4.5))
    assert volume.geometry.to_world([[0, 0, 0]])[0, 0] == 12


def test_the_maps_axes_may_be_in_any_order(shared_data):
    """In this map columns run along Z, rows along X and sections along Y."""
    path = shared_data / "mrc" / "EMD-3001.map"
    volume = read_volume(path)
    with mrcfile.open(path) as file:
        header = file.header
        assert (header.mapc, header.mapr, header.maps) == (3, 1, 2)
        np.testing.assert_array_equal(volume.array, file.data)
        size = file.voxel_size
    z, y, x = volume.geometry.spacing
    assert (z, y, x) == pytest.approx((float(size.y), float(size.x), float(size.z)))
    step = volume.geometry.to_world([[0, 0, 1]]) - volume.geometry.to_world([[0, 0, 0]])
    np.testing.assert_allclose(step, [[0, 0, float(size.z)]], atol=1e-6)


def test_labels_on_a_map_with_turned_axes(shared_data, tmp_path):
    volume = read_volume(shared_data / "mrc" / "EMD-3001.map")
    labels = (volume.array > 0.2).astype(np.uint8)
    write_labels(tmp_path / "l.map", labels, volume)
    again = read_volume(tmp_path / "l.map")
    np.testing.assert_array_equal(again.array, labels)
    np.testing.assert_allclose(again.geometry.matrix, volume.geometry.matrix, atol=1e-4)


def test_hdf5_datasets_are_picked(tmp_path):
    path = made.write_hdf5(tmp_path / "a.h5", ARRAY)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.geometry.unit == "µm"
    assert volume.geometry.spacing == pytest.approx((0.05, 0.004, 0.0045))
    with h5py.File(path, "a") as file:
        file["more/labels"] = ARRAY[:3]
        file["text"] = "not a volume"
    assert [part.key for part in list_contents(path).parts] == ["/more/labels", "/volume"]
    with pytest.raises(VolumeError, match="more/labels"):
        read_volume(path)
    listed = describe(path, Pick())
    assert listed["part /volume"] == "/volume (5, 6, 7)"
    assert "type" not in listed
    assert describe(path, Pick(part="/volume"))["type"] == "int16"
    assert read_volume(path, Pick(part="/more/labels")).array.shape == (3, 6, 7)
    with pytest.raises(VolumeError, match="'/nothing'"):
        read_volume(path, Pick(part="/nothing"))


def test_ilastiks_axes(tmp_path):
    array = np.arange(2 * 3 * 4 * 5 * 2, dtype=np.uint8).reshape(2, 3, 4, 5, 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("exported_data", data=array)
        tags = {"axes": [{"key": key} for key in "tzyxc"]}
        dataset.attrs["axistags"] = json.dumps(tags)
    contents = list_contents(tmp_path / "a.h5")
    assert (contents.frames, contents.channels) == (2, 2)
    volume = read_volume(tmp_path / "a.h5", Pick(frame=1, channel=1))
    np.testing.assert_array_equal(volume.array, array[1, ..., 1])


def test_numpy(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.npy").array, ARRAY)
    np.savez(tmp_path / "b.npz", first=ARRAY, second=ARRAY[:2], name="x")
    assert [p.key for p in list_contents(tmp_path / "b.npz").parts] == ["first", "second"]
    with pytest.raises(VolumeError, match="first"):
        read_volume(tmp_path / "b.npz")
    second = read_volume(tmp_path / "b.npz", Pick(part="second"))
    np.testing.assert_array_equal(second.array, ARRAY[:2])


def test_numpy_is_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print, 1], [2, 3]], dtype=object))
    with pytest.raises(ReadError):
        read_volume(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures_are_ordered_as_people_count(tmp_path, suffix):
    for number in range(12):
        picture = np.full((5, 6), number, np.uint16)
        imageio.imwrite(tmp_path / f"Slice{number}{suffix}", picture)
    (tmp_path / "notes.txt").write_text("not a picture")
    for given in (tmp_path, sorted(tmp_path.glob(f"*{suffix}"))):
        volume = read_volume(given)
        assert volume.array[:, 0, 0].tolist() == list(range(12))
        assert volume.array.dtype == np.uint16


def test_pictures_of_other_sizes_are_refused(tmp_path):
    imageio.imwrite(tmp_path / "1.png", np.zeros((5, 6), np.uint8))
    imageio.imwrite(tmp_path / "2.png", np.zeros((5, 7), np.uint8))
    with pytest.raises(ReadError, match=r"\(5, 7\).*2\.png"):
        read_volume(tmp_path)


def test_coloured_pictures(tmp_path):
    for number in range(3):
        imageio.imwrite(tmp_path / f"{number}.png", np.full((4, 5, 3), (1, 2, 3), np.uint8))
    assert list_contents(tmp_path).has_colours
    volume = read_volume(tmp_path)
    assert volume.colours.shape == (3, 4, 5, 3)
    assert volume.colours[2, 0, 0].tolist() == [1, 2, 3]
    assert volume.modality == "other"
    with pytest.raises(ReadError, match="picture in colour"):
        read_labels(tmp_path)
    assert read_volume(tmp_path, Pick(channel=2)).array.max() == 3


def test_tiff_time_and_channels(tmp_path):
    array = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
    axes = {"axes": "TZCYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, metadata=axes)
    tifffile.imwrite(tmp_path / "b.tif", array, imagej=True, metadata=axes)
    for name in ("a.ome.tif", "b.tif"):
        contents = list_contents(tmp_path / name)
        assert (contents.frames, contents.channels) == (2, 4)
        volume = read_volume(tmp_path / name, Pick(frame=1, channel=2))
        np.testing.assert_array_equal(volume.array, array[1, :, 2])
    with pytest.raises(VolumeError):
        read_volume(tmp_path / "b.tif", Pick(channel=4))


def test_a_real_time_series(shared_data):
    path = shared_data / "ometiff" / "4D-series.ome.tif"
    assert list_contents(path).frames == 7
    first, last = (read_volume(path, Pick(frame=n)) for n in (0, 6))
    assert first.array.shape == (5, 167, 439)
    assert (first.array != last.array).any()


def test_bigtiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, bigtiff=True, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, ARRAY)


def test_resolution_per_centimetre_is_a_size_and_per_inch_is_not(tmp_path):
    for unit, name in (("CENTIMETER", "a.tif"), ("INCH", "b.tif")):
        tifffile.imwrite(
            tmp_path / name,
            ARRAY,
            resolution=(20_000, 10_000),
            resolutionunit=unit,
            photometric="minisblack",
        )
    volume = read_volume(tmp_path / "a.tif")
    assert volume.geometry.spacing == pytest.approx((1.0, 1.0, 0.5))
    assert volume.geometry.unit == "µm"
    assert read_volume(tmp_path / "b.tif").geometry.unit == "px"


def test_entities_in_ome_metadata_are_not_expanded(tmp_path):
    bomb = f'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "{"&a;" * 50}">]>'
    ome = (
        f'<?xml version="1.0"?>{bomb}<OME xmlns="http://www.openmicroscopy.org/Schemas/'
        'OME/2016-06"><Image ID="Image:0" Name="&b;"><Pixels ID="P:0" SizeX="7" SizeY="6" '
        'SizeZ="5" SizeC="1" SizeT="1" Type="int16" DimensionOrder="XYZCT" '
        'PhysicalSizeX="&b;"><TiffData/></Pixels></Image></OME>'
    )
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        ARRAY,
        description=ome.encode(),
        metadata=None,
        photometric="minisblack",
    )
    with pytest.raises(ReadError, match=r"a\.ome\.tif"):
        read_volume(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("kind", ["mrc", "npy", "h5", "tif", "nii", "nrrd", "png"])
def test_large_files_are_read_when_needed(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(pieces, "LARGE", 100)
    path = tmp_path / f"a.{kind}"
    matrix = np.diag([3.0, 2, 1, 1])[[2, 1, 0, 3]]
    if kind == "mrc":
        made.write_mrc(path, ARRAY)
    elif kind == "npy":
        np.save(path, ARRAY)
    elif kind == "h5":
        made.write_hdf5(path, ARRAY)
    elif kind == "tif":
        made.write_tiff(path, ARRAY)
    elif kind == "nii":
        made.write_nifti(path, ARRAY, matrix)
    elif kind == "nrrd":
        import nrrd

        nrrd.write(str(path), ARRAY.T, {"encoding": "raw", "spacings": [1.0, 2.0, 3.0]})
    else:
        path = tmp_path
        for number, plane in enumerate(ARRAY.astype(np.uint8)):
            imageio.imwrite(tmp_path / f"{number}.png", plane)
    volume = read_volume(path)
    assert volume.is_lazy
    read = volume.geometry.to_file_order(np.asarray(volume.array))
    np.testing.assert_array_equal(read, ARRAY)
    assert read_volume(volume.origin.source, volume.origin.pick).fingerprint == (
        volume.fingerprint
    )


def test_a_zipped_map_of_another_name(tmp_path):
    path = made.write_mrc(tmp_path / "a.mrc", ARRAY)
    with gzip.open(tmp_path / "b.mrc.gz", "wb") as file, path.open("rb") as plain:
        shutil.copyfileobj(plain, file)
    np.testing.assert_array_equal(read_volume(tmp_path / "b.mrc.gz").array, ARRAY)

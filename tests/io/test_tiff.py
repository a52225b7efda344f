from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_dinomed.errors import VolumeError
from napari_dinomed.io import read_labels, read_volume, write_labels

STACK = np.arange(3 * 5 * 7, dtype=np.uint16).reshape(3, 5, 7)
NANOMETRES = {
    "axes": "ZYX",
    "PhysicalSizeX": 4.0,
    "PhysicalSizeXUnit": "nm",
    "PhysicalSizeY": 5.0,
    "PhysicalSizeYUnit": "nm",
    "PhysicalSizeZ": 50.0,
    "PhysicalSizeZUnit": "nm",
}


def test_ome_pixel_sizes_reach_the_geometry(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=NANOMETRES)
    volume = read_volume(tmp_path / "a.ome.tif")
    assert volume.geometry.spacing == (50.0, 5.0, 4.0)
    assert volume.geometry.unit == "nm"
    np.testing.assert_array_equal(volume.array, STACK)


def test_imagej_pixel_sizes_reach_the_geometry(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(1 / 0.25, 1 / 0.5),
        metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"},
    )
    volume = read_volume(tmp_path / "a.tif")
    assert volume.geometry.spacing == pytest.approx((2.0, 0.5, 0.25))
    assert volume.geometry.unit == "µm"


def test_labels_come_back_on_the_same_grid(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=NANOMETRES)
    volume = read_volume(tmp_path / "a.ome.tif")
    write_labels(tmp_path / "l.ome.tif", (STACK % 3).astype(np.uint8), volume)
    labels, again = read_labels(tmp_path / "l.ome.tif")
    np.testing.assert_array_equal(labels, STACK % 3)
    assert again.geometry == volume.geometry


def test_three_slices_are_a_volume_not_a_colour_picture(tmp_path):
    tifffile.imwrite(tmp_path / "three.tif", STACK, photometric="minisblack")
    assert read_volume(tmp_path / "three.tif").array.shape == (3, 5, 7)


def test_one_slice_is_a_volume(tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", STACK[0])
    assert read_volume(tmp_path / "one.tif").array.shape == (1, 5, 7)


def test_colour_is_refused(tmp_path):
    rgb = np.zeros((5, 7, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb")
    with pytest.raises(VolumeError, match="grey"):
        read_volume(tmp_path / "rgb.tif")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_grey_values_of_every_type_come_through(tmp_path, dtype):
    array = STACK.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, array)

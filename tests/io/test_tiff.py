from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_dinomed.errors import ReadError, VolumeError
from napari_dinomed.io import Pick, read_labels, read_volume, write_labels
from napari_dinomed.volume import choose_window

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


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 7)])
def test_colours_come_through_and_are_no_labels(tmp_path, planar, shape):
    colours = np.arange(np.prod(shape) * 3).reshape(*shape, 3).astype(np.uint8)
    stored = np.moveaxis(colours, -1, -3) if planar == "separate" else colours
    path = tmp_path / "rgb.tif"
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.colours.reshape(colours.shape), colours)
    luma = (colours @ (0.299, 0.587, 0.114)).round()
    np.testing.assert_array_equal(volume.array.reshape(shape), luma)
    assert choose_window(volume).high == 255
    with pytest.raises(ReadError, match="picture in colour"):
        read_labels(path)
    red = read_volume(path, Pick(channel=0))
    np.testing.assert_array_equal(red.array.reshape(shape), colours[..., 0])
    assert red.colours is None


def test_two_values_a_pixel_are_no_colours(tmp_path):
    """Grey with opacity."""
    two = np.zeros((5, 7, 2), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "two.tif", two, photometric="minisblack", extrasamples=(2,))
    with pytest.raises(VolumeError, match="got 2 values"):
        read_volume(tmp_path / "two.tif")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_grey_values_of_every_type_come_through(tmp_path, dtype):
    array = STACK.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, array)

"""Whole-slide images: one level and one region at a time, in its place in the world."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_dinomed.errors import ReadError, VolumeError
from napari_dinomed.io import Pick, describe, list_contents, read_volume, tiff, write_labels
from napari_dinomed.io.region import parse_region

SLIDE = np.random.default_rng(0).integers(0, 255, (256, 320, 3), np.uint8)
COARSE = SLIDE[::2, ::2]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """An OME-TIFF pyramid of tiles, half a micrometre a pixel."""
    path = tmp_path_factory.mktemp("slides") / "slide.ome.tif"
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "axes": "YXS"}
    how = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(SLIDE, subifds=1, metadata=size, **how)
        writer.write(COARSE, subfiletype=1, **how)
    return path


def test_levels_are_listed_and_the_finest_is_read(slide):
    contents = list_contents(slide)
    assert [part.key for part in contents.parts] == ["0", "1"]
    assert "128 × 160" in contents.parts[1].title
    assert contents.is_settled
    assert contents.has_colours
    volume = read_volume(slide)
    np.testing.assert_array_equal(volume.colours[0], SLIDE)
    assert volume.geometry.spacing[1:] == (0.5, 0.5)
    assert "red, green, blue" in describe(slide, Pick())["colours"]


def test_a_coarser_level_has_larger_pixels(slide):
    volume = read_volume(slide, Pick("1"))
    np.testing.assert_array_equal(volume.colours[0], COARSE)
    assert volume.geometry.spacing[1:] == (1.0, 1.0)
    with pytest.raises(VolumeError, match="'7' is not one"):
        read_volume(slide, Pick("7"))


def test_of_what_is_too_large_the_finest_level_that_is_not(slide, monkeypatch):
    monkeypatch.setattr(tiff, "MOST_PIXELS", 128 * 160)
    assert not list_contents(slide).is_settled
    volume = read_volume(slide)
    assert volume.colours.shape == (1, 128, 160, 3)
    assert any("this is level 1" in note for note in volume.notes)
    region = read_volume(slide, Pick(region=(10, 20, 30, 40)))
    np.testing.assert_array_equal(region.colours[0], SLIDE[10:40, 20:60])


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_region_lies_where_it_was_cut_out(slide, monkeypatch, tmp_path, is_lazy):
    if is_lazy:
        monkeypatch.setattr("napari_dinomed.io.pieces.LARGE", 40 * 40 * 3)
    volume = read_volume(slide, Pick("1", region=(8, 16, 32, 24)))
    assert not volume.is_lazy
    np.testing.assert_array_equal(volume.colours[0], COARSE[8:40, 16:40])
    corner = volume.geometry.to_world(np.zeros((1, 3)))[0]
    np.testing.assert_allclose(corner, (16.0, 8.0, 0.0))
    labels = (volume.array > 128).astype(np.uint8)
    write_labels(tmp_path / "labels.ome.tif", labels, volume)
    again = read_volume(tmp_path / "labels.ome.tif")
    assert again.geometry.spacing == volume.geometry.spacing


def test_a_slide_is_read_piece_by_piece(slide, monkeypatch):
    monkeypatch.setattr("napari_dinomed.io.pieces.LARGE", 1000)
    volume = read_volume(slide)
    assert volume.is_lazy
    np.testing.assert_array_equal(
        np.asarray(volume.colours[0, 60:70, 60:70]), SLIDE[60:70, 60:70]
    )
    assert volume.fingerprint != read_volume(slide, Pick("1")).fingerprint


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (-1, 0, 5, 5), (250, 0, 10, 5)])
def test_a_region_outside_is_refused(slide, region):
    with pytest.raises(VolumeError, match="inside 256 x 320 pixels"):
        read_volume(slide, Pick(region=region))


def test_what_is_no_region_is_refused():
    assert parse_region("1,2,30,40") == (1, 2, 30, 40)
    for text in ("1,2,3", "a,b,c,d", ""):
        with pytest.raises(VolumeError, match="ROW,COLUMN,ROWS,COLUMNS"):
            parse_region(text)


@pytest.fixture
def other_slide(tmp_path):
    """Tiles of two levels under a name that is OpenSlide's: it reads what it finds."""
    pytest.importorskip("openslide", reason="the extra 'slides' is not installed")
    path = tmp_path / "slide.vmu"
    how = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}
    with tifffile.TiffWriter(path) as writer:
        half = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
        writer.write(SLIDE, **half, **how)
        writer.write(COARSE, subfiletype=1, **how)
    return path


def test_what_openslide_reads_has_levels_regions_and_colours(other_slide, monkeypatch):
    contents = list_contents(other_slide)
    assert [part.title for part in contents.parts] == [
        *("level 0: 256 × 320 pixels", "level 1: 128 × 160 pixels")
    ]
    volume = read_volume(other_slide)
    np.testing.assert_array_equal(volume.colours[0], SLIDE)
    assert volume.geometry.spacing == (0.5, 0.5, 0.5)
    assert volume.geometry.unit == "µm"
    region = read_volume(other_slide, Pick("1", region=(8, 16, 32, 24)))
    np.testing.assert_array_equal(region.colours[0], COARSE[8:40, 16:40])
    assert region.geometry.spacing == (1.0, 1.0, 1.0)
    green = read_volume(other_slide, Pick("1", channel=1))
    np.testing.assert_array_equal(green.array[0], COARSE[..., 1])
    monkeypatch.setattr("napari_dinomed.io.slides.MOST_PIXELS", 128 * 160)
    assert any("this is level 1" in note for note in read_volume(other_slide).notes)
    monkeypatch.setattr("napari_dinomed.io.pieces.LARGE", 1000)
    lazy = read_volume(other_slide, Pick("0"))
    assert lazy.is_lazy
    np.testing.assert_array_equal(
        np.asarray(lazy.colours[0, 60:70, 50:90]), SLIDE[60:70, 50:90]
    )


def test_a_slide_that_openslide_cannot_read_is_one_line(other_slide):
    other_slide.write_bytes(b"no slide")
    with pytest.raises(ReadError, match=r"slide\.vmu cannot be read"):
        read_volume(other_slide)


def test_without_openslide_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "slide.mrxs").write_bytes(b"\xff\xd8\xff")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ReadError, match=r"pip install 'napari-dinomed\[slides\]'"):
        read_volume(tmp_path / "slide.mrxs")


def test_what_openslide_reads_is_read_block_by_block(other_slide):
    from napari_dinomed.io.stack import open_stack

    stack = open_stack(other_slide, None, (1.1, 1.1, 1.1))
    assert stack.level == "1"
    box = (slice(0, 1), slice(3, 60), slice(70, 75))
    np.testing.assert_array_equal(stack.read_colours(box)[0], COARSE[3:60, 70:75])

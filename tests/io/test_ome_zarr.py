"""Pyramids: levels, axes, units, lazily read; labels in the image's own store."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from napari_dinomed.errors import ReadError, VolumeError, WriteError
from napari_dinomed.io import (
    Pick,
    can_read,
    list_contents,
    ome_zarr_labels,
    pieces,
    read_labels,
    read_volume,
    write_labels,
)
from napari_dinomed.volume import NamedLabel
from tests.io import made

ARRAY = np.random.default_rng(0).integers(0, 255, (6, 40, 50)).astype(np.uint8)
LEGEND = (NamedLabel(1, "mitochondrion", (1.0, 0.6, 0.0)),)


@pytest.fixture(params=["0.4", "0.5"])
def version(request):
    return request.param


@pytest.fixture
def store(tmp_path, version):
    return made.write_zarr(tmp_path / "image.ome.zarr", ARRAY, version)


def test_an_image(store):
    assert can_read(store)
    volume = read_volume(store)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.geometry.spacing == (50, 4, 4.5)
    assert volume.geometry.unit == "nm"
    assert volume.geometry.to_world([[0, 0, 0]]).tolist() == [[7, 0, 100]]


def test_levels_can_be_picked(store):
    contents = list_contents(store)
    assert contents.is_settled
    fine, coarse = contents.parts
    assert "6 × 40 × 50 at 50 × 4 × 4.5 nm" in fine.title
    volume = read_volume(store, Pick(part=coarse.key))
    assert volume.array.shape == (6, 20, 25)
    assert volume.geometry.spacing == (50, 8, 9)
    with pytest.raises(VolumeError, match="no level '7'"):
        read_volume(store, Pick(part="7"))


def test_the_level_is_chosen_by_memory_and_said(store, monkeypatch):
    class Little:
        available = ARRAY.size * 8

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Little)
    volume = read_volume(store)
    assert volume.array.shape == (6, 20, 25)
    assert "finest of 2 that fits" in volume.notes[0]


def test_large_levels_are_read_when_needed(store, monkeypatch):
    monkeypatch.setattr(pieces, "LARGE", 1000)
    lazy = read_volume(store)
    assert lazy.is_lazy
    assert lazy.origin.pick.part == list_contents(store).parts[0].key
    np.testing.assert_array_equal(np.asarray(lazy.array), ARRAY)
    again = read_volume(lazy.origin.source, lazy.origin.pick)
    assert again.fingerprint == lazy.fingerprint


def test_time_and_channels(tmp_path, version):
    array = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
    kind = 2 if version == "0.4" else 3
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=kind)
    group.create_array("0", data=array)
    multiscales = [
        {
            "version": version,
            "axes": [{"name": n} for n in "tc"]
            + [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [1, 1, 0.5, 0.1, 0.1]}
                    ],
                }
            ],
            "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 2, 2]}],
        }
    ]
    inner = {"multiscales": multiscales, "version": version}
    group.attrs.update(inner if version == "0.4" else {"ome": inner})
    contents = list_contents(tmp_path / "a.zarr")
    assert (contents.frames, contents.channels) == (2, 3)
    volume = read_volume(tmp_path / "a.zarr", Pick(frame=1, channel=2))
    np.testing.assert_array_equal(volume.array, array[1, 2])
    assert volume.geometry.spacing == pytest.approx((1.0, 0.2, 0.2))
    with pytest.raises(VolumeError):
        read_volume(tmp_path / "a.zarr", Pick(channel=3))


def test_a_plain_array(tmp_path):
    zarr.save(tmp_path / "plain.zarr", ARRAY)
    volume = read_volume(tmp_path / "plain.zarr")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.geometry.unit == "px"


def test_labels_go_into_the_images_own_store(store, version):
    volume = read_volume(store)
    labels = (volume.array > 200).astype(np.uint8)
    write_labels(store, labels, volume, LEGEND)
    write_labels(store / "labels" / "second", 1 - labels, volume, LEGEND)
    write_labels(store / "labels" / "second", labels, volume, LEGEND)
    listed = zarr.open_group(store / "labels", mode="r").attrs.asdict()
    listed = listed if version == "0.4" else listed["ome"]
    assert listed["labels"] == ["dinomed", "second"]
    assert {p.name for p in (store / "labels").iterdir() if p.is_dir()} == {
        "dinomed",
        "second",
    }
    again, read = read_labels(store / "labels" / "dinomed")
    np.testing.assert_array_equal(again, labels)
    assert read.geometry == volume.geometry
    assert read.legend == LEGEND
    np.testing.assert_array_equal(read_volume(store).array, ARRAY)


def test_other_readers_understand_the_labels(store, version):
    from ome_zarr.format import format_from_version

    volume = read_volume(store)
    labels = (volume.array > 200).astype(np.uint8)
    write_labels(store, labels, volume, LEGEND)
    layout = format_from_version(version)
    nodes = list(Reader(parse_url(str(store / "labels" / "dinomed"), fmt=layout))())
    # The labels, and the image that they say they are of.
    read = [np.asarray(node.data[0]) for node in nodes if node.data]
    assert sorted(int(array.max()) for array in read) == [1, ARRAY.max()]
    assert any(np.array_equal(array, labels) for array in read)
    assert nodes[0].metadata["axes"][0]["unit"] == "nanometer"


def test_a_store_of_their_own(store, tmp_path):
    volume = read_volume(store)
    labels = (volume.array > 100).astype(np.uint8)
    write_labels(tmp_path / "labels.zarr", labels, volume, LEGEND)
    again, read = read_labels(tmp_path / "labels.zarr")
    np.testing.assert_array_equal(again, labels)
    assert read.geometry.spacing == volume.geometry.spacing


def test_a_failure_leaves_the_old_labels(store, monkeypatch):
    volume = read_volume(store)
    labels = (volume.array > 200).astype(np.uint8)
    write_labels(store, labels, volume, LEGEND)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ome_zarr_labels, "make_level", full)
    with pytest.raises(WriteError, match="No space left"):
        write_labels(store, 1 - labels, volume, LEGEND)
    again, _ = read_labels(store / "labels" / "dinomed")
    np.testing.assert_array_equal(again, labels)
    assert [p.name for p in (store / "labels").iterdir() if p.name.startswith(".d")] == []


def test_links_out_of_the_store_are_refused(store, tmp_path):
    key = list_contents(store).parts[0].key
    outside = tmp_path / "elsewhere"
    (store / key).rename(outside)
    (store / key).symlink_to(outside)
    with pytest.raises(ReadError, match="outside"):
        read_volume(store)


def test_a_voxel_without_size(tmp_path, version):
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY, version)
    group = zarr.open_group(store, mode="r+")
    attributes = group.attrs.asdict()
    inner = attributes if version == "0.4" else attributes["ome"]
    transforms = inner["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    transforms[0]["scale"] = [50, 0, -4]
    group.attrs.update(attributes)
    with pytest.raises(ReadError, match="above 0"):
        read_volume(store)


def test_a_store_without_an_image(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(ReadError, match="without an image"):
        read_volume(tmp_path / "a.zarr")


def test_over_http(store, tmp_path):
    """A store behind an ordinary web server, on this machine."""
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/image.ome.zarr"
        assert can_read(address)
        np.testing.assert_array_equal(read_volume(address).array, ARRAY)
        with pytest.raises(ReadError):
            read_volume(address.replace("image", "nothing"))
        server.shutdown()

"""What was read stays as it was, and so does what others have written."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr

from napari_dinomed.errors import WriteError
from napari_dinomed.io import (
    Origin,
    read_labels,
    read_volume,
    require_places,
    write_image,
    write_labels,
)
from napari_dinomed.volume import Geometry, NamedLabel, Volume
from tests.io import made

ARRAY = np.random.default_rng(0).integers(0, 900, (4, 5, 6)).astype(np.int16)
MATRIX = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -9], [0, 0, 0, 1.0]])
LABELS = np.ones(ARRAY.shape, np.uint8)
MAKERS = {
    "a.nii": lambda p: made.write_nifti(p, ARRAY, MATRIX),
    "a.nii.gz": lambda p: made.write_nifti(p, ARRAY, MATRIX),
    "a.nrrd": lambda p: made.write_nrrd(p, ARRAY, MATRIX),
    "a.mgz": lambda p: made.write_mgz(p, ARRAY.astype(np.int32), MATRIX),
    "a.mha": lambda p: made.write_mha(p, ARRAY, MATRIX),
    "a.ome.tif": lambda p: made.write_tiff(p, ARRAY),
    "a.map": lambda p: made.write_mrc(p, ARRAY),
}


def everything(folder):
    """All bytes below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(path, volume, match):
    before = everything(path.parent if path.parent.is_dir() else path.parent.parent)
    labels = np.ones(volume.array.shape, np.uint8)
    with pytest.raises(WriteError, match=match):
        write_labels(path, labels, volume)
    for place, content in before.items():
        assert place.read_bytes() == content
    assert everything(path.parent) == before


@pytest.fixture(params=MAKERS)
def image(request, tmp_path):
    return MAKERS[request.param](tmp_path / request.param)


def test_an_image_is_not_overwritten_by_its_labels(image):
    volume = read_volume(image)
    refused(image, volume, "which was read")
    before = image.read_bytes()
    with pytest.raises(WriteError, match="which was read"):
        write_image(image, np.asarray(volume.array), volume)
    assert image.read_bytes() == before


def test_by_none_of_its_names(image, tmp_path, monkeypatch):
    volume = read_volume(image)
    suffix = image.name.removeprefix("a")
    (tmp_path / f"soft{suffix}").symlink_to(image)
    os.link(image, tmp_path / f"hard{suffix}")
    for name in (f"soft{suffix}", f"hard{suffix}", f"A{suffix}"):
        refused(tmp_path / name, volume, "which was read")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WriteError, match="which was read"):
        write_labels(tmp_path / ".." / tmp_path.name / image.name, LABELS, volume)
    by_link = read_volume(tmp_path / f"soft{suffix}")
    refused(image, by_link, "which was read")
    write_labels(tmp_path / f"labels{suffix}", np.ones(volume.array.shape, int), volume)


def test_a_relative_name_is_known_from_elsewhere(tmp_path, monkeypatch):
    MAKERS["a.nii"](tmp_path / "a.nii")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    volume = read_volume("a.nii")
    monkeypatch.chdir(tmp_path / "elsewhere")
    refused(tmp_path / "a.nii", volume, "which was read")


def test_slices_of_dicom(tmp_path):
    folder = made.write_dicom(tmp_path / "series", ARRAY, MATRIX)
    for path in list(folder.iterdir()):
        path.rename(path.with_suffix(".dcm"))
    files = sorted(folder.iterdir())
    whole = read_volume(folder)
    refused(files[0], whole, "which was read")
    refused(folder / "labels.dcm", whole, "lies inside")
    (folder / "deep").mkdir()
    refused(folder / "deep" / "labels.nii.gz", whole, "lies inside")
    # One slice stands for its series, a list for its files.
    for given in (files[2], files):
        volume = read_volume(given)
        assert volume.array.shape == ARRAY.shape
        for path in files:
            refused(path, volume, "which was read")
    write_labels(tmp_path / "labels.dcm", LABELS, whole)
    segmentation = read_volume(tmp_path / "labels.dcm")
    refused(tmp_path / "labels.dcm", segmentation, "which was read")


def test_a_stack_of_pictures(tmp_path):
    folder = tmp_path / "stack"
    folder.mkdir()
    for number, plane in enumerate(ARRAY.astype(np.uint8)):
        imageio.imwrite(folder / f"{number}.tif", plane)
    refused(folder / "labels.ome.tif", read_volume(folder), "lies inside")
    files = sorted(folder.iterdir())
    refused(files[1], read_volume(files), "which was read")


def test_the_other_files_of_an_ome_tiff(tmp_path):
    """Planes of one image in two files that name each other."""
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{n}" for n in range(2)]
    blocks = "".join(
        f'<TiffData IFD="0" FirstZ="{n}" PlaneCount="1">'
        f'<UUID FileName="{n}.ome.tif">{uuid}</UUID></TiffData>'
        for n, uuid in enumerate(uuids)
    )
    for number, uuid in enumerate(uuids):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint8" SizeX="6" SizeY="5" SizeZ="2" SizeC="1" '
            f'SizeT="1"><Channel ID="Channel:0:0"/>{blocks}</Pixels></Image></OME>'
        )
        plane = np.full((5, 6), number, np.uint8)
        path = tmp_path / f"{number}.ome.tif"
        tifffile.imwrite(path, plane, description=text, metadata=None)
    volume = read_volume(tmp_path / "0.ome.tif")
    assert volume.array.shape == (2, 5, 6)
    refused(tmp_path / "1.ome.tif", volume, "which was read")


def test_a_zip(tmp_path):
    series = made.write_dicom(tmp_path / "series", ARRAY, MATRIX)
    with zipfile.ZipFile(tmp_path / "study.dcm", "w") as archive:
        for path in series.iterdir():
            archive.write(path, path.name)
    volume = read_volume(tmp_path / "study.dcm")
    assert volume.origin.paths == (tmp_path / "study.dcm",)
    refused(tmp_path / "study.dcm", volume, "which was read")
    write_labels(tmp_path / "labels.dcm", LABELS, volume)


def test_a_folder_that_holds_the_image(tmp_path):
    folder = tmp_path / "study.zarr"
    folder.mkdir()
    volume = read_volume(made.write_tiff(folder / "a.ome.tif", ARRAY))
    refused(folder, volume, "stays")
    assert (folder / "a.ome.tif").exists()


@pytest.mark.parametrize("name", MAKERS)
def test_every_volume_knows_where_it_came_from(tmp_path, name):
    path = MAKERS[name](tmp_path / name)
    volume = read_volume(path)
    assert not volume.is_lazy
    assert isinstance(volume.origin, Origin)
    assert volume.origin.source.paths == (path,)


def test_a_volume_from_nowhere_is_written_anywhere(tmp_path):
    volume = Volume(ARRAY, Geometry.from_spacing(ARRAY.shape, (1, 1, 1), "nm"))
    for _ in range(2):
        write_labels(tmp_path / "labels.nii.gz", LABELS, volume)
        write_labels(tmp_path / "labels.zarr", LABELS, volume)


def test_labels_of_another_shape(tmp_path):
    volume = read_volume(MAKERS["a.nii"](tmp_path / "a.nii"))
    with pytest.raises(WriteError, match=r"\(4, 5, 6\)"):
        write_labels(tmp_path / "l.nii", LABELS[:1], volume)


def test_several_results_are_told_apart(tmp_path):
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY)
    volume = read_volume(store)
    require_places([store, store / "labels" / "things"], volume)
    for second in (store, store / "labels" / "dinomed"):
        with pytest.raises(WriteError, match="two names"):
            require_places([store, second], volume)
    other = made.write_nifti(tmp_path / "t2.nii", ARRAY, MATRIX)
    with pytest.raises(WriteError, match="which was read"):
        require_places([other], volume, [read_volume(other)])
    with pytest.raises(WriteError, match="which was read"):
        require_places([other], volume, [other])
    require_places([store], volume, [read_volume(store)])


# OME-Zarr


@pytest.fixture(params=["0.4", "0.5"])
def version(request):
    return request.param


@pytest.fixture
def nifti(tmp_path):
    return read_volume(made.write_nifti(tmp_path / "a.nii", ARRAY, _upright()))


def _upright():
    matrix = np.zeros((4, 4))
    matrix[[2, 1, 0], [0, 1, 2]] = (2.5, 0.8, 0.7)
    matrix[3, 3] = 1
    return matrix


def test_a_store_of_others_stays(tmp_path, nifti, version):
    store = made.write_zarr(tmp_path / "other.zarr", ARRAY, version)
    refused(store, nifti, "labels/NAME")
    np.testing.assert_array_equal(read_volume(store).array, ARRAY)
    write_labels(store / "labels" / "bone", LABELS, nifti)
    assert read_labels(store / "labels" / "bone")[0].all()
    kind = 2 if version == "0.4" else 3
    assert zarr.open_group(store / "labels" / "bone", mode="r").metadata.zarr_format == kind


@pytest.mark.parametrize("content", ["notes.txt", "deep/scan.nii", "zarr.json"])
def test_a_folder_that_merely_ends_in_zarr_stays(tmp_path, nifti, content):
    folder = tmp_path / "holiday.zarr"
    (folder / content).parent.mkdir(parents=True)
    (folder / content).write_text("precious")
    refused(folder, nifti, "stays")
    assert (folder / content).read_text() == "precious"


def test_a_file_that_ends_in_zarr_stays(tmp_path, nifti):
    (tmp_path / "odd.zarr").write_text("precious")
    refused(tmp_path / "odd.zarr", nifti, "stays")


def test_an_empty_folder_may_be_used(tmp_path, nifti):
    (tmp_path / "labels.zarr").mkdir()
    write_labels(tmp_path / "labels.zarr", LABELS, nifti)
    assert read_labels(tmp_path / "labels.zarr")[0].all()


def test_own_labels_are_replaced_but_not_with_what_was_put_into_them(tmp_path, nifti):
    place = tmp_path / "labels.zarr"
    write_labels(place, LABELS, nifti)
    write_labels(place, 2 * LABELS, nifti)
    assert read_labels(place)[0].min() == 2
    (place / "notes.txt").write_text("precious")
    refused(place, nifti, "stays")


def test_labels_of_an_image_inside_a_store_do_not_replace_the_store(tmp_path, version):
    store = tmp_path / "store.zarr"
    kind = 2 if version == "0.4" else 3
    zarr.open_group(store, mode="w", zarr_format=kind)
    made.write_zarr(store / "raw", ARRAY, version)
    made.write_zarr(store / "neighbour", ARRAY, version)
    volume = read_volume(store / "raw")
    refused(store, volume, "stays")
    write_labels(store / "raw", LABELS, volume)
    assert read_labels(store / "raw" / "labels" / "dinomed")[0].all()
    write_labels(store / "raw" / "labels" / "dinomed", 2 * LABELS, volume)
    refused(store / "raw" / "labels.zarr", volume, "lies inside")
    refused(store / "raw" / "labels.nii.gz", volume, "lies inside")
    for name in ("raw", "neighbour"):
        np.testing.assert_array_equal(read_volume(store / name).array, ARRAY)


def test_labels_that_somebody_else_made_stay(tmp_path, version):
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY, version)
    made.write_zarr(store / "labels" / "nuclei", ARRAY.astype(np.uint16), version)
    kind = 2 if version == "0.4" else 3
    zarr.open_group(store / "labels", mode="a", zarr_format=kind)
    volume = read_volume(store)
    refused(store / "labels" / "nuclei", volume, "stays")
    write_labels(store, LABELS, volume)
    assert (store / "labels" / "nuclei").is_dir()


def test_labels_go_only_where_a_store_can_have_them(tmp_path, nifti):
    zarr.save(tmp_path / "bare.zarr", ARRAY)
    bare = read_volume(tmp_path / "bare.zarr")
    refused(tmp_path / "bare.zarr", bare, "is none")
    with pytest.raises(WriteError, match="is not there"):
        write_labels(tmp_path / "nothing.zarr" / "labels" / "a", LABELS, nifti)
    assert not (tmp_path / "nothing.zarr").exists()
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY)
    (store / "labels").mkdir()
    (store / "labels" / "notes.txt").write_text("precious")
    refused(store, read_volume(store), "no Zarr group")


def test_a_failure_leaves_no_labels_behind(tmp_path, monkeypatch, version):
    from napari_dinomed.io import ome_zarr_labels

    store = made.write_zarr(tmp_path / "a.zarr", ARRAY, version)
    volume = read_volume(store)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ome_zarr_labels, "make_level", full)
    before = sorted(store.rglob("*"))
    with pytest.raises(WriteError, match="No space"):
        write_labels(store, LABELS, volume)
    assert sorted(store.rglob("*")) == before


def test_what_came_meanwhile_stays(tmp_path, nifti, monkeypatch):
    """Another program makes its store while the labels are being written."""
    from napari_dinomed.io import ome_zarr

    place, write = tmp_path / "labels.zarr", ome_zarr.write_pyramid

    def slow(*arguments):
        write(*arguments)
        made.write_zarr(place, ARRAY)

    monkeypatch.setattr(ome_zarr, "write_pyramid", slow)
    with pytest.raises(WriteError, match="stays"):
        write_labels(place, LABELS, nifti)
    np.testing.assert_array_equal(read_volume(place).array, ARRAY)


def test_names_and_colours_of_a_store(tmp_path, nifti):
    legend = (NamedLabel(1, "Größe <µ>", (0.2, 0.4, 0.6)),)
    write_labels(tmp_path / "l.zarr", LABELS, nifti, legend)
    assert read_volume(tmp_path / "l.zarr").legend == legend


KILLED = """
import os, signal, sys
from pathlib import Path
from napari_dinomed.io import read_labels, read_volume, write_labels
store, step = Path(sys.argv[1]), int(sys.argv[2])
volume = read_volume(store)
replace, left = os.replace, [step]
def counted(source, target):
    if target == store / "labels" / "dinomed" or str(target).endswith("/old"):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)
os.replace = counted
write_labels(store, (volume.array * 0 + 2).astype("u1"), volume)
"""


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
@pytest.mark.parametrize(("step", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_labels_of_a_store_survive_a_kill(tmp_path, version, step, kept):
    """In front of the first move, between the two, and not at all."""
    store = made.write_zarr(tmp_path / "a.zarr", ARRAY, version)
    volume = read_volume(store)
    write_labels(store, LABELS, volume)
    command = [sys.executable, "-c", KILLED, str(store), str(step)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == (-9 if step < 3 else 0), done.stderr
    assert (store / "labels" / "dinomed").exists() == (step != 2)
    assert read_labels(store / "labels" / "dinomed")[0].min() == kept
    np.testing.assert_array_equal(read_volume(store).array, ARRAY)
    write_labels(store / "labels" / "second", 3 * LABELS, volume)
    names = {path.name for path in (store / "labels").iterdir()}
    marks = {"0.4": {".zgroup", ".zattrs"}, "0.5": {"zarr.json"}}[version]
    assert names == {"dinomed", "second"} | marks

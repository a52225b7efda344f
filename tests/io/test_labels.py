"""Labels in every format: any number it can hold, their names, their colours, the mark."""

from __future__ import annotations

import gzip

import mrcfile
import nibabel as nib
import nrrd
import numpy as np
import pytest
import tifffile

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io import (
    describe,
    read_labels,
    read_volume,
    write_image,
    write_labels,
)
from napari_dinomed.io.format import FIRST
from napari_dinomed.io.label_values import numbers_in, unnamed, whole_labels
from napari_dinomed.io.legend import from_text, to_text
from napari_dinomed.volume import Geometry, NamedLabel, Volume
from tests.io import made

SHAPE = (4, 5, 6)
ARRAY = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
MATRIX = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -9], [0, 0, 0, 1.0]])
PATIENT = (
    ".nii",
    ".nii.gz",
    ".nrrd",
    ".seg.nrrd",
    ".mgz",
    ".mgh",
    ".mha",
    ".dcm",
    ".labelmap.dcm",
)
UPRIGHT = (".ome.tif", ".tif", ".mrc", ".mrc.gz", ".zarr")
EVERY = PATIENT + UPRIGHT
# The highest label, and the next one above it that is refused.
HIGHEST = {
    ".dcm": 65535,
    ".labelmap.dcm": 65535,
    ".mgz": 2**31 - 1,
    ".mgh": 2**31 - 1,
    ".mrc": 2**24,
    ".mrc.gz": 2**24,
    ".ome.tif": 2**32 - 1,
    ".tif": 2**32 - 1,
}
LEGEND = (
    NamedLabel(1, "liver", (0.9, 0.6, 0.0)),
    NamedLabel(2, "Größe; 50 % = <a & b>, \"c\" 'd' \\ µm", (0.0, 0.123, 1.0)),
    NamedLabel(7, "a  b:=c", (0.5, 0.5, 0.5)),
)


@pytest.fixture
def volume(request, tmp_path):
    return _volume(tmp_path, request.param)


def _volume(tmp_path, suffix):
    if suffix in PATIENT:
        return read_volume(made.write_dicom(tmp_path / "series", ARRAY, MATRIX))
    geometry = Geometry.from_spacing(SHAPE, (50, 4, 4.5), "nm")
    return Volume(ARRAY, geometry, "EM")


def _labels(*numbers):
    labels = np.zeros(SHAPE, np.int64)
    for place, number in enumerate(numbers):
        labels[:, place] = number
    return labels


@pytest.mark.parametrize("suffix", EVERY)
def test_labels_above_65535(tmp_path, suffix):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    labels = _labels(1, 70_000, 85_184)
    if HIGHEST.get(suffix, 2**40) < 70_000:
        with pytest.raises(WriteError, match=r"65,535.*85,184"):
            write_labels(path, labels, volume)
        assert not path.exists()
        return
    write_labels(path, labels, volume)
    again, read = read_labels(path)
    np.testing.assert_array_equal(again, labels)
    assert read.array.dtype.kind in "iu"
    assert [label.id for label in read.legend] == [1, 70_000, 85_184]


@pytest.mark.parametrize("suffix", EVERY)
@pytest.mark.parametrize(
    "highest", [1, 255, 256, 65_535, 65_536, 2**24, 2**31, 2**32, 2**40]
)
def test_the_highest_label(tmp_path, suffix, highest):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    labels = _labels(highest, 0)
    if highest > HIGHEST.get(suffix, 2**63 - 1):
        with pytest.raises(WriteError, match="holds labels up to"):
            write_labels(path, labels, volume)
        assert not path.exists()
        return
    write_labels(path, labels, volume)
    again, read = read_labels(path)
    np.testing.assert_array_equal(again, labels)
    assert [(n.id, n.name) for n in read.legend] == [(highest, f"Label {highest}")]


@pytest.mark.parametrize("suffix", EVERY)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [(-1, "-1"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (1j, "complex")],
)
def test_what_is_no_label(tmp_path, suffix, wrong, said):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    write_labels(path, _labels(1), volume)
    labels = _labels(1).astype(type(wrong))
    labels[0, 0, 0] = wrong
    with pytest.raises(WriteError, match=f"whole numbers from 0.*got .*{said}"):
        write_labels(path, labels, volume)
    np.testing.assert_array_equal(read_labels(path)[0], _labels(1))


@pytest.mark.parametrize("suffix", EVERY)
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32, np.float64, ">i2"])
def test_labels_of_any_type(tmp_path, suffix, dtype):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    write_labels(path, _labels(1).astype(dtype), volume)
    np.testing.assert_array_equal(read_labels(path)[0], _labels(1))


@pytest.mark.parametrize("suffix", EVERY)
def test_names_colours_and_the_mark_come_back(tmp_path, suffix):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    labels = _labels(1, 2, 7, 9)
    write_labels(path, labels, volume, LEGEND)
    again, read = read_labels(path)
    np.testing.assert_array_equal(again, labels)
    assert read.array.dtype.kind in "iu"
    legend = {label.id: label for label in read.legend}
    assert sorted(legend) == [1, 2, 7, 9]
    for label in (*LEGEND, unnamed(9)):
        # In DICOM a backslash parts two values.
        name = label.name.replace("\\", "/") if suffix.endswith(".dcm") else label.name
        assert legend[label.id].name == name
        np.testing.assert_allclose(legend[label.id].color, label.color, atol=1 / 255)
    factor = {"Å": 0.1}.get(read.geometry.unit, 1.0)
    # A DICOM segmentation may count its slices from the other end.
    which = "matrix" if suffix.endswith(".dcm") else "file_affine"
    matrices = [getattr(each.geometry, which)[:3] for each in (read, volume)]
    np.testing.assert_allclose(factor * matrices[0], matrices[1], atol=1e-4)
    said = describe(path, FIRST)
    assert said["voxels are"] == "labels, 4 of them"
    assert said["label 1"] == "liver"


@pytest.mark.parametrize("suffix", [each for each in EVERY if not each.endswith(".dcm")])
def test_no_labels_are_labels_too(tmp_path, suffix):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    write_labels(path, _labels(), volume)
    assert read_volume(path).legend == ()


@pytest.mark.parametrize(
    "suffix", [each for each in EVERY if not each.endswith((".dcm", ".zarr"))]
)
def test_images_are_no_labels(tmp_path, suffix):
    volume, path = _volume(tmp_path, suffix), tmp_path / f"i{suffix}"
    write_image(path, np.asarray(volume.array), volume)
    assert read_volume(path).legend is None
    assert "voxels are" not in describe(path, FIRST)


@pytest.mark.parametrize("suffix", EVERY)
def test_thousands_of_things(tmp_path, suffix):
    volume, path = _many(tmp_path, suffix), tmp_path / f"l{suffix}"
    labels = np.arange(volume.array.size).reshape(volume.array.shape)
    write_labels(path, labels, volume)
    again, read = read_labels(path)
    np.testing.assert_array_equal(again, labels)
    assert len(read.legend) == labels.max()


def _many(tmp_path, suffix):
    # A binary segment is a page of text: of them, hundreds do.
    array = np.zeros((4, 10, 10) if suffix == ".dcm" else (4, 25, 30), np.int16)
    if suffix in PATIENT:
        return read_volume(made.write_dicom(tmp_path / "series", array, MATRIX))
    return Volume(array, Geometry.from_spacing(array.shape, (50, 4, 4.5), "nm"), "EM")


# What other programs see


def test_nibabel_sees_labels_and_the_same_voxels(tmp_path):
    matrix = np.array([[-0.7, 0.1, 0, 9], [0.1, 0.7, 0, -8], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(ARRAY, matrix)
    image.header.set_sform(matrix, 2)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("afni", b"<AFNI/>"))
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    for name in ("l.nii.gz", "l.nii"):
        write_labels(tmp_path / name, volume.array % 3, volume, LEGEND)
        read = nib.load(tmp_path / name)
        assert read.header.get_intent()[0] == "label"
        assert [e.get_code() for e in read.header.extensions] == [6]
        np.testing.assert_array_equal(np.asarray(read.dataobj), ARRAY % 3)
        np.testing.assert_array_equal(read.affine, nib.load(tmp_path / "a.nii.gz").affine)
    # Labels of labels: one comment, not two; and an image of labels is an image.
    labels = read_volume(tmp_path / "l.nii")
    write_labels(tmp_path / "m.nii", labels.array, labels, LEGEND[:1])
    assert [e.get_code() for e in nib.load(tmp_path / "m.nii").header.extensions] == [6]
    assert [n.name for n in read_volume(tmp_path / "m.nii").legend] == ["liver", "Label 2"]
    write_image(tmp_path / "i.nii", np.asarray(labels.array), labels)
    assert read_volume(tmp_path / "i.nii").legend is None


def test_the_mark_of_other_programs(tmp_path):
    for array, is_marked in ((ARRAY % 3, True), (np.full(SHAPE, 0.5, np.float32), False)):
        image = nib.Nifti1Image(array, np.eye(4))
        image.header.set_intent("label")
        nib.save(image, tmp_path / "l.nii")
        assert (read_volume(tmp_path / "l.nii").legend is not None) == is_marked


def test_plain_readers_see_the_same_voxels(tmp_path):
    import SimpleITK

    patient = _volume(tmp_path, ".nii")
    labels = _labels(1, 2, 70_000)
    on_file = patient.geometry.to_file_order(labels)
    for suffix in (".nrrd", ".seg.nrrd", ".mha", ".nii.gz"):
        write_labels(tmp_path / f"l{suffix}", labels, patient, LEGEND)
        image = SimpleITK.ReadImage(str(tmp_path / f"l{suffix}"))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), on_file)
        spacing = np.linalg.norm(patient.geometry.file_affine[:3, 2::-1], axis=0)
        np.testing.assert_allclose(image.GetSpacing(), spacing, atol=1e-5)
    np.testing.assert_array_equal(nrrd.read(str(tmp_path / "l.nrrd"))[0].T, on_file)
    for suffix in (".mgz", ".mgh"):
        write_labels(tmp_path / f"l{suffix}", labels, patient, LEGEND)
        image = nib.load(tmp_path / f"l{suffix}")
        np.testing.assert_array_equal(np.asarray(image.dataobj).T, on_file)
    microscope = _volume(tmp_path, ".tif")
    write_labels(tmp_path / "l.ome.tif", labels, microscope, LEGEND)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "l.ome.tif"), labels)
    for suffix in (".mrc", ".mrc.gz"):
        write_labels(tmp_path / f"l{suffix}", labels, microscope, LEGEND)
        assert mrcfile.validate(tmp_path / f"l{suffix}")
        np.testing.assert_array_equal(mrcfile.read(tmp_path / f"l{suffix}"), labels)


def test_freesurfers_table_of_colours(tmp_path):
    """Tag 1, then its second version, as FreeSurfer lays it out."""
    write_labels(tmp_path / "l.mgz", _labels(1), _volume(tmp_path, ".mgz"), LEGEND[:1])
    tail = gzip.decompress((tmp_path / "l.mgz").read_bytes())[284 + ARRAY.size + 20 :]
    numbers = np.frombuffer(tail[:12], ">i4").tolist()
    assert numbers == [1, -2, 2]
    assert tail.endswith(
        b"\0\0\0\1\0\0\0\6liver\0"
        + b"".join(int(n).to_bytes(4, "big") for n in (230, 153, 0, 0))
    )


def test_slicers_changes_go_before_our_own(tmp_path):
    path = tmp_path / "l.seg.nrrd"
    write_labels(path, _labels(1, 2), _volume(tmp_path, ".nrrd"), LEGEND[:2])
    array, header = nrrd.read(str(path))
    header["Segment0_Name"] = "spleen"
    nrrd.write(str(path), array, header)
    assert [n.name for n in read_volume(path).legend] == ["spleen", LEGEND[1].name]


@pytest.mark.parametrize("count", [3, 12, 200])
def test_an_mrc_keeps_the_names_that_it_has_room_for(tmp_path, count):
    legend = tuple(NamedLabel(n, f"organ number {n}", (1.0, 0, 0)) for n in range(1, count))
    labels = np.arange(ARRAY.size).reshape(SHAPE) % count
    write_labels(tmp_path / "l.mrc", labels, _volume(tmp_path, ".mrc"), legend)
    read = {label.id: label for label in read_volume(tmp_path / "l.mrc").legend}
    assert sorted(read) == np.unique(labels[labels > 0]).tolist()
    kept = [label for label in legend if read.get(label.id) == label]
    assert len(kept) >= min(count - 1, 20)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "{",
        "[]",
        "{}",
        '{"creator":"other"}',
        '{"creator":"napari-dinomed"}',
        '{"creator":"napari-dinomed","labels":[[1]],"unnamed":[]}',
        '{"creator":"napari-dinomed","labels":[[1,"zz","a"]],"unnamed":[]}',
        '{"creator":"napari-dinomed","labels":[],"unnamed":[[1]]}',
    ],
)
def test_a_damaged_legend_is_none(text):
    assert from_text(text) is None


def test_a_legend_that_is_a_trap():
    assert from_text("[" * 100_000) is None
    lying = '{"creator":"napari-dinomed","labels":[],"unnamed":[[1,Infinity]]}'
    assert from_text(lying) is None


def test_a_legend_that_would_fill_the_memory():
    lying = (
        '{"creator":"napari-dinomed","labels":[],"unnamed":[[1,1000000000000],[9,-9e12]]}'
    )
    assert from_text(lying) == ()


def test_a_legend_comes_back():
    legend = (*LEGEND[:2], unnamed(3), unnamed(4), LEGEND[2], unnamed(9))
    again = from_text(to_text(legend))
    assert [(n.id, n.name) for n in again] == [(n.id, n.name) for n in legend]
    assert to_text(legend).isascii()
    assert "\n" not in to_text(legend)


def test_numbers_are_found():
    labels = np.array([[[0, 5, 5, 2**40, 3]]])
    assert numbers_in(labels).tolist() == [3, 5, 2**40]
    assert numbers_in(labels % 7).tolist() == sorted({5, 3, 2**40 % 7} - {0})
    assert numbers_in(np.array([[[-4, 2]]])).tolist() == [2]
    assert numbers_in(np.zeros((0, 2, 2), np.uint8)).tolist() == []
    assert whole_labels(np.zeros((0, 2, 2))).dtype == np.uint8


def test_labels_that_are_none_are_not_read(tmp_path):
    nib.save(nib.Nifti1Image(np.full(SHAPE, -1, np.int16), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ReadError, match="got -1"):
        read_labels(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", [".nii", ".mrc", ".ome.tif", ".zarr"])
@pytest.mark.parametrize("highest", [3, 70_000])
def test_large_labels_are_read_when_needed(tmp_path, suffix, highest, monkeypatch):
    from napari_dinomed.io import pieces

    volume, path = _volume(tmp_path, suffix), tmp_path / f"l{suffix}"
    write_labels(path, _labels(1, highest), volume, LEGEND[:1])
    monkeypatch.setattr(pieces, "LARGE", 10)
    read = read_volume(path)
    assert read.is_lazy
    assert read.array.dtype.kind in "iu"
    assert [n.id for n in read.legend] == [1, highest]
    assert read.legend[0].name == "liver"
    np.testing.assert_array_equal(np.asarray(read.array), _labels(1, highest))


def test_large_labels_of_others_are_found(tmp_path, monkeypatch):
    from napari_dinomed.io import pieces

    image = nib.Nifti1Image(np.asfortranarray(_labels(3, 9).astype(np.int16)), np.eye(4))
    image.header.set_intent("label")
    nib.save(image, tmp_path / "l.nii")
    monkeypatch.setattr(pieces, "LARGE", 10)
    read = read_volume(tmp_path / "l.nii")
    assert read.is_lazy
    assert [n.id for n in read.legend] == [3, 9]

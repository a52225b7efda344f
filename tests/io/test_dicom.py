"""DICOM as scanners, archives and anonymisers leave it."""

from __future__ import annotations

import logging
import shutil
import zipfile

import numpy as np
import psutil
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from napari_dinomed import headless
from napari_dinomed.annotation.document import Document
from napari_dinomed.errors import (
    DinomedError,
    ReadError,
    UnevenError,
    VolumeError,
    WriteError,
)
from napari_dinomed.io import (
    Pick,
    describe,
    dicom_sizes,
    list_contents,
    read_labels,
    read_volume,
    write_labels,
)
from napari_dinomed.session.file import SavedDocument, load_document, save_document
from napari_dinomed.settings import cache_folder
from napari_dinomed.volume import NamedLabel, Window
from tests.io import made

ARRAY = np.random.default_rng(0).integers(-900, 900, (6, 8, 7)).astype(np.int16)
# Axial, feet first, 2.5 mm slices of 0.8 × 0.7 mm.
MATRIX = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -300], [0, 0, 0, 1.0]])
LEGEND = (NamedLabel(2, "kidney", (0.9, 0.3, 0.1)),)


@pytest.fixture
def series(tmp_path):
    return made.write_dicom(tmp_path / "series", ARRAY, MATRIX)


def _rewrite(series, number, **tags):
    path = series / f"{900 - number}"
    dataset = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    dataset.save_as(path)


def test_a_folder_a_list_a_file_and_a_zip_are_one_volume(series, tmp_path):
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for path in series.iterdir():
            archive.write(path, f"study/{path.name}")
    first = read_volume(series)
    assert first.modality == "CT"
    assert first.geometry.orientation == "IPL"
    np.testing.assert_array_equal(first.geometry.to_file_order(first.array), ARRAY)
    np.testing.assert_allclose(first.geometry.file_affine, MATRIX, atol=1e-9)
    for given in (sorted(series.iterdir()), series / "897", tmp_path / "series.zip"):
        again = read_volume(given)
        np.testing.assert_array_equal(again.array, first.array)
        assert again.geometry == first.geometry


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_compressed_pixels(tmp_path, syntax):
    array = np.tile(ARRAY, (1, 8, 8))
    series = made.write_dicom(tmp_path / "series", array, MATRIX)
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(path)
    volume = read_volume(series)
    np.testing.assert_array_equal(volume.geometry.to_file_order(volume.array), array)


def test_deflated(series):
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
    volume = read_volume(series)
    np.testing.assert_array_equal(volume.geometry.to_file_order(volume.array), ARRAY)


def test_a_deflated_file_that_would_fill_the_memory(series, monkeypatch):
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    class Little:
        available = 2**22

    path = series / "897"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData += bytes(2**21)
    dataset.save_as(path)
    assert path.stat().st_size < 2**14
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Little)
    with pytest.raises(ReadError, match=r"inflate to more than 0\.00105 GB"):
        dicom_sizes.require_inflatable(path)
    with pytest.raises(ReadError, match="inflate"):
        read_volume(path)


def test_a_frame_that_is_larger_than_the_header_says(tmp_path):
    series = made.write_dicom(tmp_path / "series", np.tile(ARRAY, (1, 8, 8)), MATRIX)
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEG2000Lossless)
        at = dataset.PixelData.index(b"\xff\x4f\xff\x51") + 8
        width = (60_000).to_bytes(4, "big")
        dataset.PixelData = dataset.PixelData[:at] + width + dataset.PixelData[at + 4 :]
        dataset.save_as(path)
    with pytest.raises(ReadError, match=r"holds one of .* × 60000"):
        read_volume(series)


def test_one_multiframe_file(tmp_path):
    dataset = made.dicom_slice(ARRAY, MATRIX, 0)
    stored = (ARRAY.astype(np.int32) + 1024).astype(np.uint16)
    order = [3, 0, 5, 1, 4, 2]
    dataset.NumberOfFrames = len(order)
    dataset.PixelData = stored[order].tobytes()
    dataset.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for sequence, tag in (
        ("PixelMeasuresSequence", "PixelSpacing"),
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ):
        inner = pydicom.Dataset()
        setattr(inner, tag, getattr(dataset, tag))
        setattr(shared, sequence, [inner])
        delattr(dataset, tag)
    groups = []
    for number in order:
        group, place = pydicom.Dataset(), pydicom.Dataset()
        single = made.dicom_slice(ARRAY, MATRIX, number)
        place.ImagePositionPatient = single.ImagePositionPatient
        group.PlanePositionSequence = [place]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    del dataset.ImagePositionPatient
    dataset.save_as(tmp_path / "frames.dcm", enforce_file_format=True)
    volume = read_volume(tmp_path / "frames.dcm")
    np.testing.assert_array_equal(volume.geometry.to_file_order(volume.array), ARRAY)
    np.testing.assert_allclose(volume.geometry.file_affine, MATRIX, atol=1e-9)


def test_several_series_are_listed_and_picked(series):
    for number in range(4):
        other = made.dicom_slice(
            ARRAY, MATRIX, number, SeriesInstanceUID="1.2.3", SeriesDescription="thin"
        )
        other.save_as(series / f"b{number}", enforce_file_format=True)
    contents = list_contents(series)
    assert [part.key for part in contents.parts] == ["1", "2"]
    assert "thin, 4 slices" in contents.parts[1].title
    with pytest.raises(VolumeError, match=r"2 series.*thin"):
        read_volume(series)
    assert read_volume(series, Pick(part="1")).array.shape == (6, 8, 7)
    assert read_volume(series, Pick(part="2")).array.shape == (4, 8, 7)


def test_time_points(tmp_path):
    folder = made.write_dicom(tmp_path / "a", ARRAY, MATRIX, TemporalPositionIdentifier=1)
    for number in range(len(ARRAY)):
        later = made.dicom_slice(ARRAY + 7, MATRIX, number, TemporalPositionIdentifier=2)
        later.save_as(folder / f"later{number}", enforce_file_format=True)
    assert list_contents(folder).frames == 2
    first, second = (read_volume(folder, Pick(frame=n)).array for n in range(2))
    np.testing.assert_array_equal(second, first + 7)
    with pytest.raises(VolumeError, match="2 time points"):
        read_volume(folder, Pick(frame=2))


def test_a_missing_slice_is_named(series):
    (series / "897").unlink()
    with pytest.raises(UnevenError, match=r"about 1 between slices 3 and 4 \(-295"):
        read_volume(series)


def test_uneven_slices_are_resampled_only_if_asked(series):
    position = list(pydicom.dcmread(series / "898").ImagePositionPatient)
    position[2] += 0.6
    _rewrite(series, 2, ImagePositionPatient=position)
    with pytest.raises(UnevenError, match=r"varies from 1\.9 to 3\.1 mm"):
        read_volume(series)
    volume = read_volume(series, Pick(resample=True))
    assert volume.array.shape == (6, 8, 7)
    assert "varies" in volume.notes[0]
    on_file = volume.geometry.to_file_order(volume.array)
    np.testing.assert_allclose(on_file[[0, 1, 3, 4, 5]], ARRAY[[0, 1, 3, 4, 5]], atol=1e-3)
    # Slice 2 was taken 0.6 mm further: at its old place it is mixed with the one before.
    expected = ARRAY[1] + (ARRAY[2] - ARRAY[1].astype(float)) * 2.5 / 3.1
    np.testing.assert_allclose(on_file[2], expected, atol=1e-2)


def test_a_tilted_gantry_is_straightened_only_if_asked(tmp_path):
    sheared = MATRIX.copy()
    # Each slice is moved by two rows.
    sheared[1, 0] = -1.6
    array = np.zeros((5, 20, 9), np.int16)
    array[:, 6:9, 2:5] = 500
    folder = made.write_dicom(tmp_path / "tilted", array, sheared)
    with pytest.raises(UnevenError, match=r"sheared by 32\.6°.*gantry"):
        read_volume(folder)
    volume = read_volume(folder, Pick(resample=True))
    on_file = volume.geometry.to_file_order(volume.array)
    np.testing.assert_array_equal(on_file[0, 6:9, 2:5], 500)
    np.testing.assert_allclose(on_file[3, 12:15, 2:5], 500, atol=1e-3)
    labels = (volume.array > 250).astype(np.uint8) * 2
    write_labels(tmp_path / "labels.dcm", labels, volume, LEGEND)
    segmentation = pydicom.dcmread(tmp_path / "labels.dcm")
    np.testing.assert_array_equal(segmentation.pixel_array, array > 250)


def test_the_same_slice_twice_counts_once(series):
    shutil.copy(series / "898", series / "copy")
    assert read_volume(series).array.shape == (6, 8, 7)


def test_two_slices_at_one_place_are_refused(series):
    extra = made.dicom_slice(ARRAY, MATRIX, 2, InstanceNumber=77)
    extra.save_as(series / "extra", enforce_file_format=True)
    with pytest.raises(ReadError, match="1 of 6 places hold more than one slice"):
        read_volume(series)


def test_without_pixels(tmp_path):
    folder = made.write_dicom(tmp_path / "a", ARRAY, MATRIX)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.PixelData
        dataset.save_as(path)
    with pytest.raises(ReadError, match="no pixels"):
        read_volume(folder)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.Rows
        dataset.Modality = "SR"
        dataset.save_as(path)
    with pytest.raises(ReadError, match="only 6 SR"):
        read_volume(folder)


def test_the_files_own_window(tmp_path):
    folder = made.write_dicom(
        tmp_path / "a", ARRAY, MATRIX, WindowCenter=[40, 300], WindowWidth=[400, 1500]
    )
    assert read_volume(folder).window == Window(-160, 240, "file")


def _xray(tmp_path, name, stored, **tags):
    pixels = stored[0].astype(np.uint16).tobytes()
    given = {"Modality": "DX", "BitsStored": 12, "HighBit": 11, "WindowWidth": 800}
    given |= {"RescaleIntercept": 0, "PixelData": pixels, **tags}
    return read_volume(made.write_dicom(tmp_path / name, stored[:1], MATRIX, **given))


def test_an_xray_is_bright_where_it_is_shown_bright(tmp_path):
    """Film is stored as a negative, detectors mostly not: one kind of image for all."""
    bright = np.random.default_rng(0).integers(0, 4096, (1, 8, 7))
    positive = _xray(tmp_path, "positive", bright, WindowCenter=1000)
    negative = _xray(
        tmp_path,
        "negative",
        4095 - bright,
        WindowCenter=3095,
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_array_equal(negative.array, positive.array)
    assert negative.window == positive.window == Window(600, 1400, "file")
    assert negative.geometry == positive.geometry


@pytest.mark.parametrize("tags", [{"Modality": "CT"}, {"RescaleType": "OD"}])
def test_a_value_with_a_unit_stays_as_it_is_however_it_is_shown(tmp_path, tags):
    stored = np.random.default_rng(0).integers(0, 4096, (1, 8, 7))
    tags |= {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 1000}
    volume = _xray(tmp_path, "measured", stored, **tags)
    np.testing.assert_array_equal(volume.geometry.to_file_order(volume.array), stored)
    assert volume.window == Window(600, 1400, "file")


def _pet(tmp_path, **tags):
    dose = pydicom.Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 3e8, 6586.2
    dose.RadiopharmaceuticalStartTime = "100000"
    tags = {
        "Modality": "PT",
        "Units": "BQML",
        "PatientWeight": 70,
        "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY"],
        "SeriesTime": "110000",
        "RadiopharmaceuticalInformationSequence": [dose],
        "RescaleIntercept": 0,
        "RescaleSlope": 2.0,
        **tags,
    }
    return read_volume(made.write_dicom(tmp_path / "pet", ARRAY, MATRIX, **tags))


def test_uptake_by_body_weight(tmp_path):
    volume = _pet(tmp_path)
    decayed = 3e8 * 0.5 ** (3600 / 6586.2)
    becquerel = 2.0 * (ARRAY.astype(float) + 1024)
    on_file = volume.geometry.to_file_order(volume.array)
    np.testing.assert_allclose(on_file, becquerel * 70_000 / decayed, rtol=1e-5)
    assert volume.modality == "PET"
    assert volume.notes == ("SUV by body weight.",)


@pytest.mark.parametrize(
    "tags",
    [{"PatientWeight": None}, {"CorrectedImage": ["ATTN"]}, {"DecayCorrection": "?"}],
)
def test_uptake_is_not_guessed(tmp_path, tags):
    volume = _pet(tmp_path, **tags)
    assert volume.array.max() == 2.0 * (ARRAY.max() + 1024)
    assert "not as SUV" in volume.notes[0]


def test_labels_refer_to_the_series(series, tmp_path):
    volume = read_volume(series)
    labels = np.where(volume.array > 300, 2, 0).astype(np.uint8)
    write_labels(tmp_path / "labels.dcm", labels, volume, LEGEND)
    again, read = read_labels(tmp_path / "labels.dcm")
    np.testing.assert_array_equal(again, labels)
    np.testing.assert_allclose(read.geometry.matrix, volume.geometry.matrix, atol=1e-6)
    assert [(n.id, n.name) for n in read.legend] == [(2, "kidney")]
    assert read.legend[0].color == pytest.approx((0.9, 0.3, 0.1), abs=0.01)
    written = pydicom.dcmread(tmp_path / "labels.dcm")
    (referenced,) = written.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == made.SERIES
    instances = {item.ReferencedSOPInstanceUID for item in referenced[0x0008114A].value}
    assert instances == {pydicom.dcmread(p).SOPInstanceUID for p in series.iterdir()}
    assert written.PatientID == "SECRET-4711"


def test_a_segmentation_needs_its_series(tmp_path):
    path = made.write_nifti(tmp_path / "a.nii", ARRAY, MATRIX)
    volume = read_volume(path)
    with pytest.raises(WriteError, match="refers to the slices"):
        write_labels(tmp_path / "l.dcm", np.ones(volume.array.shape, int), volume)
    assert not (tmp_path / "l.dcm").exists()


def test_no_patient_in_logs_caches_sessions_and_errors(series, tmp_path, caplog, home):
    caplog.set_level(logging.DEBUG)
    volume = read_volume(series)
    said = [
        *describe(series, Pick()).values(),
        *(p.title for p in list_contents(series).parts),
    ]
    job = headless.prepare(volume, "filters")
    kept = SavedDocument(
        volume.fingerprint, volume.geometry, job.window, "", Document.begun()
    )
    save_document(tmp_path / "a.dinomed.json", kept)
    assert load_document(tmp_path / "a.dinomed.json").volume == volume.fingerprint
    said.append((tmp_path / "a.dinomed.json").read_text())
    (series / "897").unlink()
    with pytest.raises(DinomedError) as caught:
        read_volume(series)
    said.extend([str(caught.value), caplog.text])
    said.extend(str(path) for path in cache_folder().rglob("*"))
    said.extend(
        path.read_bytes().decode(errors="replace")
        for path in home.rglob("*")
        if path.is_file()
    )
    for text in said:
        assert "Doe" not in text
        assert "4711" not in text


def test_real_slices(shared_data):
    volume = read_volume(shared_data / "ct_dicom" / "dicom")
    assert volume.geometry.spacing == pytest.approx((2, 0.9765625, 0.9765625))
    assert volume.window == Window(-110, 190, "file")
    labels, own = read_labels(shared_data / "ct_dicom" / "example_seg_dicom.nii.gz")
    # Two libraries made these from the same slices.
    np.testing.assert_allclose(own.geometry.matrix, volume.geometry.matrix, atol=1e-3)
    liver = volume.array[labels == 5]
    assert 80 < np.median(liver) < 160

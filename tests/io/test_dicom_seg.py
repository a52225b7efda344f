"""DICOM segmentations, decoded by pydicom alone: frames, places, references, codes."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from napari_dinomed.io import read_labels, read_volume, write_labels
from napari_dinomed.io.dicom_codes import codes_for
from napari_dinomed.volume import NamedLabel
from tests.io import made

SHAPE = (7, 9, 10)
ARRAY = np.random.default_rng(0).integers(-900, 900, SHAPE).astype(np.int16)
MATRIX = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -300], [0, 0, 0, 1.0]])
# Coronal slices, from front to back.
CORONAL = np.array([[0, 0, -0.7, 60], [-2.5, 0, 0, 80], [0, -0.8, 0, -30], [0, 0, 0, 1.0]])
LEGEND = (
    NamedLabel(3, "Kidney (left)", (0.9, 0.3, 0.1)),
    NamedLabel(40, "nothing known", (0.1, 0.3, 0.9)),
)


def _some(matrix, tmp_path, places=((2, slice(1, 5), 3, 3), (4, slice(2, 6), 5, 40))):
    """A series, and labels in a few of its slices, on the file's own grid."""
    volume = read_volume(made.write_dicom(tmp_path / "series", ARRAY, matrix))
    labels = np.zeros(SHAPE, np.uint16)
    for plane, rows, column, number in places:
        labels[plane, rows, column] = number
    return volume, labels, volume.geometry.from_file_order(labels)


def _decoded(path, series):
    """Labels on the series' slices, by nothing but the tags that say where frames lie."""
    seg = pydicom.dcmread(path)
    order = {}
    for file in series.iterdir():
        image = pydicom.dcmread(file)
        order[image.SOPInstanceUID] = (image.InstanceNumber - 1, image.ImagePositionPatient)
    labels = np.zeros(SHAPE, int)
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    frames = bits[: seg.NumberOfFrames * SHAPE[1] * SHAPE[2]].reshape(-1, *SHAPE[1:])
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        plane, position = order[image.ReferencedSOPInstanceUID]
        np.testing.assert_allclose(
            group.PlanePositionSequence[0].ImagePositionPatient, position, atol=1e-6
        )
        assert frame.any()
        labels[plane][frame > 0] = segment
    return seg, labels


def test_segments_are_binary_and_lie_on_the_slices_they_refer_to(tmp_path):
    volume, labels, canonical = _some(MATRIX, tmp_path)
    write_labels(tmp_path / "l.dcm", canonical, volume, LEGEND)
    seg, decoded = _decoded(tmp_path / "l.dcm", tmp_path / "series")
    # Segments are numbered from 1 without gaps; frames without voxels are not written.
    np.testing.assert_array_equal(decoded, np.select([labels == 3, labels == 40], [1, 2]))
    assert (seg.SegmentationType, seg.BitsAllocated, seg.NumberOfFrames) == ("BINARY", 1, 2)
    assert seg.SeriesDescription == "Segmentation (napari-dinomed)"
    assert [s.SegmentLabel for s in seg.SegmentSequence] == [n.name for n in LEGEND]
    kidney, other = seg.SegmentSequence
    (kind,) = kidney.SegmentedPropertyTypeCodeSequence
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("64033007", "SCT")
    (side,) = kind.SegmentedPropertyTypeModifierCodeSequence
    assert side.CodeMeaning == "Left"
    assert kidney.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
    assert other.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"


@pytest.mark.parametrize("suffix", [".dcm", ".labelmap.dcm"])
@pytest.mark.parametrize("matrix", [MATRIX, CORONAL], ids=["axial", "coronal"])
@pytest.mark.parametrize("planes", [(2, 4), (0, 6), (3,), (0,), (6,)])
def test_labels_come_back_on_all_slices_with_their_numbers(
    tmp_path, suffix, matrix, planes
):
    places = [(plane, slice(1, 5), 2 + plane % 3, 3) for plane in planes]
    volume, _, canonical = _some(matrix, tmp_path, places)
    write_labels(tmp_path / f"l{suffix}", canonical, volume, LEGEND)
    again, read = read_labels(tmp_path / f"l{suffix}")
    np.testing.assert_array_equal(again, canonical)
    np.testing.assert_allclose(read.geometry.matrix, volume.geometry.matrix, atol=1e-4)
    assert [(n.id, n.name) for n in read.legend] == [(3, "Kidney (left)")]


def test_a_label_map_by_its_name(tmp_path):
    volume, labels, canonical = _some(MATRIX, tmp_path)
    write_labels(tmp_path / "l.labelmap.dcm", canonical, volume, LEGEND)
    seg = pydicom.dcmread(tmp_path / "l.labelmap.dcm")
    assert seg.SegmentationType == "LABELMAP"
    groups = seg.PerFrameFunctionalGroupsSequence
    heights = [group.PlanePositionSequence[0].ImagePositionPatient[2] for group in groups]
    np.testing.assert_array_equal(seg.pixel_array[np.argsort(heights)], labels)


def test_only_what_the_standard_asks_for_comes_from_the_source(tmp_path):
    told = {
        "StudyDescription": "whole body of a spy",
        "SeriesDescription": "after Doe's injury",
        "PatientComments": "prefers tea",
        "AdditionalPatientHistory": "many secrets",
        "PatientWeight": 71.5,
        "PatientAddress": "1 Nowhere Lane",
        "OtherPatientIDs": "ALSO-0815",
        "Occupation": "spy",
        "InstitutionName": "Saint Elsewhere",
        "OperatorsName": "Nosy^Bert",
        "StationName": "CT-SECRET",
        "ClinicalTrialSponsorName": "Big Pharma",
        "RequestedProcedureDescription": "look for bullets",
        "ImageComments": "seen one",
    }
    folder = made.write_dicom(tmp_path / "series", ARRAY, MATRIX, **told)
    volume = read_volume(folder)
    labels = np.ones(SHAPE, np.uint8)
    for suffix in (".dcm", ".labelmap.dcm"):
        path = tmp_path / f"l{suffix}"
        write_labels(path, labels, volume)
        seg = pydicom.dcmread(path)
        for keyword, value in told.items():
            if keyword != "SeriesDescription":
                assert keyword not in seg
            assert str(value).encode() not in path.read_bytes()
        assert [seg.PatientName, seg.PatientID] == ["Doe^Jane", "SECRET-4711"]
        kept = {e.keyword for e in seg if e.tag.group == 0x0010}
        assert kept == {"PatientName", "PatientID", "PatientBirthDate", "PatientSex"}
        for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            assert keyword in seg


@pytest.mark.parametrize(
    ("name", "meaning", "side"),
    [
        ("liver", "Liver", None),
        ("Kidney (left)", "Kidney", "Left"),
        ("kidney_R", "Kidney", "Right"),
        ("Parotid_L", "Parotid gland", "Left"),
        ("right parotid gland", "Parotid gland", "Right"),
        ("Lung", "Lung", None),
        ("Hippocampus-left", "Hippocampus", "Left"),
        ("Brainstem", "Brain Stem", None),
        ("urinary bladder", "Bladder", None),
        ("Tumour", "Neoplasm", None),
        # What leaves a doubt.
        ("left liver", "Tissue", None),
        ("kidney left right", "Tissue", None),
        ("liver 2", "Tissue", None),
        ("liver tumour", "Tissue", None),
        ("heart failure", "Tissue", None),
        ("Label 1", "Tissue", None),
        ("", "Tissue", None),
    ],
)
def test_codes_of_names(name, meaning, side):
    found = codes_for(name)
    assert found.type.meaning == meaning
    assert (found.side and found.side.meaning) == side
    categories = {"Tissue": "Tissue", "Neoplasm": "Morphologically Abnormal Structure"}
    assert found.category.meaning == categories.get(meaning, "Anatomical Structure")

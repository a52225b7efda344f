"""DICOM segmentations (label maps) that refer to their series, through highdicom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.dicom_grid import labels_on_slices
from napari_dinomed.io.format import RAS_LPS, distinct_color, placed
from napari_dinomed.volume import NamedLabel, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend

_SERIES_NUMBER = 300
# Storage classes of CT, MR and PET images, and of secondary captures.
_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
_OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.7"


def read(path: Path) -> Volume:
    """Read a segmentation as labels on its own grid, with their names.

    Raises
    ------
    ReadError
        Where its frames are not one even stack, or overlap.
    """
    import highdicom

    segmentation = highdicom.seg.segread(path)
    try:
        found = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    except (RuntimeError, ValueError) as error:
        raise ReadError(
            f"{path.name} cannot be read as one array of labels: {error}"
        ) from error
    matrix = RAS_LPS @ found.affine
    volume = placed(found.array, matrix, "mm", True, path.name)
    legend = tuple(
        _named(number, segmentation.get_segment_description(number))
        for number in segmentation.segment_numbers
    )
    return replace(volume, modality="other", legend=legend)


def write(path: Path, array: NDArray[Any], source: Volume, legend: Legend | None) -> None:
    """Write labels (z, y, x) as a label map that refers to the slices they came from.

    Raises
    ------
    WriteError
        Where the volume was not read from DICOM, or there is nothing to write.
    """
    import highdicom
    from pydicom.uid import RLELossless, generate_uid

    from napari_dinomed import __version__
    from napari_dinomed.io.dicom import DicomHeader

    header = source.header
    if not isinstance(header, DicomHeader) or legend is None:
        raise WriteError(
            f"Expected labels of a DICOM series for {path.name}; a DICOM segmentation "
            "refers to the slices it was made on. Save as .nii.gz or .seg.nrrd instead."
        )
    labels = labels_on_slices(header.stack, source.geometry.to_file_order(array))
    named = [label for label in legend if (labels == label.id).any()]
    if not named:
        raise WriteError(f"There are no labels to write to {path.name}; make one first.")
    known = np.isin(labels, [label.id for label in named])
    segmentation = highdicom.seg.Segmentation(
        source_images=[_completed(d, header.stack.step) for d in header.datasets],
        pixel_array=np.where(known, labels, 0).astype(labels.dtype),
        segmentation_type=highdicom.seg.SegmentationTypeValues.LABELMAP,
        segment_descriptions=[
            _describe(label) for label in sorted(named, key=lambda label: label.id)
        ],
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="napari-dinomed",
        manufacturer_model_name="napari-dinomed",
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        omit_empty_frames=False,
        transfer_syntax_uid=RLELossless,
    )
    with replacing(path) as temporary:
        segmentation.save_as(temporary)


def _completed(dataset: Any, spacing: float) -> Any:
    """A header with what the standard asks for and anonymisers and scanners leave out.

    Identifiers are made from those that are there, so that slices of one series stay
    together.
    """
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    full = Dataset()
    full.update(dataset)
    full.file_meta = dataset.file_meta
    basis = str(dataset.get("FrameOfReferenceUID") or "")
    place = str(dataset.get("ImagePositionPatient") or "")
    for keyword, source in (
        ("StudyInstanceUID", basis),
        ("SeriesInstanceUID", basis),
        ("FrameOfReferenceUID", basis),
        ("SOPInstanceUID", basis + place),
    ):
        if not full.get(keyword):
            setattr(full, keyword, generate_uid(entropy_srcs=[source, keyword]))
    if not full.get("SliceThickness"):
        full.SliceThickness = spacing
    if not full.get("SOPClassUID"):
        full.SOPClassUID = _CLASSES.get(str(dataset.get("Modality")), _OTHER_CLASS)
    for keyword in (
        *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
        *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
        "ReferringPhysicianName",
    ):
        if keyword not in full:
            setattr(full, keyword, None)
    return full


def _describe(label: NamedLabel) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    from napari_dinomed import __version__

    return highdicom.seg.SegmentDescription(
        segment_number=label.id,
        # A backslash would part the name in two.
        segment_label=label.name.replace("\\", "/")[:64],
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="napari-dinomed",
            version=__version__,
            family=codes.DCM.ArtificialIntelligence,
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(
            *(round(255 * part) for part in label.color)
        ),
    )


def _named(number: int, description: Any) -> NamedLabel:
    value = description.get("RecommendedDisplayCIELabValue")
    if value is None:
        return NamedLabel(number, description.segment_label, distinct_color(number))
    import highdicom

    color = highdicom.color.CIELabColor.from_dicom_value(list(value))
    r, g, b = (part / 255 for part in color.to_rgb())
    return NamedLabel(number, description.segment_label, (r, g, b))

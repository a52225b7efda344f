"""DICOM segmentations that refer to their series, through highdicom.

They are binary, one segment for each label, as all viewers and archives know them; under a
name that ends in ``.labelmap.dcm`` they are label maps, which are smaller and newer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.dicom_codes import codes_for
from napari_dinomed.io.dicom_grid import labels_on_slices
from napari_dinomed.io.format import RAS_LPS, placed
from napari_dinomed.io.label_values import as_labels, distinct_color
from napari_dinomed.volume import NamedLabel, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

    from napari_dinomed.io.dicom import DicomHeader
    from napari_dinomed.io.format import Legend

LABEL_MAP = ".labelmap.dcm"
_SERIES_NUMBER = 300
_MAKER = "napari-dinomed"
# Storage classes of CT, MR and PET images, and of secondary captures.
_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
_OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.7"
# All that goes from a source into a segmentation. What the Patient and General Study
# modules require, even if empty (PS3.3, C.7.1.1 and C.7.2.1), and of animals their kind;
_REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
# what is copied where it is there, to refer to the slices and lie where they do.
_REFERRED = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality"),
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("PositionReferenceIndicator", "Rows", "Columns", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices", "DimensionIndexSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("LossyImageCompression", "LossyImageCompressionRatio"),
    *("LossyImageCompressionMethod", "PatientSpeciesDescription"),
    "PatientSpeciesCodeSequence",
)


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
    array, affine = _on_all_slices(segmentation, found.array, found.affine)
    segments = segmentation.segment_numbers
    # One by one, the library would look through all for each.
    all_described = {each.SegmentNumber: each for each in segmentation.SegmentSequence}
    described = [all_described[number] for number in segments]
    numbers = _own_numbers(described) or list(segments)
    table = np.zeros(int(max(segments, default=0)) + 1, dtype=np.uint16)
    table[list(segments)] = numbers
    volume = placed(table[array], RAS_LPS @ affine, "mm", True, path.name)
    labels = as_labels(volume, tuple(map(_named, numbers, described)))
    return replace(labels, modality="other")


def write(path: Path, array: NDArray[Any], source: Volume, legend: Legend | None) -> None:
    """Write labels (z, y, x) as segments that refer to the slices they came from.

    Raises
    ------
    WriteError
        Where the volume was not read from DICOM, or there is nothing to write.
    """
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
    named.sort(key=lambda label: label.id)
    make = _label_map if path.name.lower().endswith(LABEL_MAP) else _binary
    segmentation = make(labels, named, header)
    with replacing(path) as temporary:
        segmentation.save_as(temporary)


def _binary(labels: NDArray[Any], named: list[NamedLabel], header: DicomHeader) -> Any:
    """A segment for each label, numbered from 1; frames without voxels are left out.

    Which slices were left out cannot be told of a file of many frames: there all stay.
    """
    from pydicom.uid import ExplicitVRLittleEndian

    numbers = np.zeros(int(labels.max()) + 1, dtype=np.uint16)
    numbers[[label.id for label in named]] = range(1, len(named) + 1)
    return _segmentation(
        numbers[labels],
        [_describe(label, number) for number, label in enumerate(named, start=1)],
        header,
        segmentation_type="BINARY",
        omit_empty_frames=len(header.datasets) > 1,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _label_map(labels: NDArray[Any], named: list[NamedLabel], header: DicomHeader) -> Any:
    """Numbers as they are, on all slices."""
    from pydicom.uid import RLELossless

    known = np.isin(labels, [label.id for label in named])
    return _segmentation(
        np.where(known, labels, 0).astype(labels.dtype),
        [_describe(label, label.id) for label in named],
        header,
        segmentation_type="LABELMAP",
        omit_empty_frames=False,
        transfer_syntax_uid=RLELossless,
    )


def _segmentation(
    numbers: NDArray[Any], segments: list[Any], header: DicomHeader, **how: Any
) -> Any:
    import highdicom
    from pydicom.uid import generate_uid

    from napari_dinomed import __version__

    return highdicom.seg.Segmentation(
        source_images=[_reference(each, header.stack.step) for each in header.datasets],
        pixel_array=numbers,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        series_description=f"Segmentation ({_MAKER})",
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=_MAKER,
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        **how,
    )


def _reference(dataset: Dataset, spacing: float) -> Dataset:
    """What a segmentation needs of a slice's header, and nothing else of it.

    What the standard asks for and anonymisers and scanners leave out is made from what is
    there, so that slices of one series stay together.
    """
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    bare = Dataset()
    bare.file_meta = dataset.file_meta
    for keyword in (*_REQUIRED, *_REFERRED):
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    basis = str(dataset.get("FrameOfReferenceUID") or "")
    place = str(dataset.get("ImagePositionPatient") or "")
    for keyword, seed in (
        ("StudyInstanceUID", basis),
        ("SeriesInstanceUID", basis),
        ("FrameOfReferenceUID", basis),
        ("SOPInstanceUID", basis + place),
    ):
        if not bare.get(keyword):
            setattr(bare, keyword, generate_uid(entropy_srcs=[seed, keyword]))
    if not bare.get("SliceThickness"):
        bare.SliceThickness = spacing
    if not bare.get("SOPClassUID"):
        bare.SOPClassUID = _CLASSES.get(str(dataset.get("Modality")), _OTHER_CLASS)
    for keyword in _REQUIRED:
        if keyword not in bare:
            setattr(bare, keyword, None)
    return bare


def _describe(label: NamedLabel, number: int) -> Any:
    import highdicom

    from napari_dinomed import __version__

    kind = codes_for(label.name)
    described = highdicom.seg.SegmentDescription(
        segment_number=number,
        # A backslash would part the name in two.
        segment_label=label.name.replace("\\", "/")[:64],
        segmented_property_category=kind.category,
        segmented_property_type=kind.type,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_MAKER, version=__version__, family=_ai()
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(
            *(round(255 * part) for part in label.color)
        ),
    )
    if kind.side is not None:
        (of_type,) = described.SegmentedPropertyTypeCodeSequence
        side = highdicom.sr.CodedConcept.from_code(kind.side)
        of_type.SegmentedPropertyTypeModifierCodeSequence = [side]
    # Segments are numbered anew; labels keep their numbers.
    described.SegmentDescription = f"{_MAKER} label {label.id}"
    return described


def _ai() -> Any:
    from pydicom.sr.codedict import codes

    return codes.DCM.ArtificialIntelligence


def _own_numbers(described: list[Any]) -> list[int]:
    """The labels' own numbers; none where another program wrote the segments."""
    texts = (str(each.get("SegmentDescription") or "") for each in described)
    found = [re.fullmatch(rf"{_MAKER} label ([1-9]\d{{0,4}})", text) for text in texts]
    numbers = [int(match[1]) for match in found if match]
    is_own = len(set(numbers)) == len(described) and max(numbers, default=0) < 2**16
    return numbers if is_own else []


def _on_all_slices(
    segmentation: Any, array: NDArray[Any], affine: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The array with the empty slices that were left out, and its matrix to LPS mm.

    The slices are in the order in which they are referred to, along their normal. Where
    they are not, as of other programs, all stays as it is.
    """
    order = {uid: n for n, (*_, uid) in enumerate(segmentation.get_source_image_uids())}
    places = _places(segmentation, order, np.linalg.inv(affine))
    forward = {number - index for index, number in places}
    backward = {number + index for index, number in places}
    if len(forward) == 1 and (len(places) > 1 or _is_along_normal(affine)):
        before = forward.pop()
        after = len(order) - before - len(array)
    elif len(backward) == 1:
        after = backward.pop() - len(array) + 1
        before = len(order) - after - len(array)
    else:
        return array, affine
    if min(before, after) < 0:
        return array, affine
    shifted = affine.copy()
    shifted[:, 3] -= before * affine[:, 0]
    return np.pad(array, ((before, after), (0, 0), (0, 0))), shifted


def _places(
    segmentation: Any, order: dict[Any, int], to_index: NDArray[Any]
) -> set[tuple[int, int]]:
    """Of each frame, its slice in the array, and the number of the slice it refers to.

    Empty where a frame does not say.
    """
    places = set()
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        try:
            image = group.DerivationImageSequence[0].SourceImageSequence[0]
            position = group.PlanePositionSequence[0].ImagePositionPatient
            number = order[image.ReferencedSOPInstanceUID]
        except (AttributeError, IndexError, KeyError):
            return set()
        places.add((round(float((to_index @ [*position, 1])[0])), number))
    return places


def _is_along_normal(affine: NDArray[np.float64]) -> bool:
    """Whether slices follow each other as the normal of rows and columns points."""
    return bool(np.cross(affine[:3, 2], affine[:3, 1]) @ affine[:3, 0] > 0)


def _named(number: int, description: Any) -> NamedLabel:
    value = description.get("RecommendedDisplayCIELabValue")
    if value is None:
        return NamedLabel(number, description.segment_label, distinct_color(number))
    import highdicom

    color = highdicom.color.CIELabColor.from_dicom_value(list(value))
    r, g, b = (part / 255 for part in color.to_rgb())
    return NamedLabel(number, description.segment_label, (r, g, b))

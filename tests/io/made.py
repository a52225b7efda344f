"""Volumes written by the formats' own libraries, to be read back."""

from __future__ import annotations

from pathlib import Path

import h5py
import mrcfile
import nibabel as nib
import nrrd
import numpy as np
import pydicom
import tifffile
import zarr
from ome_zarr.format import format_from_version
from ome_zarr.writer import write_multiscale
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SERIES = generate_uid(entropy_srcs=["series"])


def from_ijk(matrix: np.ndarray) -> np.ndarray:
    """Matrix from (k, j, i) of one from (i, j, k)."""
    return matrix[:, [2, 1, 0, 3]]


def dicom_slice(
    array: np.ndarray, matrix: np.ndarray, number: int, **tags
) -> pydicom.Dataset:
    """Slice ``number`` of a (k, j, i) array, at its place by the (k, j, i) RAS matrix."""
    lps = LPS @ matrix
    column, row = lps[:3, 1], lps[:3, 2]
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(number), str(tags)])
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.SeriesInstanceUID = SERIES
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    dataset.Modality = "CT"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "SECRET-4711"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = ""
    dataset.StudyID = dataset.ReferringPhysicianName = ""
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient = [
        float(f"{v:.10g}") for v in (lps @ [number, 0, 0, 1])[:3]
    ]
    sizes = np.linalg.norm(column), np.linalg.norm(row)
    directions = [*(row / sizes[1]), *(column / sizes[0])]
    dataset.ImageOrientationPatient = [float(f"{v:.12g}") for v in directions]
    dataset.PixelSpacing = [float(f"{v:.10g}") for v in sizes]
    dataset.Rows, dataset.Columns = array.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    stored = array[number].astype(np.int32) + 1024
    dataset.PixelData = stored.astype(np.uint16).tobytes()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    return dataset


def write_dicom(folder: Path, array: np.ndarray, matrix: np.ndarray, **tags) -> Path:
    """A series, its files named against the order of its slices."""
    folder.mkdir(exist_ok=True)
    for number in range(len(array)):
        dataset = dicom_slice(array, matrix, number, **tags)
        dataset.save_as(folder / f"{900 - number}", enforce_file_format=True)
    return folder


def write_nifti(path: Path, array: np.ndarray, matrix: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(array.T, from_ijk(matrix)), path)
    return path


def write_mgz(path: Path, array: np.ndarray, matrix: np.ndarray) -> Path:
    nib.save(nib.MGHImage(array.T, from_ijk(matrix)), path)
    return path


def write_nrrd(path: Path, array: np.ndarray, matrix: np.ndarray) -> Path:
    lps = LPS @ matrix
    header = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, 2::-1].T,
        "space origin": lps[:3, 3],
    }
    nrrd.write(str(path), array.T, header)
    return path


def write_mha(path: Path, array: np.ndarray, matrix: np.ndarray) -> Path:
    import SimpleITK

    lps = from_ijk(LPS @ matrix)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def write_tiff(path: Path, array: np.ndarray) -> Path:
    metadata = {"axes": "ZYX"}
    for axis, size in zip("ZYX", (50.0, 4.0, 4.5), strict=True):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    tifffile.imwrite(path, array, ome=True, metadata=metadata, compression="zlib")
    return path


def write_mrc(path: Path, array: np.ndarray) -> Path:
    with mrcfile.new(
        path, array, compression="gzip" if path.suffix == ".gz" else None
    ) as f:
        f.set_volume()
        f.voxel_size = (4.5, 4.0, 50.0)
        f.header.origin.x = 12.0
    return path


def write_hdf5(path: Path, array: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("volume", data=array, compression="gzip")
        dataset.attrs["element_size_um"] = (0.05, 0.004, 0.0045)
    return path


def write_zarr(
    path: Path, array: np.ndarray, version: str = "0.5", levels: int = 2
) -> Path:
    layout = format_from_version(version)
    group = zarr.open_group(path, mode="w", zarr_format=layout.zarr_format)
    pyramid = [array[(slice(None), *[slice(None, None, 2**n)] * 2)] for n in range(levels)]
    transforms = [
        [
            {"type": "scale", "scale": [50.0, 4.0 * 2**n, 4.5 * 2**n]},
            {"type": "translation", "translation": [100.0, 0.0, 7.0]},
        ]
        for n in range(levels)
    ]
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    write_multiscale(
        pyramid, group, fmt=layout, axes=axes, coordinate_transformations=transforms
    )
    return path

"""Which volumes a batch is about: each series of a DICOM tree is one, each X-ray is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.batch.inputs import find_inputs, find_sources, results_for
from napari_dinomed.errors import ReadError
from napari_dinomed.io import Source, read_volume
from tests.io import made

ARRAY = np.random.default_rng(0).integers(0, 400, (4, 8, 7))
MATRIX = np.diag([3.0, 0.7, 0.7, 1.0])[:, [2, 1, 0, 3]]


def _series(folder, uid, mark, count=4, **tags):
    """A series in a folder where others may lie, its files told by a mark."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        dataset = made.dicom_slice(ARRAY, MATRIX, number, SeriesInstanceUID=uid, **tags)
        dataset.save_as(folder / f"{mark}{number}.dcm", enforce_file_format=True)


def _names(sources, out):
    return [place.name for _, place in results_for(sources, out, ".nii.gz")]


def test_each_series_of_a_folder_is_a_volume(tmp_path):
    scan, out = tmp_path / "scan", tmp_path / "out"
    _series(scan, "1.2.1", "thick")
    _series(scan, "1.2.2", "thin", 3)
    sources = find_sources([str(scan)], out)
    assert [read_volume(one.paths).array.shape[0] for one in sources] == [4, 3]
    assert _names(sources, out) == [
        "scan_thick0_labels.nii.gz",
        "scan_thin0_labels.nii.gz",
    ]
    # Who is told of the first file alone finds the same series.
    first, second = find_inputs([str(scan)], out)
    assert (first.name, second.name) == ("thick0.dcm", "thin0.dcm")
    np.testing.assert_array_equal(
        read_volume(second).array, read_volume(sources[1].paths).array
    )


def test_series_of_a_tree_never_share_a_name(tmp_path):
    tree, out = tmp_path / "tree", tmp_path / "out"
    for number, place in enumerate(("anna/ct/s1", "anna/ct/s2", "ben/ct/s1")):
        _series(tree / place, f"1.2.{number}", "im")
    # As on a disc: a list of what lies below, which is no volume.
    (tree / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    sources = find_sources([str(tree)], out)
    assert _names(sources, out) == [
        "anna_ct_s1_labels.nii.gz",
        "s2_labels.nii.gz",
        "ben_ct_s1_labels.nii.gz",
    ]


@pytest.mark.parametrize("modality", ["DX", "CR"])
def test_each_xray_of_a_folder_is_a_volume(tmp_path, modality):
    _series(tmp_path / "xrays", "1.2.1", "film", 3, Modality=modality)
    sources = find_sources([str(tmp_path / "xrays")], tmp_path / "out")
    assert [one.path.name for one in sources] == ["film0.dcm", "film1.dcm", "film2.dcm"]
    for number, one in enumerate(sources):
        volume = read_volume(one.paths)
        np.testing.assert_array_equal(volume.array[0], read_volume(one.path).array[0])
        stored = volume.geometry.to_file_order(volume.array)
        np.testing.assert_array_equal(stored[0], ARRAY[number])


def test_a_segmentation_beside_a_series_is_no_volume(tmp_path):
    _series(tmp_path / "scan", "1.2.1", "ct")
    _series(tmp_path / "scan", "1.2.2", "seg", 1, Modality="SEG")
    _series(tmp_path / "scan", "1.2.3", "late")
    sources = find_sources([str(tmp_path / "scan")], tmp_path / "out")
    assert [one.path.name for one in sources] == ["ct0.dcm", "late0.dcm"]


def test_names_that_differ_by_case_or_by_where_folders_part_are_not_shared(tmp_path):
    out = tmp_path / "out"
    sources = [Source((tmp_path / one,)) for one in ("a/Scan.nii.gz", "b/scan.nii.gz")]
    assert _names(sources, out) == ["a_Scan_labels.nii.gz", "b_scan_labels.nii.gz"]
    twins = [Source((tmp_path / one,)) for one in ("a_b/c.nii.gz", "a/b_c.nii.gz")]
    assert len(set(_names(twins, out))) == 2


def test_a_row_of_a_table_may_name_what_is_not_there(tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("path\nx.nii.gz\nscan\nmissing.nii.gz\n")
    made.write_nifti(tmp_path / "x.nii.gz", ARRAY.astype(np.int16), MATRIX)
    _series(tmp_path / "scan", "1.2.1", "a")
    _series(tmp_path / "scan", "1.2.2", "b")
    sources = find_sources([str(table)], tmp_path / "out")
    told = [one.path.name for one in sources]
    assert told == ["x.nii.gz", "a0.dcm", "b0.dcm", "missing.nii.gz"]
    with pytest.raises(ReadError, match=r"no file .*missing\.nii\.gz"):
        read_volume(sources[-1].paths)

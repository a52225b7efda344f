"""Every format: what is written comes back, voxel by voxel and on the same grid."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_dinomed.errors import WriteError
from napari_dinomed.io import read_labels, read_volume, write_image, write_labels
from napari_dinomed.volume import Geometry, NamedLabel, Volume
from tests.io import made

PATIENT = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mgz", ".mha")
UPRIGHT = (".ome.tif", ".mrc", ".mrc.gz", ".nrrd", ".zarr", ".nii.gz")
LEGEND = (NamedLabel(1, "liver", (0.9, 0.6, 0.0)), NamedLabel(4, "gall bladder", (0, 0, 1)))
REPEATABLE = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def patient_grids(draw) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shapes, and matrices from (k, j, i) to RAS: any turn, mirror and spacing."""
    shape = draw(st.tuples(*[st.integers(2, 6)] * 3))
    numbers = st.floats(-1, 1, allow_nan=False, width=32)
    turn = np.array(draw(st.lists(numbers, min_size=9, max_size=9))).reshape(3, 3)
    order = np.eye(3)[list(draw(st.permutations(range(3))))]
    directions, _ = np.linalg.qr(order + 0.4 * turn)
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    spacing = draw(st.tuples(*[st.floats(0.25, 8, width=32)] * 3))
    matrix = np.eye(4)
    matrix[:3, :3] = directions * signs * spacing
    matrix[:3, 3] = draw(st.tuples(*[st.floats(-300, 300, width=32)] * 3))
    return shape, matrix


def _made(shape, geometry) -> tuple[np.ndarray, Volume]:
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape) - 40
    canonical = np.ascontiguousarray(geometry.from_file_order(array))
    return array, Volume(canonical, geometry, "CT")


@pytest.mark.parametrize("suffix", PATIENT)
@REPEATABLE
@given(grid=patient_grids())
def test_patient_grids_come_back(tmp_path, suffix, grid):
    shape, matrix = grid
    geometry = Geometry.from_file(shape, matrix, "mm", patient=True)
    array, volume = _made(shape, geometry)
    labels = (volume.array % 5).astype(np.uint8)
    write_labels(tmp_path / f"labels{suffix}", labels, volume, LEGEND)
    again, read = read_labels(tmp_path / f"labels{suffix}")
    np.testing.assert_array_equal(again, labels)
    np.testing.assert_allclose(read.geometry.matrix, volume.geometry.matrix, atol=2e-4)
    np.testing.assert_allclose(read.geometry.file_affine, matrix, atol=2e-4)
    assert read.geometry.file_shape == shape
    write_image(tmp_path / f"image{suffix}", volume.array, volume)
    image = read_volume(tmp_path / f"image{suffix}")
    np.testing.assert_array_equal(image.geometry.to_file_order(image.array), array)


@pytest.mark.parametrize("suffix", UPRIGHT)
@REPEATABLE
@given(
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.25, 90, width=32)] * 3),
)
def test_microscopes_grids_come_back(tmp_path, suffix, shape, spacing):
    geometry = Geometry.from_spacing(shape, spacing, "nm")
    _, volume = _made(shape, geometry)
    labels = (volume.array % 5).astype(np.uint8)
    write_labels(tmp_path / f"labels{suffix}", labels, volume, LEGEND)
    again, read = read_labels(tmp_path / f"labels{suffix}")
    np.testing.assert_array_equal(again, labels)
    factor = {"nm": 1.0, "µm": 1e3, "Å": 0.1}[read.geometry.unit]
    np.testing.assert_allclose(
        np.array(read.geometry.spacing) * factor, volume.geometry.spacing, rtol=1e-5
    )


def test_one_point_of_the_world_shows_the_same_in_every_format(tmp_path):
    random = np.random.default_rng(1)
    array = random.integers(-900, 900, (5, 6, 7)).astype(np.int16)
    directions, _ = np.linalg.qr(np.eye(3)[::-1] + 0.2 * random.normal(size=(3, 3)))
    matrix = np.eye(4)
    # A right-handed stack: DICOM orders slices along the normal.
    directions[:, 0] *= np.sign(np.linalg.det(made.LPS[:3, :3] @ directions[:, [2, 1, 0]]))
    matrix[:3, :3] = directions * (3.0, 0.7, 0.8)
    matrix[:3, 3] = (80, -120, 33)
    volumes = {
        "nifti": read_volume(made.write_nifti(tmp_path / "a.nii.gz", array, matrix)),
        "nrrd": read_volume(made.write_nrrd(tmp_path / "a.nrrd", array, matrix)),
        "mgz": read_volume(made.write_mgz(tmp_path / "a.mgz", array, matrix)),
        "mha": read_volume(made.write_mha(tmp_path / "a.mha", array, matrix)),
        "dicom": read_volume(made.write_dicom(tmp_path / "series", array, matrix)),
    }
    points = (matrix @ [[0, 4, 2], [0, 5, 3], [0, 6, 1], [1, 1, 1]])[:3].T
    values = [array[0, 0, 0], array[4, 5, 6], array[2, 3, 1]]
    for name, volume in volumes.items():
        indices = np.rint(volume.geometry.from_world(points)).astype(int)
        found = [volume.array[tuple(index)] for index in indices]
        assert found == values, name
        np.testing.assert_array_equal(volume.array, volumes["nifti"].array, name)
        np.testing.assert_allclose(
            volume.geometry.matrix,
            volumes["nifti"].geometry.matrix,
            atol=1e-4,
            err_msg=name,
        )


@pytest.mark.parametrize("suffix", [".hdr", ".img"])
def test_pairs_of_files(tmp_path, suffix):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    matrix = np.diag([3.0, 2, 1, 1])[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Pair(array.T, made.from_ijk(matrix)), tmp_path / "a.img")
    volume = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.geometry.to_file_order(volume.array), array)


@pytest.mark.parametrize("suffix", [".mgz", ".mha"])
def test_formats_of_patients_refuse_microscopes(tmp_path, suffix):
    _, volume = _made((2, 3, 4), Geometry.from_spacing((2, 3, 4), (9, 4, 4), "nm"))
    with pytest.raises(WriteError, match="patients"):
        write_labels(tmp_path / f"labels{suffix}", np.ones((2, 3, 4), int), volume)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mrc", ".zarr"])
def test_formats_without_directions_refuse_tilted_grids(tmp_path, suffix):
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0.1, 0.9], [0, 0.9, -0.1], [-3, 0, 0]]
    _, volume = _made((2, 3, 4), Geometry.from_file((2, 3, 4), matrix, "mm", patient=True))
    with pytest.raises(WriteError, match="tilted"):
        write_labels(tmp_path / f"labels{suffix}", np.ones(volume.array.shape, int), volume)
    assert not list(tmp_path.iterdir())


def test_slicer_finds_names_and_colours(tmp_path):
    _, volume = _made(
        (3, 4, 5), Geometry.from_file((3, 4, 5), np.eye(4), "mm", patient=True)
    )
    labels = (volume.array % 5).astype(np.uint8)
    write_labels(tmp_path / "a.seg.nrrd", labels, volume, LEGEND)
    legend = read_volume(tmp_path / "a.seg.nrrd").legend
    assert {label.id: label.name for label in legend} == {
        1: "liver",
        4: "gall bladder",
        2: "Label 2",
        3: "Label 3",
    }
    assert legend[0].color == pytest.approx((0.9, 0.6, 0.0))
    text = (tmp_path / "a.seg.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    for line in (
        "Segment0_Name:=liver",
        "Segment0_LabelValue:=1",
        "Segment0_Color:=0.9 0.6 0",
        "Segment0_Extent:=0 4 0 3 0 2",
        "Segmentation_MasterRepresentation:=Binary labelmap",
    ):
        assert line in text


def test_slicers_overlapping_segments(tmp_path):
    """Slicer keeps segments that overlap in layers along the first axis."""
    import nrrd

    layers = np.zeros((2, 4, 4, 4), np.uint8)
    layers[0, :2], layers[1, 1:3] = 1, 1
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([[np.nan] * 3, np.eye(3)]),
        "space origin": np.zeros(3),
        "kinds": ["list", "domain", "domain", "domain"],
        **{"Segment0_Name": "bone", "Segment0_ID": "a", "Segment0_Layer": "0"},
        **{"Segment0_LabelValue": "1", "Segment0_Color": "1 0 0"},
        **{"Segment1_Name": "tumour", "Segment1_ID": "b", "Segment1_Layer": "1"},
        **{"Segment1_LabelValue": "1", "Segment1_Color": "0 1 0"},
    }
    nrrd.write(str(tmp_path / "a.seg.nrrd"), layers, header)
    volume = read_volume(tmp_path / "a.seg.nrrd")
    on_file = volume.geometry.to_file_order(volume.array).T
    assert on_file[:, 0, 0].tolist() == [1, 2, 2, 0]
    assert [(n.id, n.name) for n in volume.legend] == [(1, "bone"), (2, "tumour")]

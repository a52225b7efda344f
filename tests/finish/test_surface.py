"""Surfaces: closed, true to the voxels' volume, in the world, read by another library."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.cli import app
from napari_dinomed.errors import FinishError, WriteError
from napari_dinomed.finish.surface import shown_surface, surface_of
from napari_dinomed.io import write_labels
from napari_dinomed.io.meshes import write_mesh
from napari_dinomed.volume import Geometry, NamedLabel, Volume
from tests.conftest import ball

# A tilted, mirrored grid of a patient, slices 3 mm apart.
AFFINE = np.array(
    [[0, 0.1, -0.8, 40], [0.3, -0.8, 0, -20], [-3.0, -0.1, 0.1, 70], [0, 0, 0, 1]]
)
SHAPE = (20, 48, 56)


@pytest.fixture
def geometry() -> Geometry:
    return Geometry(SHAPE, tuple(map(tuple, AFFINE.tolist())), "mm", patient=True)


@pytest.fixture
def kidney(geometry) -> Mask:
    """A ball with a bite, in voxels that are no cubes."""
    whole = ball(SHAPE, (10, 24, 30), 12, (3.0, 0.8, 0.8))
    return Mask.of(whole & ~ball(SHAPE, (10, 24, 44), 7, (3.0, 0.8, 0.8)))


def noise(share: float) -> Mask:
    """Voxels that touch by corners and edges in every way, up to the volume's end."""
    return Mask.of(np.random.default_rng(0).random((12, 16, 16)) < share)


@pytest.mark.parametrize("is_smooth", [True, False])
def test_it_is_closed_and_encloses_as_much_as_the_voxels(kidney, geometry, is_smooth):
    mesh = surface_of(kidney, geometry, is_smooth)
    assert mesh.is_closed
    assert mesh.volume == pytest.approx(kidney.count * geometry.voxel_volume, rel=0.01)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_it_is_closed_whatever_touches(share):
    mask = noise(share)
    mesh = surface_of(mask, Geometry.from_spacing((12, 16, 16), (2, 1, 1), "mm"))
    assert mesh.is_closed
    assert mesh.volume == pytest.approx(mask.count * 2, rel=0.02)


def test_a_surface_with_a_hole_is_not_called_closed(kidney, geometry):
    mesh = surface_of(kidney, geometry)
    assert not type(mesh)(mesh.vertices, mesh.faces[1:]).is_closed


def test_smoothing_takes_the_steps_away(geometry):
    whole = Mask.of(ball(SHAPE, (10, 24, 30), 12, (3.0, 0.8, 0.8)))
    areas = [surface_of(whole, geometry, smooth).area for smooth in (True, False)]
    true = 4 * np.pi * (3 * whole.count * geometry.voxel_volume / (4 * np.pi)) ** (2 / 3)
    assert abs(areas[0] - true) < 0.5 * abs(areas[1] - true)


def test_it_lies_where_the_label_does(kidney, geometry):
    middle = geometry.to_world(kidney.voxels()).mean(0)
    found = trimesh.Trimesh(*_parts(surface_of(kidney, geometry)), process=False)
    np.testing.assert_allclose(found.center_mass, middle, atol=0.3)


def test_what_is_shown_of_a_large_label_is_coarser_and_in_its_place(monkeypatch):
    monkeypatch.setattr("napari_dinomed.finish.surface._MOST_SHOWN", 4_000)
    mask = Mask.of(ball((40, 60, 60), (20, 30, 31), 18))
    geometry = Geometry.from_spacing((40, 60, 60), (1, 1, 1), "mm")
    shown, whole = shown_surface(mask, geometry), surface_of(mask, geometry)
    assert len(shown.faces) < len(whole.faces) / 4
    np.testing.assert_allclose(shown.vertices.mean(0), (20, 30, 31), atol=0.3)
    assert shown.volume == pytest.approx(mask.count, rel=0.02)


def test_nothing_has_no_surface(geometry):
    with pytest.raises(FinishError, match="Expected a label with voxels"):
        surface_of(Mask(), geometry)


@pytest.mark.parametrize("suffix", [".stl", ".obj", ".ply"])
def test_another_library_reads_the_same(tmp_path, kidney, geometry, suffix):
    mesh, path = surface_of(kidney, geometry), tmp_path / f"kidney{suffix}"
    write_mesh(path, mesh, "SPACE=RAS UNIT=mm")
    read = trimesh.load(path)
    assert read.is_watertight
    assert read.volume == pytest.approx(mesh.volume, rel=1e-4)
    np.testing.assert_allclose(read.bounds[0], mesh.vertices.min(0), atol=1e-3)
    assert b"SPACE=RAS" in path.read_bytes()[:120]


def test_another_ending_is_refused(tmp_path, kidney, geometry):
    with pytest.raises(WriteError, match="Expected a surface to end in"):
        write_mesh(tmp_path / "kidney.xyz", surface_of(kidney, geometry))
    assert not list(tmp_path.iterdir())


def test_the_command_writes_each_label(tmp_path, kidney, geometry):
    array = np.zeros(SHAPE, np.uint8)
    kidney.number(array, 2)
    array[1:4, 2:9, 2:9] = 5
    legend = (NamedLabel(2, "left kidney", (1, 0, 0)), NamedLabel(5, "cyst", (0, 1, 0)))
    labels = tmp_path / "labels.nrrd"
    write_labels(labels, array, Volume(array, geometry), legend)
    run = CliRunner().invoke(
        app, ["surface", str(labels), "--out", str(tmp_path / "k.stl")]
    )
    assert run.exit_code == 0, run.output
    read = trimesh.load(tmp_path / "k-2-left-kidney.stl")
    volume = kidney.count * geometry.voxel_volume
    assert read.is_watertight
    assert read.volume == pytest.approx(volume, rel=0.01)
    assert (tmp_path / "k-5-cyst.stl").exists()
    one = ["surface", str(labels), "--label", "5", "--out", str(tmp_path / "cyst.ply")]
    assert CliRunner().invoke(app, one).exit_code == 0
    assert (tmp_path / "cyst.ply").exists()
    wrong = ["surface", str(labels), "--label", "3", "--out", str(tmp_path / "no.ply")]
    with pytest.raises(FinishError, match="Expected labels of 2, 5; got 3"):
        CliRunner().invoke(app, wrong, catch_exceptions=False)


def _parts(mesh):
    return mesh.vertices, mesh.faces

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManifest

import napari_dinomed
from napari_dinomed.plugin.files import get_reader, layer_name, write_labels_layer
from napari_dinomed.plugin.samples import ct_sample, em_sample

AFFINE = np.array([[-0.7, 0.02, 0, 9], [0.02, 0.7, 0, -8], [0, 0, 3.0, 7], [0, 0, 0, 1.0]])


@pytest.fixture
def scan(tmp_path):
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def test_a_file_opens_at_its_true_place_and_saves_on_its_own_grid(scan, tmp_path):
    ((array, options, kind),) = get_reader(str(scan))(str(scan))
    assert kind == "image"
    layer = Image(array, **options)
    assert layer.name == "scan"
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    labels = (array % 3).astype(np.uint8)
    out = tmp_path / "labels.nii.gz"
    assert write_labels_layer(str(out), labels, {"metadata": layer.metadata}) == [str(out)]
    source, saved = nib.load(scan), nib.load(out)
    np.testing.assert_array_equal(saved.affine, source.affine)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), np.asarray(source.dataobj) % 3)


def test_labels_from_anywhere_can_be_written(tmp_path):
    layer = Labels(np.ones((2, 3, 4), int), scale=(50, 4, 4), units=("nm",) * 3)
    out = tmp_path / "l.ome.tif"
    write_labels_layer(str(out), layer.data, {"scale": layer.scale, "units": layer.units})
    assert out.exists()


def test_what_is_not_ours_is_left_to_others(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    assert get_reader(str(tmp_path / "a.txt")) is None
    assert get_reader(str(tmp_path / "missing.nii")) is None
    assert get_reader([]) is None


def test_names_lose_the_formats_suffix(tmp_path):
    assert layer_name(tmp_path / "a.b.nii.gz") == "a.b"
    assert layer_name(tmp_path / "stack.ome.tif") == "stack"


@pytest.mark.parametrize("sample", [ct_sample, em_sample])
def test_samples_open(sample):
    ((array, options, _),) = sample()
    ViewerModel().layers.append(Image(array, **options))


def test_the_manifest_names_things_that_exist():
    path = napari_dinomed.__path__[0]
    manifest = PluginManifest.from_file(f"{path}/napari.yaml")
    manifest.validate_imports()

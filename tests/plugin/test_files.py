from __future__ import annotations

import dask.array
import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManifest

import napari_dinomed
from napari_dinomed.io import Contents, Part, Pick, list_contents, pieces, read_volume
from napari_dinomed.plugin import files, orientation
from napari_dinomed.plugin.files import (
    get_reader,
    layer_name,
    write_image_layer,
    write_labels_layer,
)
from napari_dinomed.plugin.orientation import edge_letters, show_orientation
from napari_dinomed.plugin.pick_dialog import PickDialog
from napari_dinomed.plugin.samples import ct_sample, em_sample
from tests.io import made

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


STACK = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
AXIAL = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, -9], [0, 0, 0, 1.0]])


def test_a_folder_and_a_list_of_slices_open_as_one_volume(tmp_path):
    folder = made.write_dicom(tmp_path / "study", STACK, AXIAL)
    names = [str(path) for path in sorted(folder.iterdir())]
    for given in (str(folder), names):
        ((array, options, kind),) = get_reader(given)(given)
        assert (array.shape, kind) == ((4, 5, 6), "image")
        assert options["name"] == "study"
        assert options["scale"] == pytest.approx((2.5, 0.8, 0.7))


def test_labels_with_names_open_as_labels(tmp_path):
    from napari_dinomed.io import write_labels
    from napari_dinomed.volume import NamedLabel

    volume = read_volume(made.write_nrrd(tmp_path / "a.nrrd", STACK, AXIAL))
    labels = (volume.array % 3).astype(np.uint8)
    legend = (NamedLabel(1, "liver", (1.0, 0.5, 0.0)),)
    write_labels(tmp_path / "l.seg.nrrd", labels, volume, legend)
    ((array, options, kind),) = get_reader(str(tmp_path / "l.seg.nrrd"))(
        str(tmp_path / "l.seg.nrrd")
    )
    assert kind == "labels"
    layer = Labels(array, **options)
    assert list(layer.features["name"]) == ["background", "liver", "Label 2"]
    np.testing.assert_allclose(layer.get_color(1)[:3], (1, 0.5, 0), atol=0.01)


def test_an_image_is_saved_as_it_was(tmp_path, scan):
    ((array, options, _),) = get_reader(str(scan))(str(scan))
    out = tmp_path / "copy.nii.gz"
    write_image_layer(str(out), array, {"metadata": options["metadata"]})
    source, saved = nib.load(scan), nib.load(out)
    assert saved.get_data_dtype() == source.get_data_dtype()
    np.testing.assert_array_equal(saved.affine, source.affine)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), np.asarray(source.dataobj))


def test_what_is_large_is_shown_lazily(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "LARGE", 100)
    np.save(tmp_path / "a.npy", STACK)
    ((array, options, _),) = get_reader(str(tmp_path / "a.npy"))(str(tmp_path / "a.npy"))
    assert isinstance(array, dask.array.Array)
    viewer = ViewerModel()
    viewer.layers.append(Image(array, **options))


def test_a_lone_picture_is_left_to_napari(tmp_path):
    import imageio.v3 as imageio

    imageio.imwrite(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    assert get_reader(str(tmp_path / "a.png")) is None


@pytest.mark.parametrize("path", ["", "\0", "nowhere", [], ["a", "b"], "http://[", None])
def test_asking_for_a_reader_never_raises(path):
    assert get_reader(path) is None or callable(get_reader(path))


@pytest.mark.parametrize(
    ("displayed", "mirrored", "expected"),
    [
        ((1, 2), False, ("A", "P", "R", "L")),
        ((1, 2), True, ("A", "P", "L", "R")),
        ((0, 2), False, ("S", "I", "R", "L")),
        ((0, 1), False, ("S", "I", "A", "P")),
    ],
)
def test_letters_of_a_canonical_volume(displayed, mirrored, expected):
    assert edge_letters("IPL", displayed, mirrored) == expected


def _letters(viewer):
    overlays = viewer.canvas.overlays
    shown = [overlays[f"dinomed_{place}"] for place in orientation._PLACES]
    return "".join(overlay.text for overlay in shown if overlay.visible)


def test_the_canvas_says_which_side_is_which(tmp_path, plugin_settings):
    volume = read_volume(made.write_dicom(tmp_path / "study", STACK, AXIAL))
    viewer = ViewerModel()
    show_orientation(viewer)
    assert _letters(viewer) == ""
    layer = Image(volume.array, **files.image_options(volume, "scan"))
    viewer.layers.append(layer)
    assert _letters(viewer) == "APRL"
    viewer.dims.order = (1, 0, 2)
    assert _letters(viewer) == "SIRL"
    viewer.dims.order = (2, 0, 1)
    assert _letters(viewer) == "SIAP"
    viewer.dims.ndisplay = 3
    assert _letters(viewer) == ""
    viewer.dims.ndisplay = 2
    viewer.layers.remove(layer)
    assert _letters(viewer) == ""


def test_neurologists_see_the_left_on_the_left(tmp_path, monkeypatch):
    monkeypatch.setattr(orientation, "is_neurological", lambda: True)
    volume = read_volume(made.write_dicom(tmp_path / "study", STACK, AXIAL))
    viewer = ViewerModel()
    viewer.layers.append(Image(volume.array, **files.image_options(volume, "scan")))
    show_orientation(viewer)
    assert _letters(viewer) == "APLR"
    assert viewer.scene.camera.orientation2d == ("down", "left")
    viewer.dims.order = (2, 0, 1)
    assert _letters(viewer) == "SIAP"
    assert viewer.scene.camera.orientation2d == ("down", "right")


def test_microscopes_have_no_sides():
    ((array, options, _),) = em_sample()
    viewer = ViewerModel()
    viewer.layers.append(Image(array, **options))
    show_orientation(viewer)
    assert _letters(viewer) == ""


def test_the_preference_can_be_set(plugin_settings):
    """On napari's own preferences page, in the words of the manifest."""
    from napari.settings import get_plugin_settings
    from npe2 import PluginManager

    from napari_dinomed.engine.place import HERE, Place
    from napari_dinomed.plugin import preferences
    from napari_dinomed.plugin.engines import SharedEngine

    path = napari_dinomed.__path__[0]
    manifest = PluginManifest.from_file(f"{path}/napari.yaml")
    if manifest.name not in PluginManager.instance():
        PluginManager.instance().register(manifest)
    assert not preferences.is_neurological()
    get_plugin_settings("napari-dinomed").display.convention = preferences.NEUROLOGICAL
    assert preferences.is_neurological()
    assert SharedEngine().make().place == HERE
    get_plugin_settings("napari-dinomed").engine.command = "ssh gpubox x"
    assert SharedEngine().make().place == Place.of("ssh gpubox x")


def test_a_dialog_asks_for_what_there_is_a_choice_of(qtbot):
    contents = Contents((Part("a", "Series a"), Part("b", "Series b")), frames=5)
    dialog = PickDialog("study", contents)
    qtbot.addWidget(dialog)
    dialog.parts.setCurrentRow(1)
    dialog.frame.setValue(3)
    assert dialog.pick == Pick("b", 2, None)


def test_the_dialog_decides_what_is_read(tmp_path, monkeypatch, qtbot):
    folder = made.write_dicom(tmp_path / "study", STACK, AXIAL)
    for number in range(3):
        other = made.dicom_slice(STACK, AXIAL, number, SeriesInstanceUID="1.2.3")
        other.save_as(folder / f"other{number}", enforce_file_format=True)
    assert len(list_contents(folder).parts) == 2

    def choose_second(dialog):
        dialog.parts.setCurrentRow(1)
        return True

    monkeypatch.setattr(PickDialog, "exec", choose_second)
    ((array, _, _),) = get_reader(str(folder))(str(folder))
    assert array.shape == (3, 5, 6)
    monkeypatch.setattr(PickDialog, "exec", lambda _: False)
    assert get_reader(str(folder))(str(folder)) == [(None,)]


def test_resampling_is_asked_for(tmp_path, monkeypatch, qtbot):
    from qtpy.QtWidgets import QMessageBox

    from napari_dinomed.errors import UnevenError

    folder = made.write_dicom(tmp_path / "study", STACK, AXIAL)
    # The third of four slices.
    (folder / "898").unlink()
    answers = iter((QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes))
    monkeypatch.setattr(QMessageBox, "question", lambda *_: next(answers))
    with pytest.raises(UnevenError):
        get_reader(str(folder))(str(folder))
    ((array, _, _),) = get_reader(str(folder))(str(folder))
    assert array.shape == (4, 5, 6)


def test_every_format_is_offered_when_labels_are_saved():
    from napari_dinomed.plugin.result_box import filters

    offered = filters(".nii.gz")
    assert offered.startswith("NIfTI (*.nii.gz *.nii)")
    for suffix in ("*.dcm", "*.seg.nrrd", "*.zarr", "*.mrc", "*.mgz", "*.ome.tif"):
        assert suffix in offered

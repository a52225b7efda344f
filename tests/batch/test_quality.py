"""What is said of labels that were found in volumes unlike those that taught."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.batch.labelling import Labelling
from napari_dinomed.batch.page import report_of
from napari_dinomed.batch.quality import Measures
from napari_dinomed.io import Source


@pytest.fixture(scope="module")
def rows(cohort, tmp_path_factory):
    """What is said of a usual volume, of noise, and of one with thicker slices."""
    folder, _ = cohort
    out = tmp_path_factory.mktemp("out")
    image = nib.load(folder / "002_image.nii.gz")
    grey = np.asarray(image.dataobj)
    noise = np.random.default_rng(0).normal(80, 30, grey.shape).clip(0, 255)
    thick = np.diag([1.0, 1.0, 3.0, 1.0]) @ image.affine
    named = {
        "usual": (grey, image.affine),
        "noise": (noise.astype(np.uint8), image.affine),
        "thick": (grey, thick),
    }
    labelling = Labelling(folder / "m.dinomed", out, "filters", None, "auto", "cpu")
    done = {}
    for name, (array, affine) in named.items():
        path = out / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(array, affine), path)
        place = out / f"{name}_labels.nii.gz"
        done[name] = labelling.label(Source((path,)), place, None)
        assert not done[name].error
    return done


def test_noise_is_red(rows):
    assert rows["noise"].light == "red"
    assert rows["noise"].oddness > 2 > rows["usual"].oddness


def test_what_is_warned_of_is_never_green(rows):
    thick = rows["thick"]
    assert any("spacing" in warning for warning in thick.warnings)
    assert all(one.light != "green" for one in thick.measures)
    assert any("unlike those that taught" in one.reason for one in thick.measures)


def test_all_that_was_seen_is_in_the_table(rows):
    for one in rows["usual"].measures:
        cells = dict(zip(Measures.COLUMNS, one.cells(), strict=True))
        assert float(cells["surface in that of a ball"]) > 0.8
        assert 0 <= float(cells["unlike inside"]) < 1
        assert 0 <= float(cells["unlike around"]) < 1
        assert float(cells["oddness"]) == pytest.approx(one.oddness, abs=0.01)


def test_the_oddest_stands_first_in_the_report(rows, tmp_path):
    page = report_of(rows.values(), tmp_path)
    assert page.index(">noise.nii.gz<") < page.index(">usual.nii.gz<")

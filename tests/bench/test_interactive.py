"""Simulated clicks on real volumes with expert labels.

The bounds lie a little under what was measured when they were written; a pipeline with
voxels, tokens, or prompts out of place misses all of them.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.bench.case import load_case
from napari_dinomed.bench.interactive import product, run_case
from napari_dinomed.errors import ReadError
from napari_dinomed.headless import prepare
from napari_dinomed.segment.prompts import Meaning

CT = ("ct_abdomen/example_ct_sm.nii.gz", "ct_abdomen/example_seg.nii.gz")
HIPPOCAMPUS = (
    "mr_hippocampus/images/hippocampus_001.nii.gz",
    "mr_hippocampus/labels/hippocampus_001.nii.gz",
)


@pytest.mark.parametrize(
    ("files", "label", "after_one", "after_five"),
    [(CT, "1", 0.6, 0.8), (CT, "5", 0.35, 0.7), (HIPPOCAMPUS, "1+2", 0.3, 0.5)],
    ids=["spleen", "liver", "hippocampus"],
)
@pytest.mark.parametrize("encoder", ["filters", "vit"])
def test_clicks_find_organs(
    shared_data, vit_weights, encoder, files, label, after_one, after_five
):
    case = load_case(shared_data / files[0], shared_data / files[1], label)
    name = f"file:{vit_weights}" if encoder == "vit" else encoder
    job = prepare(case.volume, name)
    outcome = run_case(case, product(job, Meaning.OBJECT), clicks=5)
    assert outcome.dice[0] > after_one
    assert outcome.dice[4] > after_five


def _write(path, array):
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


def test_labels_are_joined(tmp_path):
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 4
    image = _write(tmp_path / "i.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    case = load_case(image, _write(tmp_path / "l.nii", labels), "1+3")
    assert case.truth.sum() == 12


@pytest.mark.parametrize(
    ("shape", "label", "said"),
    [((2, 3, 5), "1", "voxels"), ((2, 3, 4), "9", "no voxel"), ((2, 3, 4), "x", "1\\+2")],
)
def test_labels_that_do_not_go_with_the_image(tmp_path, shape, label, said):
    image = _write(tmp_path / "i.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    labels = _write(tmp_path / "l.nii", np.ones(shape, np.uint8))
    with pytest.raises(ReadError, match=said):
        load_case(image, labels, label)

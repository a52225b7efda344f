"""Volumes with labels as files, and a model that two of them taught."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.batch.lessons import Labelled, teach_model
from napari_dinomed.taught import learners
from tests.taught.conftest import SPACING, scan


def _write(folder, seed):
    volume, truth = scan(seed)
    affine = np.diag([*SPACING[::-1], 1.0])
    for name, array in (("image", volume.array), ("label", truth.astype(np.uint8))):
        nib.save(nib.Nifti1Image(array.T, affine), folder / f"{seed:03}_{name}.nii.gz")
    return truth


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Four volumes with labels as files, and a model taught by the first two."""
    folder = tmp_path_factory.mktemp("cohort")
    truths = {seed: _write(folder, seed) for seed in range(4)}
    volumes = [
        Labelled(*(str(folder / f"{seed:03}_{what}.nii.gz") for what in ("image", "label")))
        for seed in (0, 1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(folder))
        patch.setattr(learners, "_LESSONS", 200)
        taught = teach_model(volumes, None, "filters", None, "auto", "cpu", None)
    taught.write(folder / "m.dinomed")
    return folder, truths

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from tests.conftest import ball


def write_nifti(path, array):
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


@pytest.fixture
def two_scans(tmp_path):
    """Two scans (image, labels) of a bright ball, not in the same place."""
    files = []
    for number, centre in enumerate([(12, 18, 20), (11, 22, 16)]):
        mask = ball((24, 40, 40), centre, 7)
        noise = np.random.default_rng(number).normal(0, 5, mask.shape)
        image = (20 + 80 * mask + noise).astype(np.int16)
        files.append(
            (
                write_nifti(tmp_path / f"image{number}.nii", image),
                write_nifti(tmp_path / f"labels{number}.nii", mask.astype(np.uint8)),
            )
        )
    return files

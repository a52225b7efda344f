"""What is said of a file."""

from __future__ import annotations

import numpy as np

from napari_dinomed.io import Pick, describe


def test_a_volume_without_a_number_says_so(tmp_path):
    np.save(tmp_path / "a.npy", np.full((3, 4, 5), np.nan, np.float32))
    said = describe(tmp_path / "a.npy", Pick())
    assert said["range"] == "no values"
    assert said["window"] == "0 to 1 (auto)"

"""Names that no disk can have are refused with one line, to be read or to be written."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io import can_read, read_volume, require_writable, write_labels
from napari_dinomed.io.source import require_regular
from napari_dinomed.volume import Geometry, Volume
from tests.io import made

LONG = "n" * 300


@pytest.mark.parametrize("name", [f"{LONG}.nii.gz", f"{LONG}/a.nii.gz", LONG])
def test_a_name_too_long_cannot_be_read(tmp_path, name):
    for read in (read_volume, require_regular):
        with pytest.raises(ReadError, match="Give a shorter name"):
            read(tmp_path / name)
    assert not can_read(tmp_path / name)


@pytest.mark.parametrize(
    "name", [f"{LONG}.nii.gz", f"{LONG}/a.nii.gz", f"{LONG}.zarr", f"a.zarr/labels/{LONG}"]
)
def test_a_name_too_long_cannot_be_written(tmp_path, name):
    store = made.write_zarr(tmp_path / "a.zarr", np.zeros((3, 4, 5), np.uint8), "0.5")
    geometry = Geometry.from_spacing((3, 4, 5), (1, 1, 1), "mm")
    volume = Volume(np.zeros((3, 4, 5)), geometry)
    with pytest.raises(WriteError, match="Give a shorter name"):
        require_writable(tmp_path / name)
    with pytest.raises(WriteError, match="Give a shorter name"):
        write_labels(tmp_path / name, np.ones((3, 4, 5), np.uint8), volume)
    assert not (store / "labels").exists()

"""What a model may say of itself."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_dinomed.errors import ModelError
from napari_dinomed.taught.header import KIND, Header, Sight, read_header
from napari_dinomed.volume import Window

SIGHT = Sight("filters", "filters-3", (0,), Window(0.0, 1.0), "CT", (1.0, 1.0, 1.0))


def _save(path, metadata):
    save_file({"nothing": np.zeros(1)}, path, metadata=metadata)


def test_a_model_does_not_choose_a_file_to_load(tmp_path):
    """``apply`` loads the encoder that a model names."""
    path, metadata = tmp_path / "organs.dinomed", KIND.metadata(Header(SIGHT, 1.0))
    _save(path, metadata)
    assert read_header(path).sight == SIGHT
    text = metadata[KIND.key].replace('"filters"', '"file:/somewhere/weights.pth"')
    _save(path, {KIND.key: text})
    with pytest.raises(ModelError, match=r"organs\.dinomed"):
        read_header(path)

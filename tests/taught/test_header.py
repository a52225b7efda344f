"""What a model may say of itself."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_dinomed.errors import ModelError
from napari_dinomed.taught.header import ADAPTER, KEY, Header, Sight, read_header
from napari_dinomed.volume import Window

SIGHT = Sight("filters", "filters-3", (0,), Window(0.0, 1.0), "CT", (1.0, 1.0, 1.0))


def _save(path, text):
    save_file({"nothing": np.zeros(1)}, path, metadata={KEY: text})


def test_a_model_does_not_choose_a_file_to_load(tmp_path):
    """``apply`` loads the encoder that a model names."""
    path, text = tmp_path / "organs.dinomed", ADAPTER.dump_json(Header(SIGHT, 1.0)).decode()
    _save(path, text)
    assert read_header(path).sight == SIGHT
    _save(path, text.replace('"filters"', '"file:/somewhere/weights.pth"'))
    with pytest.raises(ModelError, match=r"organs\.dinomed"):
        read_header(path)

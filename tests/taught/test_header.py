"""What a model may say of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.errors import ModelError
from napari_dinomed.taught.header import (
    KIND,
    Amount,
    Header,
    Lesson,
    Reading,
    Sight,
    Way,
    read_header,
)
from napari_dinomed.volume import Window

SIGHT = Sight("filters", "filters-3", (0,), Window(0.0, 1.0), "CT", (1.0, 1.0, 1.0))

READING = Reading(Way("knn", "looks"), 0.0, 1.0, (0.5,))
LESSON = Lesson(new_label(1), {0: Amount(30, 30.0)}, (READING,))


def _save(path, metadata):
    save_file({"nothing": np.zeros(1)}, path, metadata=metadata)


def test_a_model_does_not_choose_a_file_to_load(tmp_path):
    """``apply`` loads the encoder that a model names."""
    header = Header(SIGHT, 1.0, (LESSON,), ("a",))
    path, metadata = tmp_path / "organs.dinomed", KIND.metadata(header)
    _save(path, metadata)
    assert read_header(path).sight == SIGHT
    text = metadata[KIND.key].replace('"filters"', '"file:/somewhere/weights.pth"')
    _save(path, {KIND.key: text})
    with pytest.raises(ModelError, match=r"organs\.dinomed"):
        read_header(path)


def test_spacings_that_hardly_compare_are_said():
    for own, other in ((1e-30, 1e300), (1e30, 1e-300)):
        taught, seen = (replace(SIGHT, spacing=(one, 1.0, 1.0)) for one in (own, other))
        (said,) = Header(taught, 1.0).require_sight(seen)
        assert "spacing" in said

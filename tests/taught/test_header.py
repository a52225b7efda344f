"""What a model may say of itself."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.errors import ModelError
from napari_dinomed.taught.header import (
    KIND,
    Amount,
    Apart,
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


def test_a_model_says_what_it_tells_odd_volumes_by():
    assert LESSON.told_by == ("size",)
    amounts = {n: Amount(30, 30.0, 50.0) for n in range(2)}
    apart = {n: Apart(0.1, 0.2) for n in amounts}
    known = replace(LESSON, amounts=amounts, readings=(READING, READING), apart=apart)
    assert known.told_by == ("two readers", "looks", "size", "surface")
    alike = replace(known, label=replace(known.label, meaning=Meaning.ALL_LIKE_THIS))
    assert alike.told_by == ("two readers", "looks")


def test_a_model_of_before_is_read(tmp_path):
    """It has neither surfaces nor distances, and tells by what it has."""
    path, header = tmp_path / "m.dinomed", Header(SIGHT, 1.0, (LESSON,), ("a",))
    text = json.loads(KIND.metadata(header)[KIND.key])
    (lesson,) = text["lessons"]
    del lesson["apart"], lesson["amounts"]["0"]["surface"]
    _save(path, {KIND.key: json.dumps(text)})
    assert read_header(path).lessons == (LESSON,)


def test_spacings_that_hardly_compare_are_said():
    for own, other in ((1e-30, 1e300), (1e30, 1e-300)):
        taught, seen = (replace(SIGHT, spacing=(one, 1.0, 1.0)) for one in (own, other))
        (said,) = Header(taught, 1.0).require_sight(seen)
        assert "spacing" in said

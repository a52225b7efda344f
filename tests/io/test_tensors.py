"""Arrays of files are what they have to be, or the first that is not is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinomed.errors import ModelError
from napari_dinomed.io.tensors import Form, require_forms

FORMS = {"known": Form("float32", ("n", "parts")), "belongs": Form("bool", ("n",))}


def _arrays(make):
    return {"known": make(np.zeros((3, 2), np.float32)), "belongs": make(np.ones(3, bool))}


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_arrays_that_go_together_are_let_through(make):
    require_forms(_arrays(make) | {"other": make(np.zeros(0))}, FORMS, "m")


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("known", np.zeros((3, 2)), "as float32 of 3 × 2, got float64 of 3 × 2"),
        ("known", np.zeros((0, 2), np.float32), "as float32 of n × 2, got"),
        ("known", np.zeros(3, np.float32), "as float32 of n × parts, got float32 of 3"),
        ("known", np.full((3, 2), np.nan, np.float32), "no number"),
        ("known", np.full((3, 2), -np.inf, np.float32), "no number"),
        ("belongs", np.ones(2, bool), "as bool of 3, got bool of 2"),
        ("belongs", np.array(True), "as bool of 3, got bool of a single number"),
    ],
)
def test_the_first_that_does_not_is_named(make, name, array, said):
    with pytest.raises(ModelError, match=f"m is damaged: .*'{name}'.*{said}"):
        require_forms(_arrays(make) | {name: make(array)}, FORMS, "m")


def test_one_that_is_missing_is_named():
    with pytest.raises(ModelError, match="'belongs' is missing"):
        require_forms({"known": np.zeros((3, 2), np.float32)}, FORMS, "m")

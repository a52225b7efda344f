"""A click is answered where its tokens are: nothing of it is left behind on the CPU.

No machine of the tests has a second device, so one is made up: its tensors are on the CPU,
but say that they are elsewhere, and refuse whatever a real device would refuse.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import Marks, View
from napari_dinomed.segment.one_object.looks import Looks
from napari_dinomed.segment.one_object.network import load_network
from napari_dinomed.segment.one_object.search import Search
from napari_dinomed.segment.turns import Early
from tests.conftest import ball

AWAY = torch.device("meta")


class Far(torch.Tensor):
    """A tensor that says that it is on the other device."""


def is_far(value) -> bool:
    return isinstance(value, Far)


def near(value):
    return value.as_subclass(torch.Tensor) if is_far(value) else value


def far(value):
    return value.as_subclass(Far) if isinstance(value, torch.Tensor) else value


class OtherDevice(TorchFunctionMode):
    """Where ``meta`` is a device that holds values, and does not mix with the CPU."""

    def __torch_function__(self, function, types, given=(), named=None):
        del types
        named = dict(named or {})
        name = getattr(function, "__name__", "")
        there = pytree.tree_leaves((given, named))
        tensors = [value for value in there if isinstance(value, torch.Tensor)]
        has_far = any(map(is_far, tensors))
        if name == "__get__" and has_far and function.__self__ is torch.Tensor.device:
            return AWAY
        wanted = named.get("device")
        if name == "to":
            wanted = next((v for v in there if isinstance(v, torch.device)), wanted)
            target = next((v for v in tensors[1:]), None)
            if target is not None:
                wanted = AWAY if is_far(target) else torch.device("cpu")
            elif wanted is None:
                wanted = AWAY if has_far else None
        elif name == "numpy" and has_far:
            assert named.get("force"), "A tensor elsewhere was read without being fetched."
            wanted = torch.device("cpu")
        elif has_far and name not in ("__get__", "__setitem__"):
            left = [t for t in tensors if not is_far(t) and t.ndim]
            assert not left, f"{name}: one tensor is elsewhere, another one is not."
        given, named = pytree.tree_map(near, (given, named))
        if name == "to":
            given = tuple(torch.device("cpu") if v == AWAY else v for v in given)
        if named.get("device") == AWAY:
            named["device"] = torch.device("cpu")
        result = function(*given, **named)
        stays = has_far if wanted is None else torch.device(wanted) == AWAY
        return pytree.tree_map(far, result) if stays else result


def found_on(device: torch.device) -> np.ndarray:
    """Probabilities after a click that includes, and one that excludes."""
    shape, spacing = (14, 40, 44), (2.0, 1.0, 1.0)
    mask = ball(shape, (7, 20, 24), 9, spacing)
    random = np.random.default_rng(0)
    grey = torch.from_numpy((0.6 * mask + random.uniform(0, 0.3, shape)).astype(np.float32))
    unit = torch.nn.functional.normalize(
        torch.from_numpy(random.normal(size=(14, 5, 6, 8)))
    )
    looks = Looks(unit.half().to(device), shape, 0, 1)
    grey, network = grey.to(device), load_network()

    def see(box, most):
        cells = Cells.over(box, spacing, most)
        return View(cells, cells.mean_of(grey[box])[None], (looks,), 20.0)

    def weigh(cells, cues):
        assert cues.device == device
        logits = network(near(cues)).detach()
        return torch.sigmoid(logits.to(device))

    whole = tuple(slice(0, length) for length in shape)
    search = Search(see, weigh, whole)
    clicks = np.array([[7, 20, 24]]), np.array([[7, 20, 36]])
    nothing = np.zeros((0, 3), dtype=np.int64)
    steps = search.first(Marks(clicks[0], nothing))
    first = last_of(steps)
    later = search.later(Marks(*clicks), first, clicks[1][0], adds=False)
    found = last_of(later)
    assert found.probability.device == device
    return found.probability.numpy(force=True)


def last_of(steps):
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            return stop.value
        if isinstance(step, Early):
            step.answer()
        else:
            assert step is None


def test_a_click_is_answered_where_its_tokens_are():
    here = found_on(torch.device("cpu"))
    with OtherDevice():
        there = found_on(AWAY)
    assert here.max() > 0.5
    np.testing.assert_allclose(there, here, atol=1e-5)


def test_the_made_up_device_refuses_what_a_real_one_does():
    with OtherDevice():
        elsewhere = torch.zeros(3).to(AWAY)
        assert elsewhere.device == AWAY
        assert (elsewhere + 1).device == AWAY
        with pytest.raises(AssertionError, match="is not"):
            elsewhere + torch.ones(3)
        with pytest.raises(AssertionError, match="fetched"):
            elsewhere.numpy()

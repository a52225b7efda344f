"""The search for garbage while a panel is open."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_dinomed.plugin.heap import Settled


@pytest.fixture
def viewer():
    made = ViewerModel()
    made.add_image(np.zeros((4, 5, 6)), name="before")
    yield made
    gc.unfreeze()


def test_what_is_there_is_not_searched_until_the_end(viewer):
    settled = Settled(viewer.layers)
    assert gc.get_freeze_count() > 10_000
    viewer.add_image(np.zeros((4, 5, 6)), name="after")
    viewer.layers.remove("after")
    assert gc.get_freeze_count() > 10_000
    settled.end()
    assert gc.get_freeze_count() == 0
    settled.end()


def test_a_volume_that_was_there_before_is_freed_when_it_goes(viewer):
    layer = weakref.ref(viewer.layers[0])
    settled = Settled(viewer.layers)
    viewer.layers.remove(layer())
    # napari itself holds the last one until another comes.
    viewer.add_image(np.zeros((4, 5, 6)), name="after")
    gc.collect()
    assert layer() is None
    settled.end()

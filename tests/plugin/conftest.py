from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.workbench import Workbench
from tests.fakes import FakeEngine


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def image(ball_volume):
    volume, _ = ball_volume
    return Image(volume.array, **image_options(volume, "ball"))


@pytest.fixture
def bench(image, engine):
    viewer = ViewerModel()
    viewer.layers.append(image)
    workbench = Workbench(viewer, engine)
    workbench.open(image)
    return workbench


@pytest.fixture
def click():
    def add(workbench, *voxel):
        workbench.prompts.layer.add(np.array([voxel], dtype=float))

    return add

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tests.conftest import ball

SPACING = (3.0, 1.0, 0.8)


@pytest.fixture
def spacing():
    return SPACING


@pytest.fixture
def blob():
    """A rough thing without symmetry, of one large part with a hole, and crumbs."""
    noise = np.random.default_rng(3).normal(size=(18, 40, 44))
    rough = ndimage.gaussian_filter(noise, 1.2) > -0.02
    body = ball(rough.shape, (8, 18, 24), 14, SPACING)
    crumbs = ndimage.gaussian_filter(noise, 1) > 0.42
    wall, hole = (ball(rough.shape, (10, 22, 28), r, SPACING) for r in (6, 2.9))
    return ((body & rough) | crumbs | wall) & ~hole

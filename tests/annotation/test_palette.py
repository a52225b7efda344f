"""The labels' colours are told apart with any colour vision."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_dinomed.annotation.labels import PALETTE, new_label

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Of CIE Lab: 2.3 is just seen where two patches touch.
APART = 15


def seen(colors, vision):
    """Colours (n, 3) as somebody sees them, in CIE Lab."""
    colors = np.asarray(colors, float)
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1)
    shown = np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return rgb2lab(shown)


@pytest.mark.parametrize("vision", VISIONS)
def test_every_two_colours_are_told_apart(vision):
    labels = [new_label(number + 1) for number in range(len(PALETTE))]
    for one, other in combinations(zip(labels, seen(PALETTE, vision), strict=True), 2):
        distance = np.linalg.norm(one[1] - other[1])
        assert distance > APART, (one[0].name, other[0].name)


@pytest.mark.parametrize(
    ("vision", "colors"),
    [
        ("protanopia", [(0.2, 0.6, 0.5), (0.57, 0.57, 0.5)]),
        ("deuteranopia", [(0.8, 0.35, 0.0), (0.55, 0.5, 0.05)]),
        ("tritanopia", [(0.0, 0.6, 0.8), (0.0, 0.62, 0.6)]),
    ],
)
def test_colours_that_are_confused_would_be_noticed(vision, colors):
    apart = {
        one: np.linalg.norm(np.diff(seen(colors, one), axis=0))
        for one in ("all cones", vision)
    }
    assert apart[vision] < APART < apart["all cones"]

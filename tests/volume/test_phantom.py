from __future__ import annotations

import numpy as np

from napari_dinomed.volume import phantom


def test_the_abdomen_is_in_hounsfield_units_and_anisotropic():
    volume, truth = phantom.ct_abdomen()
    assert volume.modality == "CT"
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing == (4.0, 2.4, 2.4)
    assert volume.geometry.orientation == "IPL"
    assert volume.array.min() >= -1024
    for number, organ in enumerate(phantom.ORGANS, start=1):
        inside = volume.array[truth == number]
        assert inside.size > 20, organ.name
        assert abs(np.median(inside) - organ.value) < 60, organ.name


def test_the_stack_has_dark_mitochondria():
    volume, truth = phantom.em_stack((8, 128, 128))
    assert volume.array.dtype == np.uint8
    assert volume.geometry.unit == "nm"
    assert 0.01 < truth.mean() < 0.2
    assert volume.array[truth == 1].mean() < volume.array[truth == 0].mean() - 20


def test_the_same_seed_gives_the_same_volume():
    first, _ = phantom.em_stack((4, 64, 64))
    again, _ = phantom.em_stack((4, 64, 64))
    other, _ = phantom.em_stack((4, 64, 64), seed=4)
    assert first.fingerprint == again.fingerprint != other.fingerprint

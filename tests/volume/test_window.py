from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import VolumeError
from napari_dinomed.volume import CT_PRESETS, Geometry, Volume, Window, choose_window
from napari_dinomed.volume.window import robust_window


@pytest.mark.parametrize(
    ("name", "width", "level"),
    [
        ("abdomen", 400, 40),
        ("lung", 1500, -600),
        ("bone", 1800, 400),
        ("brain", 80, 40),
        ("mediastinum", 350, 50),
        ("liver", 150, 30),
    ],
)
def test_presets_are_the_radiologists(name, width, level):
    window = CT_PRESETS[name]
    assert window.high - window.low == width
    assert (window.high + window.low) / 2 == level


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "uint16", "uint32", "f4", "f8"]
)
def test_no_type_wraps(dtype):
    """Peers turn −1000 HU into 64536; here grey values keep their order in every type."""
    is_whole = np.dtype(dtype).kind in "iu"
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if is_whole else (-1e30, 1e30)
    shown = Window(float(low), float(high)).apply(np.array([low, 0, high], dtype=dtype))
    assert shown.dtype == np.float32
    assert shown[0] == pytest.approx(0.0)
    assert shown[2] == pytest.approx(1.0)
    assert shown[0] <= shown[1] <= shown[2]


def test_hounsfield_units_in_the_abdomen_window():
    values = np.array([-1000, -160, 40, 240, 3000], dtype=np.int16)
    np.testing.assert_allclose(CT_PRESETS["abdomen"].apply(values), [0, 0, 0.5, 1, 1])


def test_not_a_number_counts_as_dark():
    shown = Window(0, 1).apply(np.array([np.nan, np.inf, -np.inf]))
    np.testing.assert_array_equal(shown, [0, 1, 0])


def test_padding_does_not_use_up_the_window():
    array = np.zeros((4, 40, 40), dtype=np.float32)
    array[:, 10:30, 10:30] = np.random.default_rng(0).uniform(500, 600, (4, 20, 20))
    window = robust_window(array)
    assert 495 < window.low < window.high < 605


def _volume(modality, window=None):
    array = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    geometry = Geometry.from_spacing((2, 2, 2), (1, 1, 1), "mm")
    return Volume(array, geometry, modality, window)


def test_two_values_are_told_apart():
    mask = np.zeros((4, 10, 10), np.uint8)
    mask[:, 3:7, 3:7] = 200
    window = robust_window(mask)
    assert (window.low, window.high) == (0, 200)


def test_the_files_own_window_comes_first():
    own = Window(1, 2, "file")
    assert choose_window(_volume("CT", own)) == own
    assert choose_window(_volume("CT", own), "lung") == CT_PRESETS["lung"]
    assert choose_window(_volume("CT")) == CT_PRESETS["abdomen"]
    assert choose_window(_volume("MR")).name == "auto"
    assert choose_window(_volume("CT", own), "auto").name == "auto"


def test_uptake_is_shown_from_0_to_5_10_or_20():
    pet = _volume("PET")
    for high in (5, 10, 20):
        window = choose_window(pet, f"suv{high}")
        assert (window.low, window.high) == (0, high)
    assert choose_window(pet).name == "auto"


def test_without_a_number_there_is_a_window_all_the_same():
    assert robust_window(np.full((2, 2, 2), np.nan)) == Window(0.0, 1.0, "auto")


@pytest.mark.parametrize("unit", [1e302, 1e38, -1e300])
def test_values_beyond_single_precision_keep_their_places(unit):
    values = np.array([0, 1, 2, 4, np.nan, np.inf, -np.inf])
    low, high = sorted((0.0, 2 * unit))
    with np.errstate(all="raise"):
        shown = Window(low, high).apply(values * unit)
    expected = [0, 0.5, 1, 1, 0, 1, 0]
    if unit < 0:
        expected = [1, 0.5, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(shown, expected)


def test_values_beyond_single_precision_are_clipped_in_a_usual_window():
    with np.errstate(all="raise"):
        shown = Window(0, 2).apply(np.array([-1e302, 1.0, 1e302]))
    np.testing.assert_array_equal(shown, [0, 0.5, 1])


def test_a_window_that_there_is_not_is_refused_with_those_there_are():
    for only in (None, Window(0, 1)):
        with pytest.raises(VolumeError, match=r"abdomen, .*suv20, auto, file; got 'x'"):
            choose_window(_volume("CT"), "x", only)


def test_the_only_window_of_an_encoder_goes_before_all():
    only = Window(0, 1)
    assert choose_window(_volume("CT", Window(1, 2)), "lung", only) == only

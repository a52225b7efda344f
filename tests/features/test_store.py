from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.features import store as store_module
from napari_dinomed.features.cache import list_entries
from napari_dinomed.features.extraction import block_order, extract_block
from napari_dinomed.features.filters import FilterEncoder
from napari_dinomed.features.stack import SlicePlan, SliceStack
from napari_dinomed.features.store import FeatureStore, feature_signature
from napari_dinomed.volume import Window, choose_window

SHAPE = (4, 3, 5, 6)
PLAN = SlicePlan(448, 448)
TOKENS = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)


def _store(signature="abc", shape=SHAPE):
    return FeatureStore.for_signature(signature, shape, "filters", _must_not_speak)


def _must_not_speak(text):
    raise AssertionError(text)


def test_tokens_are_found_again():
    _store().write(0, TOKENS)
    again = _store()
    for index in range(4):
        np.testing.assert_array_equal(again.read(index), TOKENS[index])


def test_what_was_not_written_is_missing():
    store = _store()
    store.write(1, TOKENS[1:2])
    assert store.read(0) is None
    np.testing.assert_array_equal(store.read(1), TOKENS[1])
    assert store.read(2) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_chunk_is_never_read(damage):
    store = _store()
    store.write(0, TOKENS)
    chunk = next(p for p in store.folder.rglob("*") if p.parts[-4:] == ("2", "0", "0", "0"))
    content = bytearray(chunk.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[20] ^= 0x40
    else:
        content = bytearray()
    chunk.write_bytes(content)
    assert store.read(2) is None
    np.testing.assert_array_equal(store.read(3), TOKENS[3])
    store.write(2, TOKENS[2:3])
    np.testing.assert_array_equal(store.read(2), TOKENS[2])


def test_a_damaged_store_is_begun_anew():
    store = _store()
    store.write(0, TOKENS)
    (store.folder / "tokens" / "zarr.json").write_text("{")
    again = _store()
    assert again.read(0) is None
    again.write(0, TOKENS)
    np.testing.assert_array_equal(again.read(0), TOKENS[0])


def test_two_that_make_the_same_store_at_once_share_it(monkeypatch):
    create = store_module._create

    def made_by_another_meanwhile(place, shape):
        if isinstance(place, Path):
            monkeypatch.setattr(store_module, "_create", create)
            _store().write(0, TOKENS[:1])
        create(place, shape)

    monkeypatch.setattr(store_module, "_create", made_by_another_meanwhile)
    store = _store()
    store.write(1, TOKENS[1:2])
    for index in range(2):
        np.testing.assert_array_equal(_store().read(index), TOKENS[index])
    assert len(list_entries()) == 1


def test_the_signature_is_of_all_that_tokens_depend_on(ball_volume):
    volume, _ = ball_volume
    encoder = FilterEncoder()
    base = feature_signature(volume, Window(0, 1), PLAN, encoder)
    assert base == feature_signature(volume, Window(0, 1, "x"), PLAN, encoder)
    assert base != feature_signature(volume, Window(0, 2), PLAN, encoder)
    for plan in (
        SlicePlan(224, 300),
        SlicePlan(448, 448, axis=1),
        SlicePlan(448, 448, step=2),
    ):
        assert base != feature_signature(volume, Window(0, 1), plan, encoder)
    other = FilterEncoder()
    other.signature = "filters-2"
    assert base != feature_signature(volume, Window(0, 1), PLAN, other)


def test_extraction_goes_on_where_it_stopped(ball_volume):
    volume, _ = ball_volume
    stack = SliceStack(volume, choose_window(volume))
    encoder, plan = FilterEncoder(), PLAN
    shape = (16, encoder.spec.channels, *encoder.grid(stack.slice_shape, plan))
    first, computed = extract_block(stack, plan, encoder, _store("s", shape), 0, 8)
    assert computed
    again, computed = extract_block(stack, plan, encoder, _store("s", shape), 0, 8)
    assert not computed
    np.testing.assert_array_equal(first, again)
    _, computed = extract_block(stack, plan, encoder, _store("s", shape), 8, 16)
    assert computed


def test_blocks_cover_the_volume_nearest_first():
    blocks = block_order(10, 4, first=9)
    assert blocks == [(8, 10), (4, 8), (0, 4)]
    assert sorted(i for a, b in block_order(7, 3, 3) for i in range(a, b)) == list(range(7))

"""The engine in process: requests, results, and what it refuses."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import (
    Begun,
    CloseVolume,
    Describe,
    EncodeVolume,
    OpenSource,
    OpenVolume,
    Progress,
    SegmentVolume,
    SliceLabels,
    Stage,
    open_request,
)
from napari_dinomed.errors import Cancelled, EngineError, VolumeError, WeightsError
from napari_dinomed.features.filters import FilterEncoder
from napari_dinomed.io import Pick, pieces, read_volume
from napari_dinomed.volume import Window, seen_with
from tests.io import made

WINDOW = Window(0.0, 130.0)


@pytest.fixture
def opened(ball_volume):
    volume, mask = ball_volume
    engine = Engine()
    engine.run(OpenVolume("v", volume.array, volume.geometry, volume.modality))
    return engine, mask


def _segment(**options):
    values = {"view_index": 8, "generation": 3} | options
    prompts = Prompts((Point((8, 24, 30), 1),))
    return SegmentVolume("v", prompts, (new_label(1, Meaning.OBJECT),), **values)


def test_the_whole_path(opened):
    engine, mask = opened
    events = []
    encoded = engine.run(EncodeVolume("v", "filters", WINDOW, first=8), events.append)
    assert encoded.computed == 16
    assert events[:2] == [Progress(0, 0, Stage.LOADING, "filters"), Begun(0)]
    assert events[-1] == Progress(16, 16, Stage.SLICES)
    partial = []
    segmented = engine.run(_segment(), partial.append)
    assert dice(mask, segmented.paste(mask.shape) == 1) > 0.85
    assert segmented.labels.size < mask.size / 2
    assert segmented.generation == 3
    assert isinstance(partial[0], SliceLabels)
    assert (partial[0].axis, partial[0].index) == (0, 8)
    assert partial[0].labels.shape == mask.shape[1:]


@pytest.mark.parametrize("axis", [1, 2])
def test_the_preview_is_of_the_plane_in_view(opened, axis):
    engine, mask = opened
    engine.run(EncodeVolume("v", "filters", WINDOW))
    partial = []
    engine.run(_segment(view_axis=axis, view_index=24), partial.append)
    assert partial[0].labels.shape == tuple(np.delete(mask.shape, axis))
    assert dice(mask.take(24, axis), partial[0].labels == 1) > 0.6


def test_features_are_found_on_disk(opened, ball_volume):
    engine, _ = opened
    engine.run(EncodeVolume("v", "filters", WINDOW))
    volume, _ = ball_volume
    again = Engine()
    again.run(OpenVolume("other name", volume.array, volume.geometry, "MR"))
    assert again.run(EncodeVolume("other name", "filters", WINDOW)).computed == 0
    narrower = Window(0.0, 100.0)
    assert again.run(EncodeVolume("other name", "filters", narrower)).computed == 16


def test_a_click_is_answered_before_all_slices_are_encoded(opened):
    engine, _ = opened
    encoding = engine.handle(EncodeVolume("v", "filters", WINDOW, first=0))
    while next(encoding) != Begun(0):
        pass
    assert isinstance(
        next(e for e in engine.handle(_segment()) if e is not None), SliceLabels | Progress
    )


def test_without_features(opened):
    engine, _ = opened
    with pytest.raises(EngineError, match="features first"):
        engine.run(_segment())


def test_without_a_volume():
    with pytest.raises(EngineError, match="has forgotten this volume"):
        Engine().run(EncodeVolume("v", "filters", WINDOW))


def test_a_closed_volume_is_forgotten(opened):
    engine, _ = opened
    engine.run(CloseVolume("v"))
    with pytest.raises(EngineError, match="has forgotten this volume"):
        engine.run(EncodeVolume("v", "filters", WINDOW))


@pytest.mark.parametrize("name", ["nonsense", "dinov3-s", "file:/no/such/file.safetensors"])
def test_an_encoder_that_is_not_there(opened, name):
    engine, _ = opened
    with pytest.raises(WeightsError, match=name.removeprefix("file:")):
        engine.run(EncodeVolume("v", name, WINDOW))


def test_a_volume_without_content(ball_volume):
    volume, _ = ball_volume
    flat = np.zeros_like(volume.array)
    with pytest.raises(VolumeError, match="constant"):
        Engine().run(OpenVolume("v", flat, volume.geometry, "CT"))


@pytest.fixture
def lazy(ball_volume, tmp_path, monkeypatch):
    """The ball, read piece by piece from an OME-Zarr."""
    volume, mask = ball_volume
    monkeypatch.setattr(pieces, "LARGE", 1000)
    store = made.write_zarr(tmp_path / "ball.zarr", volume.array)
    opened = read_volume(store, Pick(part="s0"))
    assert opened.is_lazy
    return opened, mask


def test_a_lazy_volume_is_opened_where_it_lies(lazy):
    volume, mask = lazy
    engine = Engine()
    request = open_request("v", volume)
    assert isinstance(request, OpenSource)
    assert engine.run(request).fingerprint == volume.fingerprint
    assert engine.run(EncodeVolume("v", "filters", WINDOW)).computed == 16
    segmented = engine.run(_segment())
    assert segmented.paste(mask.shape)[8, 24, 30] == 1


def test_labels_that_do_not_fit_into_memory_are_refused(lazy, monkeypatch):
    volume, _ = lazy
    engine = Engine()
    engine.run(open_request("v", volume))
    engine.run(EncodeVolume("v", "filters", WINDOW))

    class Little:
        available = volume.array.size

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Little)
    with pytest.raises(VolumeError, match="coarser level"):
        engine.run(_segment())


def test_further_images_reach_the_encoder(ball_volume):
    volume, _ = ball_volume
    engine = Engine()
    engine.run(open_request("v", seen_with(volume, [volume])))
    assert engine.run(EncodeVolume("v", "filters", WINDOW)).channels == 37
    engine.run(open_request("v", volume))
    again = engine.run(EncodeVolume("v", "filters", WINDOW))
    assert (again.channels, again.computed) == (20, 16)


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_labels_are_read_in_the_features_that_were_asked_for(opened, asked):
    engine, _ = opened
    assert engine.run(EncodeVolume("v", "filters", WINDOW, generation=2)).generation == 2
    assert engine.run(_segment(encoding=2)).generation == 3
    with pytest.raises(Cancelled):
        engine.run(_segment(encoding=asked))


@pytest.mark.parametrize(
    "meanwhile",
    [
        EncodeVolume("v", "filters", Window(0.0, 100.0), generation=1),
        EncodeVolume("v", "filters", Window(0.0, 100.0)),
        CloseVolume("v"),
    ],
    ids=["other number", "same number", "closed"],
)
def test_an_answer_under_way_never_outlives_its_features(opened, meanwhile):
    engine, _ = opened
    engine.run(EncodeVolume("v", "filters", WINDOW))
    answering = engine.handle(_segment())
    next(answering)
    engine.run(meanwhile)
    with pytest.raises(Cancelled):
        list(answering)


def _without_memory(monkeypatch, most):
    """Filters that find no memory for more slices than that."""
    encode, tried = FilterEncoder.encode, []

    def little(self, stack, start, stop, plan):
        tried.append(stop - start)
        if stop - start > most:
            raise MemoryError
        return encode(self, stack, start, stop, plan)

    monkeypatch.setattr(FilterEncoder, "encode", little)
    return tried


def test_without_memory_for_all_slices_of_a_block_half_are_encoded(
    opened, monkeypatch, home
):
    engine, _ = opened
    with monkeypatch.context() as patch:
        tried = _without_memory(patch, most=4)
        assert engine.run(EncodeVolume("v", "filters", WINDOW)).computed == 16
    assert sorted(set(tried)) == [4, 8, 16]
    by_halves = engine.banks("v")[0].tokens.clone()
    monkeypatch.setenv("NAPARI_DINOMED_HOME", str(home / "other"))
    assert engine.run(EncodeVolume("v", "filters", WINDOW)).computed == 16
    np.testing.assert_allclose(engine.banks("v")[0].tokens, by_halves, atol=1e-2)


def test_without_any_memory_there_is_one_error_and_the_session_goes_on(opened, monkeypatch):
    engine, mask = opened
    with monkeypatch.context() as patch:
        _without_memory(patch, most=0)
        with pytest.raises(EngineError, match="single slice"):
            engine.run(EncodeVolume("v", "filters", WINDOW))
    engine.run(EncodeVolume("v", "filters", WINDOW))
    for error in (MemoryError(), RuntimeError("CUDA out of memory")):

        def fail(*_, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("napari_dinomed.engine.answers.make_segmenter", fail)
            with pytest.raises(EngineError, match="no memory left"):
                engine.run(_segment())
    assert dice(mask, engine.run(_segment()).paste(mask.shape) == 1) > 0.85


def test_progress_says_what_is_counted():
    assert Progress(0, 0, Stage.LOADING, "filters").text == "Loading filters"
    assert Progress(1, 2, Stage.SLICES).text == "slices"
    assert Progress(1, 2, Stage.MEASURING, "liver: dinomed").text == "liver: dinomed"


def test_it_says_what_there_is():
    described = Engine().run(Describe("cpu"))
    by_name = {info.name: info for info in described.encoders}
    assert by_name["filters"].present
    assert not by_name["dinov3-b"].present
    assert by_name["dinov3-b"].licence_to_accept == "DINOv3 License"
    assert "CPU" in described.device

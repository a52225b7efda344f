"""Adapting on made-up volumes: it helps where it can, and says so where it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_dinomed.adapt import autosave, judge, painted, run
from napari_dinomed.adapt.augment import augmented
from napari_dinomed.adapt.run import Choices, Step
from napari_dinomed.annotation.labels import new_label
from napari_dinomed.errors import ModelError, WeightsError
from napari_dinomed.features import backbone
from napari_dinomed.features.adapter import read_adapter
from napari_dinomed.features.backbone import BackboneEncoder
from napari_dinomed.headless import prepare
from tests.adapt.conftest import LABELS, grain

FEW = Choices(rank=4, lessons=3, rate=1e-2)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Crops, folds and readouts as small as the volumes; one precision for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "CROP", 128)
        patch.setattr(run, "EPOCH", 1)
        patch.setattr(run, "_BEGUN_WITH", 300)
        patch.setattr(judge, "_PER_CLASS", {"probe": 300, "knn": 300})
        patch.setattr(painted, "_FOLDS", 2)
        patch.setattr(backbone, "settled_precision", lambda device, model, describe: None)
        yield


@pytest.fixture(scope="module")
def whole(weights, small, tmp_path_factory):
    """All steps of a short run, the adapter last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(tmp_path_factory.mktemp("home")))
        return list(_steps(weights, [grain(0)]))


def _steps(weights, lessons, choices=FEW, window=None):
    """All that is told of a run, without the places where it may be interrupted."""
    steps = run.adapt(lessons, weights, window, "cpu", choices, lambda _: None)
    return (step for step in steps if step is not None)


def _adapter(weights, lessons, choices=FEW):
    *_, adapter = _steps(weights, lessons, choices)
    return adapter


def test_what_random_features_cannot_tell_adapted_ones_can(weights):
    header = _adapter(weights, [grain(0)], Choices(lessons=48, rate=1e-2)).header
    probe = next(trial for trial in header.trials if trial.readout == "probe")
    assert max(probe.frozen) < 0.75
    assert min(probe.gains) > 0.05
    assert header.is_better


def test_labels_shuffled_between_slices_are_refused(weights):
    lesson = grain(0)
    shuffled = replace(lesson, labels=np.roll(lesson.labels, 3, axis=0))
    header = _adapter(weights, [shuffled], Choices(lessons=10, rate=1e-2)).header
    assert not header.is_better


def test_a_run_that_was_killed_goes_on_to_the_same_adapter(weights, whole):
    interrupted = _steps(weights, [grain(0)])
    seen = [next(interrupted).done for _ in range(6)]
    assert seen[-1] == 5
    interrupted.close()
    again = list(_steps(weights, [grain(0)]))
    assert again[0].done == 5
    assert "done before" in again[0].saying
    assert again[-1].header == whole[-1].header
    for name, tensor in whole[-1].tensors.items():
        torch.testing.assert_close(again[-1].tensors[name], tensor)


def test_where_nothing_can_be_kept_it_is_said_once_and_goes_on(
    weights, whole, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(autosave, "cache_folder", lambda: tmp_path / "file")
    said = []
    *_, adapter = run.adapt([grain(0)], weights, None, "cpu", FEW, said.append)
    assert adapter.header == whole[-1].header
    assert len([text for text in said if "begin anew" in text]) == 1


def test_it_says_how_long_it_takes_and_what_is_left(whole):
    first, *others = [step for step in whole if isinstance(step, Step)]
    assert "2 folds; 9 lessons: about" in first.saying
    assert [step.done for step in others] == list(range(1, 10))
    assert others[-1].seconds == 0


def test_an_adapted_encoder_is_one_more_encoder(weights, whole, tmp_path):
    """Other tokens, under a signature of their own; a volume of another kind is told."""
    lesson, adapter = grain(0), whole[-1]
    adapter.write(tmp_path / "grain.dinoadapt")
    assert (tmp_path / "grain.dinoadapt").stat().st_size < 200_000
    name = f"{weights}+{tmp_path / 'grain'}"
    told = []
    frozen, adapted = (
        prepare(lesson.volume, one, on_event=told.append) for one in (weights, name)
    )
    assert frozen.encoded.signature != adapted.encoded.signature
    difference = frozen.banks[0].tokens.float() - adapted.banks[0].tokens.float()
    assert difference.abs().max() > 0.01
    assert adapted.seen.sight.encoder == "random+grain"
    other = replace(lesson.volume, modality="MR")
    prepare(other, name, on_event=told.append)
    assert any("adapted on EM" in getattr(event, "text", "") for event in told)
    again = prepare(lesson.volume, name)
    assert again.encoded.computed == 0


def test_an_adapter_of_other_weights_is_refused(weights, whole, tmp_path):
    adapter = whole[-1]
    other = replace(adapter, header=replace(adapter.header, weights="f" * 64))
    other.write(tmp_path / "other.dinoadapt")
    with pytest.raises(WeightsError, match="made for random with weights of SHA-256 fff"):
        BackboneEncoder.from_name(f"{weights}+{tmp_path / 'other'}", "cpu", print)


def _with(labels):
    return replace(grain(0), labels=labels)


def test_slices_painted_all_over_teach(weights):
    """Nothing is left unlabelled, so of that class no token is seen."""
    lesson = grain(0)
    everywhere = replace(
        lesson, labels=lesson.labels + 1, legend=(new_label(1), new_label(2))
    )
    header = _adapter(weights, [everywhere]).header
    assert {trial.label for trial in header.trials} == {"Label 1", "Label 2"}


def test_what_only_one_slice_shows_is_no_fault_of_the_others(weights):
    """A fold without that slice teaches and tries the other label."""
    lesson = grain(0)
    labels = lesson.labels.copy()
    labels[0][labels[0] == 0] = 2
    rare = replace(lesson, labels=labels, legend=(new_label(1), new_label(2)))
    tried = {trial.label for trial in _adapter(weights, [rare]).header.trials}
    assert tried == {"Label 1"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.eye(6, dtype=np.uint8)[0][:, None, None] * grain(0).labels, "two labelled"),
        (np.ones((6, 96, 96), np.uint8), "two classes"),
        (np.zeros((6, 96, 96), np.uint8), "two labelled slices.* got 0"),
    ],
)
def test_too_little_to_learn_from(weights, labels, said):
    with pytest.raises(ModelError, match=said):
        _adapter(weights, [_with(labels)])


def test_only_a_transformer_without_an_adapter_is_adapted(weights):
    with pytest.raises(ModelError, match="got the built-in filters"):
        _adapter("filters", [grain(0)])
    with pytest.raises(ModelError, match=r"without an adapter, got random\+other"):
        _adapter(f"{weights}+other", [grain(0)])


def test_volumes_without_labels_and_numbered_things_are_told(weights):
    empty = replace(_with(np.zeros((6, 96, 96), np.uint8)), legend=())
    with pytest.raises(ModelError, match=r"two volumes with labels.* got 1"):
        _adapter(weights, [grain(0), empty])
    many = tuple(replace(LABELS[0], id=n, name=str(n)) for n in range(1, 300))
    with pytest.raises(ModelError, match="at most 255 labels, got 299"):
        _adapter(weights, [replace(grain(0), legend=many)])


def test_a_label_must_lie_in_every_fold(weights):
    both = (*LABELS, replace(LABELS[0], id=2, name="Other"))
    labels = grain(0).labels.copy()
    labels[3:][labels[3:] == 1] = 2
    with pytest.raises(ModelError, match="slices of every part"):
        _adapter(weights, [replace(grain(0), labels=labels, legend=both)])


def test_several_volumes_are_held_out_whole(weights):
    header = _adapter(weights, [grain(0, 2), grain(1, 2)], replace(FEW, lessons=1)).header
    assert (header.held_out, header.volumes, header.slices) == ("volumes", 2, 4)


def test_memory_is_measured_once(weights, monkeypatch):
    """What does not fit at once is taught in parts, then smaller, then not at all."""
    cost = run.cost_of_a_crop
    needed = []

    def measured(pupil):
        needed.append((pupil.course.side, cost(pupil)[0]))
        return cost(pupil)

    monkeypatch.setattr(run, "cost_of_a_crop", measured)
    monkeypatch.setattr(run, "_LEAST_SIDE", 64)
    next(_steps(weights, [grain(0, 2)]))
    ((side, full),) = needed
    assert side == 128
    monkeypatch.setattr(run, "_free", lambda _: full)
    needed.clear()
    next(_steps(weights, [grain(0, 2)]))
    assert [side for side, _ in needed] == [128, 64]
    monkeypatch.setattr(run, "_free", lambda _: 1000)
    with pytest.raises(ModelError, match="memory for a crop of 64 pixels"):
        next(_steps(weights, [grain(0, 2)]))


def test_a_gpu_that_runs_out_in_the_middle_is_one_line(weights, monkeypatch):
    steps = _steps(weights, [grain(0, 2)])
    next(steps)
    next(steps)

    def too_small(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(BackboneEncoder, "layers", too_small)
    with pytest.raises(ModelError, match="--device cpu; what is done is kept"):
        next(steps)


def test_augmented_crops_stay_in_range_and_differ():
    image = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = augmented(image, torch.Generator().manual_seed(1))
    assert changed.shape == image.shape
    assert 0 <= changed.min() < changed.max() <= 1
    assert all((a - b).abs().max() > 0.02 for a, b in zip(image, changed, strict=True))


def _files(folder):
    from napari_dinomed.io import write_image, write_labels

    lesson = grain(0)
    write_image(folder / "image.ome.tif", lesson.volume.array, lesson.volume)
    write_labels(folder / "labels.ome.tif", lesson.labels, lesson.volume)
    return ["--image", folder / "image.ome.tif", "--labels", folder / "labels.ome.tif"]


def test_an_interrupted_command_writes_nothing(weights, tmp_path, monkeypatch):
    from napari_dinomed.adapt.teach import Pupil
    from napari_dinomed.cli import app

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pupil, "_lesson", interrupted)
    files = _files(tmp_path)
    before = set(tmp_path.iterdir())
    command = ["adapt", *files, "--encoder", weights, "--out", tmp_path / "new.dinoadapt"]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert "Stopped, and nothing was written" in str(done.exception)
    assert set(tmp_path.iterdir()) == before


def test_the_command_writes_an_adapter_and_says_what_it_is_worth(weights, tmp_path):
    from napari_dinomed.cli import app

    out = tmp_path / "grain.dinoadapt"
    command = ["adapt", *_files(tmp_path), "--encoder", weights, "--out", out]
    command += ["--lessons", 1, "--rank", 2]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.exception
    assert "On slices that did not teach" in done.stdout
    header = read_adapter(out).header
    assert (header.encoder, header.rank, header.slices) == ("random", 2, 6)
    assert str(tmp_path).encode() not in out.read_bytes()
    again = CliRunner().invoke(app, [str(part) for part in command])
    assert "there already" in str(again.exception)


def test_a_name_that_no_file_can_have_is_refused_at_once(weights, tmp_path):
    from napari_dinomed.cli import app

    out = tmp_path / f"{'n' * 300}.dinoadapt"
    command = ["adapt", *_files(tmp_path), "--encoder", weights, "--out", out]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert isinstance(done.exception, ModelError)
    assert "name too long" in str(done.exception)


def test_the_benchmark_measures_the_other_half(weights, tmp_path):
    import json

    from napari_dinomed.cli import app

    out, figures = tmp_path / "half.dinoadapt", tmp_path / "figures.json"
    command = ["bench", "adapt", *_files(tmp_path), "--encoder", weights, "--out", out]
    command += ["--along", "slices", "--slices", 2, "--lessons", 1, "--json", figures]
    command += ["--pictures", tmp_path / "drawn"]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.exception
    rows = json.loads(figures.read_text())["worth"]
    hows = ["probe", "knn", "1 click", "5 clicks", "10 clicks"]
    assert [row["how"] for row in rows] == hows
    assert read_adapter(out).header.slices == 2
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "drawn").iterdir()}
    assert sorted(drawn) == ["adapted.png", "frozen.png"]


def test_the_engine_adapts_between_clicks(weights, tmp_path):
    """Lesson by lesson, with the time that is left, and the file at the end."""
    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import Adapted, AdaptEncoder, Progress, open_request

    lesson, out = grain(0, 2), tmp_path / "grain.dinoadapt"
    engine = Engine()
    engine.run(open_request("a", lesson.volume))
    request = AdaptEncoder(
        "a", weights, str(out), lesson.labels, lesson.legend, device="cpu", lessons=1
    )
    events = list(engine.handle(request))
    assert events.count(None) >= 3 * 4  # a crop each, of two trials and what is kept
    lessons = [event for event in events if isinstance(event, Progress) and event.total]
    assert [event.done for event in lessons[-3:]] == [1, 2, 3]
    assert "min left" in lessons[-1].subject
    (result,) = [event for event in events if isinstance(event, Adapted)]
    assert result.header == read_adapter(out).header
    lost = replace(request, out=str(tmp_path / "no" / "a.dinoadapt"))
    with pytest.raises(ModelError, match="is not there"):
        engine.run(lost)


def test_an_adapter_keeps_its_side_and_must_beat_the_usual_one(weights, tmp_path):
    header = _adapter(f"{weights}@128x2", [grain(0, 2)], replace(FEW, lessons=1)).header
    assert (header.encoder, header.side, header.read) == ("random", 128, 2)
    (probe, _) = header.trials
    assert len(probe.usual) == len(probe.frozen) == 2
    assert probe.gains == tuple(
        adapted - max(frozen, usual)
        for frozen, usual, adapted in zip(
            probe.frozen, probe.usual, probe.adapted, strict=True
        )
    )

"""A slide is taught by a region of it, and labelled tile after tile, by its colours."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from napari_dinomed.batch.hands import Here
from napari_dinomed.batch.stack.plan import Place, StackPlan, Wishes
from napari_dinomed.batch.stack.run import StackRun
from napari_dinomed.bench.metrics import dice
from napari_dinomed.cli import app
from napari_dinomed.errors import ReadError
from napari_dinomed.features.checkpoint import import_timm
from napari_dinomed.io import Pick, read_labels, read_volume, write_labels
from napari_dinomed.io.journal import Journal
from napari_dinomed.io.stack import open_stack

SHAPE = (256, 384)
REGION = (0, 0, 128, 128)
# Of one luminance: only their colours tell them apart.
GROUND, THING = (250, 80, 60), (20, 165, 230)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A very small transformer at random, that is not told where a token lies."""
    torch.manual_seed(0)
    model = import_timm().create_model(
        "test_vit", num_classes=0, img_size=96, dynamic_img_size=True
    )
    known = model.state_dict()
    known["pos_embed"].zero_()
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(known, path)
    path.with_name(path.name + ".json").write_text('{"architecture": "test_vit"}')
    return f"file:{path}"


@pytest.fixture(scope="module")
def truth():
    """Squares that lie in every second place of a board."""
    squares = np.random.default_rng(3).integers(0, 2, (8, 12))
    squares[0, :2] = 0, 1
    return np.kron(squares, np.ones((32, 32), np.int64)).astype(np.uint8)


@pytest.fixture(scope="module")
def slide(truth, tmp_path_factory):
    """A pyramid of two levels, half a micrometre a pixel."""
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)[..., None]
    colours = np.where(truth[..., None], THING, GROUND) + noise
    colours = colours.clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("slides") / "slide.ome.tif"
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "axes": "YXS"}
    how = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(colours, subifds=1, metadata=size, **how)
        writer.write(colours[::2, ::2], subfiletype=1, **how)
    return path


def _run(*given):
    command = [str(one) for one in given]
    return CliRunner().invoke(app, command, env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def model(slide, truth, weights, tmp_path_factory):
    """Taught by a corner of the slide, on the command line."""
    folder = tmp_path_factory.mktemp("model")
    region = read_volume(slide, Pick(region=REGION))
    write_labels(folder / "corner.ome.tif", truth[None, :128, :128], region)
    out = folder / "things.dinomed"
    given = ("teach", "--image", slide, "--labels", folder / "corner.ome.tif")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(folder))
        region_text = ",".join(map(str, REGION))
        one_too_many = ("--region", region_text, "--region", region_text)
        refused = _run(*given, *one_too_many, "--out", out, "--encoder", weights)
        done = _run(
            *(*given, "--region", region_text, "--all-like-this"),
            *("--out", out, "--encoder", weights),
        )
    assert "as many --region as --image" in str(refused.exception)
    assert done.exit_code == 0, done.exception
    return out


def test_a_level_is_found_by_the_size_of_its_pixels(slide):
    fine, coarse = (open_stack(slide, None, (1.0, size, size)) for size in (0.4, 1.2))
    assert (fine.level, coarse.level) == ("0", "1")
    box = (slice(0, 1), slice(10, 20), slice(30, 50))
    np.testing.assert_array_equal(fine.read(box), fine.volume.array[box])
    assert coarse.read_colours(box).shape == (1, 10, 20, 3)
    with pytest.raises(ReadError, match=r"no level '7'\. It has: level 0: 256 × 384"):
        open_stack(slide, "7", (1.0, 1.0, 1.0))


def test_all_of_a_slide_is_labelled_from_a_corner(
    slide,
    truth,
    model,
    weights,
    tmp_path,
):
    out = tmp_path / "out"
    given = ("apply", model, slide, "--in-store", "things", "--out", out)
    done = _run(*given, "--encoder", weights, "--instances", "--level", "0")
    assert done.exit_code == 0, done.exception
    labels, volume = read_labels(out / "slide.ome.zarr/labels/things")
    assert volume.geometry.spacing[1:] == (0.5, 0.5)
    rest = np.ones(SHAPE, bool)
    rest[:128, :128] = False
    everywhere = dice(truth[rest] == 1, np.ones(rest.sum(), bool))
    assert everywhere < 0.7
    assert dice(truth[rest] == 1, labels[0][rest] == 1) > 0.8
    with (out / "results.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert int(row["voxels"]) == (labels > 0).sum()
    things, _ = read_labels(out / "slide.ome.zarr/labels/things-instances")
    np.testing.assert_array_equal(things > 0, labels > 0)
    assert sorted(path.name for path in slide.parent.iterdir()) == [slide.name]


def test_a_run_that_was_killed_goes_on(slide, model, weights, tmp_path, monkeypatch):
    def planned(out):
        wishes = Wishes(level="0", encoder=weights)
        plan, _ = StackPlan.of(Place(model, slide, tmp_path / out, "a"), wishes, "cpu")
        block = (1, plan.boxes.size[1], plan.boxes.size[2])
        return replace(plan, block=block)

    whole, killed = planned("whole"), planned("killed")
    assert len(list(killed.blocks())) > 2
    list(StackRun(whole, "cpu").run(Here()))
    note = Journal.note

    def dying(self, row):
        note(self, row)
        if row.task.startswith("label 0/0/1"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", dying)
        with pytest.raises(KeyboardInterrupt):
            list(StackRun(killed, "cpu").run(Here()))
    list(StackRun(killed, "cpu").run(Here()))
    first, again = (np.asarray(one.labels.level(0)[...]) for one in (whole, killed))
    assert first.any()
    np.testing.assert_array_equal(first, again)

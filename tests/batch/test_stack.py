"""One image that is too large to be held: labelled block by block, as if it were not."""

from __future__ import annotations

import csv
import errno
import json
from dataclasses import replace

import cc3d
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from napari_dinomed.annotation.labels import Label, Meaning
from napari_dinomed.batch.hands import Here
from napari_dinomed.batch.stack.plan import Place, StackPlan, Wishes
from napari_dinomed.batch.stack.run import StackRun
from napari_dinomed.bench.metrics import dice
from napari_dinomed.cli import app
from napari_dinomed.errors import DinomedError, ReadError, WriteError
from napari_dinomed.headless import prepare
from napari_dinomed.io import read_labels
from napari_dinomed.io import stack as stack_module
from napari_dinomed.io.journal import Journal
from napari_dinomed.io.stack import Growing, open_stack
from napari_dinomed.taught.boxed import BoxReader, Found
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, taught
from napari_dinomed.volume import Geometry, Volume
from tests.command import run
from tests.conftest import ball
from tests.io import made

SHAPE = (12, 64, 80)
SPACING = (50.0, 4.0, 4.5)
BOX = (6, 32, 40)


def tissue(shape, seed):
    """Dark and bright balls on a rough ground, and which voxel is of which."""
    random = np.random.default_rng(seed)
    truth = np.zeros(shape, dtype=np.uint16)
    for number in range(int(np.prod(shape) / 3500)):
        centre = [random.integers(0, length) for length in shape]
        radius = 50 if number % 2 else 40
        truth[ball(shape, centre, radius, SPACING)] = 1 + number % 2
    grey = np.array([150, 60, 220])[truth] + random.normal(0, 6, shape)
    return grey.clip(0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Taught by a volume like the stack."""
    folder = tmp_path_factory.mktemp("model")
    grey, truth = tissue((12, 56, 56), 0)
    volume = Volume(grey, Geometry.from_spacing(grey.shape, SPACING, "nm"), "EM")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_DINOMED_HOME", str(folder))
        seen = prepare(volume, "filters", planes="one").seen
    names = ((1, "vesicle"), (2, "granule"))
    legend = [
        Label(n, name, (1.0, 0.5, 0.0), meaning=Meaning.ALL_LIKE_THIS) for n, name in names
    ]
    *_, complete = settled(taught(begun(seen), seen, truth, legend), "probe")
    complete.write(folder / "m.dinomed")
    return folder / "m.dinomed"


@pytest.fixture(scope="module")
def whole():
    return tissue(SHAPE, 1)


@pytest.fixture
def store(tmp_path, whole):
    return made.write_zarr(tmp_path / "image.ome.zarr", whole[0], "0.5")


@pytest.fixture
def quick(monkeypatch):
    """Boxes are labelled by their grey values, and by their place: who owns what shows."""
    asked = []

    def label(self, box):
        asked.append(box)
        grey = self.voxels.read(box)
        odd = sum(part.start // own for part, own in zip(box, BOX, strict=True)) % 2
        labels = np.where(grey < 100, 1, 0) + np.where((grey > 190) & bool(odd), 2, 0)
        return Found(labels.astype(np.uint16), {1: 1}, {1: 4})

    monkeypatch.setattr(BoxReader, "label", label)
    return asked


def _plan(model, store, out, block=BOX, name="dark", **wishes):
    """A plan with small boxes, so that there are some."""
    plan, _ = StackPlan.of(Place(model, store, out, name), Wishes(**wishes), "cpu")
    boxes = replace(plan.boxes, size=BOX, cell=(1.0, 1.0, 1.0))
    return replace(plan, boxes=boxes, chunk=(1, *block[1:]), block=block)


def _applied(plan, overwrite=False):
    run = StackRun(plan, "cpu", overwrite)
    assert [step.done for step in run.run(Here())]
    return run


def _stored(plan, growing=None):
    return np.asarray((growing or plan.labels).level(0)[...])


def test_blocks_say_what_the_whole_volume_says(model, tmp_path):
    """Away from the outer border, where filters see what lies beyond in another way."""
    shape, rim = (8, 160, 168), 56
    grey, truth = tissue(shape, 1)
    store = made.write_zarr(tmp_path / "image.zarr", grey, "0.5", levels=1)
    plan = _plan(model, store, tmp_path / "out", block=(8, 80, 168))
    plan = replace(plan, boxes=replace(plan.boxes, size=(4, 80, 84)))
    run = _applied(plan)
    labels = _stored(plan)
    volume = plan.open().volume
    volume = replace(volume, array=np.asarray(volume.array), window=plan.window)
    proposed = prepare(volume, "filters", planes="one").propose(model)
    inner = np.s_[:, rim:-rim, rim:-rim]
    assert (labels[inner] > 0).mean() > 0.05
    np.testing.assert_array_equal(labels[inner], proposed.paste(shape)[inner])
    assert dice(truth == 1, labels == 1) > 0.85
    rows = run.write_results()
    assert [row[0] for row in rows] == ["vesicle", "granule"]
    assert int(rows[0][1]) == (labels == 1).sum()
    # No seams: labels change across the faces of boxes no more than elsewhere.
    changes = (labels[:, :, 1:] != labels[:, :, :-1]).mean((0, 1))
    assert changes[83] < changes.mean() + 3 * changes.std()


def test_things_go_on_over_faces_and_their_numbers_have_no_holes(
    model, store, tmp_path, quick
):
    plan = _plan(model, store, tmp_path / "out", block=(7, 30, 28), instances=True)
    _applied(plan)
    labels, things = _stored(plan), _stored(plan, plan.things)
    truth, count = cc3d.connected_components(labels, connectivity=6, return_N=True)
    assert count > 10
    assert sorted(np.unique(things)) == list(range(count + 1))
    # The same partition: each number of one goes with one number of the other.
    pairs = np.unique([truth.ravel(), things.ravel()], axis=1)
    assert pairs.shape[1] == count + 1
    assert not (tmp_path / "out" / ".faces").exists()


def test_a_grid_of_shards_that_is_misaligned_changes_nothing(model, store, tmp_path, quick):
    aligned = _plan(model, store, tmp_path / "a")
    run = _applied(aligned)
    other = _plan(model, store, tmp_path / "b", block=(10, 36, 28), name="other")
    again = _applied(other)
    assert len(np.unique(_stored(aligned))) == 3
    np.testing.assert_array_equal(_stored(other), _stored(aligned))
    assert other.labels.level(0).shards == (10, 36, 28)
    # A box that several blocks share is counted once.
    assert run.write_results() == again.write_results()
    assert run.write_results()[0][-1] == "0.25"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_are_the_images_own_with_coarser_levels(
    model, whole, tmp_path, quick, version
):
    grey = np.tile(whole[0], (1, 3, 3))
    store = made.write_zarr(tmp_path / "large.zarr", grey, version)
    plan = _plan(model, store, tmp_path / "out", block=(12, 64, 80))
    _applied(plan)
    attributes = dict(zarr.open_group(store / "labels", mode="r").attrs)
    assert attributes.get("ome", attributes)["labels"] == ["dark"]
    again, volume = read_labels(store / "labels" / "dark")
    np.testing.assert_array_equal(again, _stored(plan))
    assert [entry.name for entry in volume.legend] == ["vesicle", "granule"]
    assert volume.geometry.spacing == pytest.approx(SPACING)
    assert [level for level, _ in plan.labels.levels()] == [1]
    np.testing.assert_array_equal(plan.labels.level(1)[...], again[:, ::2, ::2])


def test_only_a_region_and_only_in_a_mask(model, store, tmp_path, quick):
    plan = _plan(model, store, tmp_path / "whole")
    _applied(plan)
    count = len(quick)
    mask = np.zeros((6, 32, 40), np.uint8)
    mask[:, 3:12] = 1
    np.save(tmp_path / "mask.npy", mask)
    wishes = {"region": "4:,:50,10:70", "mask": tmp_path / "mask.npy"}
    part = _plan(model, store, tmp_path / "part", name="part", **wishes)
    _applied(part)
    wanted = np.zeros(SHAPE, dtype=bool)
    wanted[4:, 6:24, 10:70] = True
    np.testing.assert_array_equal(_stored(part), np.where(wanted, _stored(plan), 0))
    assert len(quick) - count == count // 2


def test_what_is_not_as_expected_is_said(model, store, tmp_path, quick):
    with pytest.raises(ReadError, match="region as z0:z1"):
        _plan(model, store, tmp_path, region="1-2")
    with pytest.raises(ReadError, match="no voxel of the level, which is 12 × 64 × 80"):
        _plan(model, store, tmp_path, region="30:,:,:")
    with pytest.raises(ReadError, match="no level '7'"):
        _plan(model, store, tmp_path, level="7")
    with pytest.raises(ReadError, match="Expected a plain name"):
        _plan(model, store, tmp_path, name="../elsewhere")
    with pytest.raises(ReadError, match="Expected an OME-Zarr image"):
        _plan(model, model, tmp_path)
    plan = _plan(model, store, tmp_path / "out", region="0:6,0:32,0:40")
    # The level is that whose voxels are as large as those that taught.
    assert plan.boxes.spacing == pytest.approx(SPACING)
    _applied(plan)
    wider = _plan(model, store, tmp_path / "out", region="0:6,0:32,0:80")
    with pytest.raises(WriteError, match="--overwrite"):
        _applied(wider)
    _applied(wider, overwrite=True)
    assert _stored(wider)[:, :, 40:].any()


@pytest.mark.parametrize("text", ['{"zarr_format":3,"node', "[]"])
def test_a_damaged_store_is_one_line(model, store, tmp_path, text):
    (store / "zarr.json").write_text(text)
    with pytest.raises(ReadError) as error:
        _plan(model, store, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_store_that_lists_no_level_is_one_line(model, store, tmp_path):
    about = json.loads((store / "zarr.json").read_text())
    about["attributes"]["ome"]["multiscales"][0]["datasets"] = []
    (store / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(ReadError, match=r"lists none|dataset"):
        _plan(model, store, tmp_path / "out")


def test_what_the_stores_labels_list_is_looked_at_before_a_block_is(
    model, store, tmp_path, quick
):
    _applied(_plan(model, store, tmp_path / "first", name="other"))
    (store / "labels" / "zarr.json").write_text('{"zarr_format":3,"node_type":"group","at')
    quick.clear()
    with pytest.raises(WriteError, match="labels"):
        _applied(_plan(model, store, tmp_path / "out"))
    assert not quick


@pytest.mark.parametrize("name", ["", ".dark", "a/b", "x" * 300])
def test_labels_are_called_what_a_store_can_hold(model, store, tmp_path, name):
    with pytest.raises(DinomedError, match=r"plain name|too long"):
        _plan(model, store, tmp_path / "out", name=name)


def test_an_address_cannot_have_labels(model, tmp_path):
    place = "http://127.0.0.1:9/image.ome.zarr"
    done = run("apply", model, place, "--in-store", "dark", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert place in done.stderr.replace("\n", "")


def test_a_block_that_fails_is_not_the_end_and_is_done_later(
    model, store, tmp_path, quick, monkeypatch
):
    plan, label = _plan(model, store, tmp_path / "out"), BoxReader.label

    def broken(self, box):
        if box[1].start and box[2].start:
            raise ReadError("a chunk is damaged.")
        return label(self, box)

    with monkeypatch.context() as patch:
        patch.setattr(BoxReader, "label", broken)
        with pytest.raises(DinomedError, match=r"2 of 8 blocks failed.*chunk is damaged"):
            _applied(plan)
    assert not (store / "labels/dark/s0/c/0/1/1").exists()
    count = len(quick)
    _applied(plan)
    assert len(quick) - count == 2
    assert (store / "labels/dark/s0/c/0/1/1").exists()


def test_nothing_is_read_by_the_model_where_all_is_the_same(model, tmp_path, whole, quick):
    empty = np.zeros((12, 64, 400), np.uint8)
    empty[:, :, :80] = whole[0]
    store = made.write_zarr(tmp_path / "wide.zarr", empty, "0.5", levels=1)
    plan = _plan(model, store, tmp_path / "out")
    _applied(plan)
    assert len(quick) == 8
    assert all(box[2].start < 80 for box in quick)
    shards = {path.name for path in (store / "labels/dark/s0/c/0/0").iterdir()}
    assert shards == {"0", "1"}


def test_killed_at_any_moment_it_goes_on_with_the_same_bytes(
    model, whole, tmp_path, quick, monkeypatch
):
    stores = [made.write_zarr(tmp_path / f"{n}.zarr", whole[0], "0.5") for n in range(2)]
    plans = [
        _plan(model, store, tmp_path / f"out{n}", block=(6, 64, 40), instances=True)
        for n, store in enumerate(stores)
    ]
    _applied(plans[0])
    write, note, left = Growing.write, Journal.note, [0]

    def dying(act):
        def wrapped(self, *given):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            act(self, *given)

        return wrapped

    kills = 0
    with monkeypatch.context() as patch:
        patch.setattr(Growing, "write", dying(write))
        patch.setattr(Journal, "note", dying(note))
        for moment in (1, 2, 3, 2, 4, 1, 5, 2, 3, 4):
            left[0] = moment
            try:
                _applied(plans[1])
                break
            except KeyboardInterrupt:
                kills += 1
    assert kills > 4
    # A chunk whose writer was killed within it.
    (stores[1] / "labels/dark/s0/c/0.0123.partial").write_bytes(b"half a chunk")
    _applied(plans[1])
    files = [
        {
            str(path.relative_to(store)): path.read_bytes()
            for path in sorted((store / "labels").rglob("*"))
            if path.is_file()
        }
        for store in stores
    ]
    assert files[0] == files[1]
    assert len(files[0]) > 8


@pytest.mark.parametrize("step", ["start_labels", "replacing_folder", "list_label"])
def test_a_store_that_may_not_be_written_is_one_line(
    model, store, tmp_path, quick, monkeypatch, step
):
    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    plan = _plan(model, store, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(stack_module, step, refused)
        with pytest.raises(WriteError, match="Permission denied") as said:
            _applied(plan)
    assert "\n" not in str(said.value)
    assert _applied(plan).write_results()


def test_a_level_that_cannot_be_read_is_one_line(tmp_path):
    grey = np.zeros((1, 160, 160), np.uint8)
    store = made.write_zarr(tmp_path / "image.zarr", grey, "0.5", levels=1)
    growing, side = Growing(store, "dark"), (1, 80, 80)
    growing.begin(open_stack(store, None, (1, 1, 1)), (), np.uint8, side, side)
    box = tuple(slice(0, n) for n in growing.level(1).shape)
    growing.write(0, tuple(slice(0, n) for n in side), np.ones(side, np.uint8))
    (chunk,) = (path for path in (growing.place / "s0/c").rglob("*") if path.is_file())
    chunk.write_bytes(b"torn")
    with pytest.raises(ReadError, match="cannot be read"):
        growing.thin(1, box)


def test_the_command_line_labels_a_stack_in_its_own_store(model, store, tmp_path, quick):
    def applied(*more):
        given = ("apply", model, store, "--out", tmp_path / "out", *more)
        return CliRunner().invoke(app, [str(one) for one in given], env={"COLUMNS": "120"})

    refused = applied("--region", "0:2,:,:")
    assert "give the labels a name with --in-store" in str(refused.exception)
    too_long = applied("--in-store", "n" * 300)
    assert isinstance(too_long.exception, WriteError)
    assert "Give a shorter name" in str(too_long.exception)
    dry = applied("--in-store", "dark", "--dry-run")
    assert "1 of 12 × 64 × 80 voxels" in dry.output
    assert not (store / "labels").exists()
    done = applied("--in-store", "dark", "--instances")
    assert done.exit_code == 0, done.output
    assert "1 of 1 blocks of labels" in done.stderr
    labels = np.asarray(zarr.open_array(store / "labels/dark/s0", mode="r")[...])
    with (tmp_path / "out/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert int(rows[0]["voxels"]) == (labels == 1).sum()
    assert rows[0]["unit"] == "µm³"
    things = np.asarray(zarr.open_array(store / "labels/dark-instances/s0", mode="r")[...])
    np.testing.assert_array_equal(things > 0, labels > 0)

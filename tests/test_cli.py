"""The command line: the main job on files, and one clear error for every bad input."""

from __future__ import annotations

import json
import shlex
import sys

import imageio.v3 as imageio
import nibabel as nib
import numpy as np
import pytest

from napari_dinomed.bench.metrics import dice
from napari_dinomed.features.cache import list_entries
from napari_dinomed.io import read_labels, read_volume, write_labels
from napari_dinomed.segment.painted_slices import lesson
from napari_dinomed.volume import NamedLabel
from tests.command import run, run_apart
from tests.conftest import ball
from tests.io import made

AFFINE = np.array(
    [[-0.8, 0.1, 0, 30], [0.1, 0.8, 0.2, -40], [0, -0.2, 2.4, 5], [0, 0, 0, 1.0]]
)

SENT = "a volume that was sent"


def refused(*arguments, run=run):
    """What is said on standard error when the arguments are refused."""
    done = run(*arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """An oblique NIfTI scan with a bright ball; array order (i, j, k)."""
    folder = tmp_path_factory.mktemp("scan")
    mask = ball((56, 48, 16), (30, 24, 8), 9, (0.8, 0.8, 2.4))
    noise = np.random.default_rng(0).normal(0, 4, mask.shape)
    image = nib.Nifti1Image((20 + 80 * mask + noise).astype(np.int16), AFFINE)
    image.header.set_sform(AFFINE, 2)
    image.header.set_qform(AFFINE, 1)
    nib.save(image, folder / "scan.nii.gz")
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), folder / "truth.nii.gz")
    return folder / "scan.nii.gz"


def _mask(path):
    return np.asarray(nib.load(path).dataobj) == 1


def test_a_command_that_leads_to_no_engine_is_said(scan, tmp_path):
    there = ("--engine", "sh -c 'exit 3'")
    said = refused(
        "segment", scan, "--point", "8,24,30=1", "--out", tmp_path / "o.nii", *there
    )
    assert "No engine on sh" in said
    assert list(tmp_path.iterdir()) == []
    assert "No engine on sh" in refused("encoders", *there)


def test_the_things_of_the_labels_in_a_file_of_their_own(scan, tmp_path):
    out, things = tmp_path / "labels.nii.gz", tmp_path / "things.nii.gz"
    done = run("segment", scan, "--point", "8,24,30=1", "--out", out, "--instances", things)
    assert done.returncode == 0, done.stderr
    numbered = np.asarray(nib.load(things).dataobj)
    np.testing.assert_array_equal(numbered > 0, _mask(out))
    assert f"{numbered.max()} things" in done.stdout.replace("\n", " ")
    np.testing.assert_array_equal(nib.load(things).affine, nib.load(scan).affine)
    same = ("--out", out, "--instances", out)
    assert "two names" in refused("segment", scan, "--point", "8,24,30=1", *same)


def test_names_with_brackets_are_printed_as_they_are(scan, tmp_path):
    volume = read_volume(scan)
    labels = (volume.array > 60).astype(np.uint8)
    named = NamedLabel(1, "T2 [left] lesion [/new]", (1.0, 0.0, 0.0))
    write_labels(tmp_path / "labels.seg.nrrd", labels, volume, (named,))
    command = ["surface", tmp_path / "labels.seg.nrrd", "--steps"]
    done = run(*command, "--out", tmp_path / "s.stl")
    assert done.returncode == 0, done.stderr
    # In a narrow terminal its words lie below each other.
    assert {"[left]", "[/new]"} <= set(done.stdout.replace("│", " ").split())


def test_labels_are_there_where_it_cannot_be_said_how_they_were_made(scan, tmp_path):
    out = tmp_path / "out.nii.gz"
    (tmp_path / "out.nii.gz.dinomed.json").mkdir()
    said = refused("segment", scan, "--point", "8,24,30=1", "--out", out)
    assert "out.nii.gz is saved, but not how it was made" in said
    assert "Nothing was changed" not in said
    assert read_labels(out)[0].any()


def test_a_point_on_the_files_own_grid(scan, tmp_path):
    """K,J,I is the reverse of NIfTI's array order, whatever way the axes run."""
    out = tmp_path / "labels.nii.gz"
    points = ("--point", "8,24,30=1", "--point", "2,4,4=-1")
    done = run_apart("segment", scan, *points, "--out", out)
    assert done.returncode == 0, done.stderr
    source, labels = nib.load(scan), nib.load(out)
    np.testing.assert_array_equal(labels.affine, source.affine)
    for field in ("qform_code", "sform_code", "pixdim"):
        np.testing.assert_array_equal(labels.header[field], source.header[field])
    assert dice(_mask(scan.with_name("truth.nii.gz")), _mask(out)) > 0.85
    assert _mask(out)[30, 24, 8]


def test_a_point_in_the_world(scan, tmp_path):
    x, y, z = AFFINE[:3, :3] @ (30, 24, 8) + AFFINE[:3, 3]
    out = tmp_path / "labels.nii.gz"
    done = run("segment", scan, "--world", f"{x:.2f},{y:.2f},{z:.2f}=1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert _mask(out)[30, 24, 8]
    assert dice(_mask(scan.with_name("truth.nii.gz")), _mask(out)) > 0.85


def test_prompts_from_a_file(scan, tmp_path):
    points = [
        {"voxel": [8, 24, 30], "label": 4},
        {"voxel": [2, 4, 4], "label": 4, "include": False},
    ]
    (tmp_path / "prompts.json").write_text(json.dumps({"points": points}))
    out = tmp_path / "labels.nii"
    done = run("segment", scan, "--prompts", tmp_path / "prompts.json", "--out", out)
    assert done.returncode == 0, done.stderr
    assert set(np.unique(np.asarray(nib.load(out).dataobj))) == {0, 4}


def test_the_demo_without_a_window(tmp_path):
    done = run_apart("demo", "--headless", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert [row["name"] for row in report["labels"]] == ["liver", "spleen", "right kidney"]
    assert all(row["dice"] > 0.6 for row in report["labels"])
    labels, volume = read_labels(tmp_path / "demo" / "labels.nii.gz")
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert volume.geometry.spacing == pytest.approx((4.0, 2.4, 2.4))
    picture = imageio.imread(tmp_path / "demo" / "overlay.png")
    assert picture.ndim == 3
    assert (picture.max(2) - picture.min(2)).max() > 80, "no colour over the grey"


def test_the_demo_on_sections_finds_mitochondria_and_not_membranes(tmp_path):
    done = run("demo", "--headless", "--kind", "em", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "report.json").read_text())["labels"]
    assert row["dice"] > 0.6


@pytest.mark.parametrize("kind", ["ct", "em"])
def test_the_prompts_of_the_demo_lie_on_what_they_say(kind):
    from napari_dinomed import demo

    sample = demo.find_sample(kind)
    for point in sample.prompts.points:
        assert (sample.truth[point.voxel] == point.label) == point.include


def test_the_benchmark(scan, tmp_path):
    out = tmp_path / "figures.json"
    done = run(
        "bench",
        "interactive",
        "--image",
        scan,
        "--labels",
        scan.with_name("truth.nii.gz"),
        "--clicks",
        3,
        "--json",
        out,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert len(figures["dice"]) == len(figures["seconds"]) == 3
    assert figures["dice"][-1] > 0.85


def test_the_benchmark_of_a_suite(scan, tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f"[[case]]\nname = 'ball'\nimage = '{scan}'\n"
        f"labels = '{scan.with_name('truth.nii.gz')}'\n"
        f"[[case]]\nname = 'ball again'\nimage = '{scan}'\n"
        f"labels = '{scan.with_name('truth.nii.gz')}'\n"
    )
    figures, plot = tmp_path / "figures.json", tmp_path / "curves.png"
    options = ("--clicks", 2, "--jitter", "--seeds", 2, "--planes", "one", "--baselines")
    done = run(
        *("bench", "interactive", "--suite", suite, "--json", figures, "--plot", plot),
        *options,
    )
    assert done.returncode == 0, done.stderr
    cases = json.loads(figures.read_text())["cases"]
    assert [case["name"] for case in cases] == ["ball", "ball again"]
    assert len(cases[0]["runs"]) == 2
    assert len(cases[0]["baselines"]) == 4
    assert plot.stat().st_size > 1000


def test_the_benchmarks_without_clicks(scan, tmp_path, monkeypatch):
    truth = scan.with_name("truth.nii.gz")
    figures = tmp_path / "figures.json"
    given = ("--image", scan, "--labels", truth, "--json", figures)
    monkeypatch.setattr(lesson, "_LESSONS", 100)
    monkeypatch.setattr(lesson, "_TRIAL_LESSONS", 50)
    done = run("bench", "labels", *given, "--slices", 2)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(figures.read_text())["labels"]
    assert row["dice"] > 0.7
    done = run("bench", "transfer", *given, "--to", f"{scan},{truth}")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(figures.read_text())["transfer"]
    assert row["dice"] > 0.5
    assert "--to IMAGE,LABELS" in refused("bench", "transfer", *given, "--to", scan)


def test_the_benchmark_of_speed(tmp_path):
    figures = tmp_path / "speed.json"
    done = run("bench", "speed", "--volume", "24x96x96", "--labels", 2, "--json", figures)
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text())["speed"]
    assert len(rows) == 6
    for row in rows:
        assert 0 < row["p50"] <= row["p95"] < 30
        assert 0 < row["floor"] < row["p95"]
    painted, whole = rows[2]["seconds"], rows[3]["seconds"]
    assert all(a <= b for a, b in zip(painted, whole, strict=True))
    assert "128x512x512" in refused("bench", "speed", "--volume", "24x96")
    assert "--scaling" in refused("bench", "speed", "--plot", tmp_path / "speed.png")


def test_a_benchmark_of_nothing(tmp_path):
    assert "--suite" in refused("bench", "interactive")
    suite = tmp_path / "suite.toml"
    case = 'name = "a"\nimage = "a.nii"\nlabels = "b.nii"\ntask = "labels"\n'
    suite.write_text(f"[[case]]\n{case}")
    assert "clicks" in refused("bench", "interactive", "--suite", suite)
    assert "clicks" in refused("bench", "report", "--suite", suite, "--out", tmp_path / "r")


def test_the_cache_is_listed_bounded_and_cleared(scan, tmp_path):
    run("segment", scan, "--point", "8,24,30=1", "--out", tmp_path / "l.nii")
    assert "filters" in run("cache", "list").stdout
    assert "2 GB" in run("cache", "limit", "2").stdout
    for much in ("inf", "1e300"):
        assert "from 0 to 1e+09" in refused("cache", "limit", much)
    assert "of 2 GB" in run("cache", "list").stdout
    assert "Freed" in run("cache", "clear").stdout
    assert "filters" not in run("cache", "list").stdout


def test_encoders_are_listed():
    listed = run_apart("encoders").stdout
    for name in ("filters", "dinov3-s+", "dinov3-7b", "dinov3-convnext-t", "eupe-t"):
        assert name.split("-convnext")[0] in listed


GOOD = ("--point", "8,24,30=1", "--out", "OUT")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.nii", *GOOD), "no file"),
        ((".", *GOOD), "folder"),
        (("SCAN", "--out", "OUT"), "at least one"),
        (("SCAN", "--point", "8,24,56=1", "--out", "OUT"), "outside"),
        (("SCAN", "--point", "-1,24,30=1", "--out", "OUT"), "outside"),
        (("SCAN", "--world", "999,0,0=1", "--out", "OUT"), "outside"),
        (("SCAN", "--point", "8,24=1", "--out", "OUT"), "K,J,I=LABEL"),
        (("SCAN", "--point", "8,24,30", "--out", "OUT"), "K,J,I=LABEL"),
        (("SCAN", "--point", "8,24,30=0", "--out", "OUT"), "label"),
        (
            ("SCAN", "--point", "8,24,30=-1", "--out", "OUT"),
            "at least one prompt that includes",
        ),
        (("SCAN", "--point", "8,24,30=1", "--out", "labels.png"), "labels.png"),
        (("SCAN", "--point", "8,24,30=1", "--out", "nowhere/l.nii"), "not there"),
        (("SCAN", *GOOD, "--encoder", "nonsense"), "nonsense"),
        (("SCAN", *GOOD, "--encoder", "dinov3-s"), "weights get dinov3-s"),
        (("SCAN", *GOOD, "--device", "abacus"), "abacus"),
        (("SCAN", *GOOD, "--frame", "2"), "frame 2"),
        (("SCAN", "--prompts", "missing.json", "--out", "OUT"), "Cannot read prompts"),
    ],
)
def test_bad_arguments(scan, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    places = {"SCAN": scan, "OUT": tmp_path / "out.nii.gz"}
    encoder = ()
    if "abacus" in arguments:
        import torch
        from safetensors.torch import save_file

        from napari_dinomed.features.checkpoint import import_timm

        torch.manual_seed(0)
        model = import_timm().create_model("vit_tiny_patch16_dinov3_qkvb", num_classes=0)
        save_file(model.state_dict(), tmp_path / "w.safetensors")
        encoder = ("--encoder", f"file:{tmp_path / 'w.safetensors'}")
    error = refused("segment", *(places.get(a, a) for a in arguments), *encoder)
    assert said in error
    assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((6, 7, 8), np.nan, np.float32), "not-a-number"),
        (np.full((6, 7, 8), 3, np.int16), "constant"),
        (np.arange(7, dtype=np.int16), "1-D"),
        (np.zeros((2, 2, 2, 2, 2), np.int16), "5-D"),
    ],
)
def test_volumes_with_nothing_in_them(tmp_path, array, said):
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "odd.nii")
    out = tmp_path / "out.nii"
    error = refused("segment", tmp_path / "odd.nii", "--point", "1,1,1=1", "--out", out)
    assert said in error
    assert not out.exists()


@pytest.mark.parametrize("depth", [1, 3])
def test_one_and_three_slices(tmp_path, depth):
    mask = ball((40, 40, depth), (20, 20, depth // 2), 8)
    noise = np.random.default_rng(0).normal(0, 3, mask.shape)
    grey = (10 + 90 * mask + noise).astype(np.float32)
    nib.save(nib.Nifti1Image(grey, np.eye(4)), tmp_path / "thin.nii")
    out = tmp_path / "out.nii"
    place = f"{depth // 2},20,20=1"
    done = run("segment", tmp_path / "thin.nii", "--point", place, "--out", out)
    assert done.returncode == 0, done.stderr
    assert dice(mask, _mask(out)) > 0.8


def test_a_truncated_file(scan, tmp_path):
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(scan.read_bytes()[:3000])
    point = ("--point", "8,24,30=1")
    said = refused("segment", cut, *point, "--out", tmp_path / "o.nii", run=run_apart)
    assert "cut.nii.gz" in said


@pytest.mark.parametrize("content", ["{", "[]", '{"points": [{"voxel": [1, 2]}]}'])
def test_prompt_files_that_are_none(scan, tmp_path, content):
    (tmp_path / "p.json").write_text(content)
    error = refused(
        "segment", scan, "--prompts", tmp_path / "p.json", "--out", tmp_path / "o.nii"
    )
    assert "prompts" in error


def test_a_display_without_qt(monkeypatch):
    import importlib.util

    from napari_dinomed import demo
    from napari_dinomed.errors import DinomedError

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DinomedError, match=r"napari-dinomed\[all\]"):
        demo.why_no_window()


def test_the_licence_comes_before_the_download():
    error = refused("weights", "get", "dinov3-s")
    assert "DINOv3 License" in error


def test_offline_names_the_file_to_bring():
    # A process is offline for ever.
    given = ("--offline", "weights", "get", "dinov3-s", "--accept-licence")
    error = refused(*given, run=run_apart)
    assert "offline" in error
    assert "timm/vit_small_patch16_dinov3.lvd1689m" in error
    assert "weights add FILE --as dinov3-s" in error


REAL = [
    ("ct_abdomen/example_ct_sm.nii.gz", "15,50,20"),
    ("ct_headneck/image.nii.gz", "60,60,60"),
    ("mr_hippocampus/images/hippocampus_003.nii.gz", "17,26,17"),
    ("pet/PET.nii", "45,54,45"),
    ("cryoet/14pf_MT.tif", "22,68,42"),
    ("ometiff/4D-series.ome.tif", "2,80,200"),
]


@pytest.mark.parametrize(("name", "place"), REAL, ids=[name for name, _ in REAL])
def test_real_volumes_of_every_kind(shared_data, tmp_path, name, place):
    source = shared_data / name
    out = tmp_path / ("labels.nii.gz" if "nii" in name else "labels.ome.tif")
    done = run("segment", source, "--point", f"{place}=1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert read_volume(out).geometry.file_shape == read_volume(source).geometry.file_shape
    if "nii" in name:
        np.testing.assert_array_equal(nib.load(out).affine, nib.load(source).affine)


def test_what_is_in_a_file(scan, tmp_path):
    done = run("info", scan)
    assert done.returncode == 0, done.stderr
    for expected in ("NIfTI", "16 × 48 × 56", "mm", "IPL", "MR", "int16", "into memory"):
        assert expected in done.stdout
    (tmp_path / "a.xyz").write_bytes(b"nothing")
    assert "a.xyz is none of these" in refused("info", tmp_path / "a.xyz")


def _copied(scan, folder, name="scan.nii.gz"):
    (folder / name).write_bytes(scan.read_bytes())
    return folder / name


@pytest.mark.parametrize("option", ["--out", "--instances"])
@pytest.mark.parametrize("name", ["scan.nii.gz", "SCAN.nii.gz", "link.nii.gz"])
def test_the_image_is_not_overwritten(scan, tmp_path, option, name):
    image = _copied(scan, tmp_path)
    (tmp_path / "link.nii.gz").symlink_to(image)
    outs = {"--out": tmp_path / "labels.nii.gz", option: tmp_path / name}
    given = [part for pair in outs.items() for part in pair]
    # Before any computing: an encoder that is not there would be found out later.
    said = refused("segment", image, "--point", "8,24,30=1", *given, "--encoder", "none")
    assert "which was read" in said
    assert image.read_bytes() == scan.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"scan.nii.gz", "link.nii.gz"}


def test_nothing_that_was_given_is_overwritten(scan, tmp_path):
    image = _copied(scan, tmp_path)
    second = _copied(scan, tmp_path, "t2.nii.gz")
    prompts = tmp_path / "prompts.nii.gz"
    prompts.write_text(json.dumps({"points": [{"voxel": [8, 24, 30], "label": 1}]}))
    given = ("--also", second, "--prompts", prompts)
    for path in (second, prompts):
        before = path.read_bytes()
        assert "which was read" in refused("segment", image, *given, "--out", path)
        assert path.read_bytes() == before


def test_a_slice_is_not_overwritten(tmp_path):
    matrix = np.array([[0, 0, -0.7, 60], [0, -0.8, 0, 80], [2.5, 0, 0, 0], [0, 0, 0, 1.0]])
    array = np.arange(4 * 8 * 8, dtype=np.int16).reshape(4, 8, 8)
    series = made.write_dicom(tmp_path / "series", array, matrix)
    for path in list(series.iterdir()):
        path.rename(path.with_suffix(".dcm"))
    before = {path: path.read_bytes() for path in series.iterdir()}
    point = ("--point", "1,4,4=1")
    assert "which was read" in refused(
        "segment", series, *point, "--out", series / "899.dcm"
    )
    assert "lies inside" in refused("segment", series, *point, "--out", series / "new.dcm")
    assert {path: path.read_bytes() for path in series.iterdir()} == before


def test_a_store_of_others_is_refused_before_any_computing(scan, tmp_path):
    store = made.write_zarr(tmp_path / "other.zarr", np.ones((3, 4, 5), np.uint8))
    given = ("--point", "8,24,30=1", "--encoder", "none")
    assert "labels/NAME" in refused("segment", scan, *given, "--out", store)
    assert read_volume(store).array.all()


def test_labels_of_a_store_go_into_it(tmp_path):
    mask = ball((16, 40, 40), (8, 20, 20), 7)
    noise = np.random.default_rng(0).normal(0, 3, mask.shape)
    store = made.write_zarr(tmp_path / "a.zarr", (20 + 90 * mask + noise).astype(np.int16))
    things = store / "labels" / "things"
    given = ("--point", "8,20,20=1", "--out", store, "--instances", things)
    done = run("segment", store, *given)
    assert done.returncode == 0, done.stderr
    assert read_labels(store / "labels" / "dinomed")[0].any()
    count = read_labels(things)[0].max()
    assert count
    done = run("info", things)
    assert f"labels, {count} of them" in done.stdout
    # They are no picture.
    assert not {"modality", "range", "window"} & set(done.stdout.split())


def test_from_dicom_to_a_dicom_segmentation(scan, tmp_path):
    """Slices in, labels that refer to them out."""
    matrix = AFFINE[:, [2, 1, 0, 3]] * [1, 1, 1, 1]
    matrix[:3, :3] = np.diag([-0.8, -0.8, 2.4])[:, ::-1]
    array = np.asarray(nib.load(scan).dataobj).T
    series = made.write_dicom(tmp_path / "series", array, matrix)
    out = tmp_path / "labels.dcm"
    done = run("segment", series, "--point", "8,24,30=1", "--out", out)
    assert done.returncode == 0, done.stderr
    labels, _ = read_labels(out)
    grid = read_volume(series).geometry
    truth = np.asarray(nib.load(scan.with_name("truth.nii.gz")).dataobj).T == 1
    assert dice(truth, grid.to_file_order(labels) == 1) > 0.85


def test_a_second_image_is_looked_at(scan, tmp_path):
    out = tmp_path / "labels.nii.gz"
    point = ("--point", "8,24,30=1")
    done = run("segment", scan, *point, "--also", scan, "--out", out)
    assert done.returncode == 0, done.stderr
    assert _mask(out).any()
    truth = scan.with_name("truth.nii.gz")
    small = nib.load(truth).slicer[:20]
    nib.save(small, tmp_path / "small.nii.gz")
    said = refused(
        "segment", scan, *point, "--also", tmp_path / "small.nii.gz", "--out", out
    )
    assert "same grid" in said


def test_an_engine_at_the_end_of_a_command_labels_as_one_here(scan, tmp_path):
    job = ("segment", scan, "--point", "8,24,30=1", "--point", "2,4,4=-1")
    here, there = tmp_path / "here.nii.gz", tmp_path / "there.nii.gz"
    assert run(*job, "--out", here).returncode == 0
    assert SENT not in [entry.encoder for entry in list_entries()]
    command = shlex.join([sys.executable, "-m", "napari_dinomed", "engine"])
    done = run(*job, "--out", there, "--engine", command)
    assert done.returncode == 0, done.stderr
    # It was sent there, and kept.
    assert SENT in [entry.encoder for entry in list_entries()]
    assert _mask(here).any()
    np.testing.assert_array_equal(nib.load(there).dataobj, nib.load(here).dataobj)

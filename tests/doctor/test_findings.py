"""What is said of a machine, from facts that are made up."""

from __future__ import annotations

import json

import pytest

from napari_dinomed.doctor.findings import (
    Finding,
    Folder,
    Level,
    Probed,
    on_cache,
    on_data,
    on_gpu,
    on_memory,
    on_torch,
    on_weights,
    on_window,
    without_names,
)
from napari_dinomed.features import hardware
from napari_dinomed.features.hardware import TorchBuild, gpus_here, unused_gpu

GIB = 1024**3
QT = {"qt": "PyQt6 6.11.0 on xcb", "python": "3.11.7", "gl": "4.5 Mesa", "renderer": "RTX"}


def _levels(findings):
    return [str(finding.level) for finding in findings]


@pytest.mark.parametrize(
    ("changes", "levels", "word"),
    [
        ({}, ["ok", "ok"], "RTX"),
        ({"renderer": "llvmpipe (LLVM 15)"}, ["ok", "ok"], "3-D is slow"),
        ({"gl": "1.4 (Compatibility)"}, ["ok", "fail"], "stays black"),
        ({"gl": "OpenGL ES 3.2"}, ["ok", "ok"], "3.2"),
        ({"gl": ""}, ["ok", "fail"], "cannot be had"),
        ({"qt": "PySide6 6.12.0 on xcb"}, ["fail", "ok"], "middle of work"),
        ({"qt": "PySide6 6.12.0 on xcb", "python": "3.12.1"}, ["ok", "ok"], "PySide6"),
    ],
)
def test_window(changes, levels, word):
    found = on_window(True, Probed(QT | changes))
    assert _levels(found) == levels
    assert any(word in finding.says for finding in found)
    assert all(finding.remedy for finding in found if finding.level is Level.FAIL)


def test_a_window_that_cannot_open():
    (absent,) = on_window(False, Probed({}))
    assert absent.level is Level.WARN
    assert "command line works" in absent.says
    (dead,) = on_window(True, Probed({}, "Could not load the Qt platform plugin"))
    assert dead.level is Level.FAIL
    assert "libxcb-cursor0" in dead.remedy


def test_torch():
    facts = {"torch": "2.6", "device": "CPU (2 threads)", "timm_error": ""}
    assert _levels(on_torch(Probed(facts))) == ["ok"]
    mismatch = facts | {"timm_error": "torchvision::nms does not exist. pip install …"}
    assert _levels(on_torch(Probed(mismatch))) == ["ok", "fail"]
    assert _levels(on_torch(Probed({}, "Illegal instruction"))) == ["fail"]


BUILT_FOR_CUDA = TorchBuild("cpu", cuda="13.0", complaint="Found no NVIDIA driver")


@pytest.mark.parametrize(
    ("gpus", "build", "why"),
    [
        ((), TorchBuild("cpu"), None),
        (("NVIDIA",), TorchBuild("cuda", cuda="13.0"), None),
        (("NVIDIA",), TorchBuild("cpu"), "not built for it"),
        (("NVIDIA",), BUILT_FOR_CUDA, "Found no NVIDIA driver"),
        (("AMD",), BUILT_FOR_CUDA, "not built for it"),
        (("AMD",), TorchBuild("cpu", hip="6.4"), "finds none that it can use"),
        (("Intel", "NVIDIA"), TorchBuild("cpu"), "not built for it"),
        (("Apple",), TorchBuild("mps", is_for_mps=True), None),
        (("Apple",), TorchBuild("cpu"), "not built for it"),
        (("Apple",), TorchBuild("cpu", is_for_mps=True), "finds none that it can use"),
    ],
)
def test_a_gpu_that_is_there_but_idle_is_said_with_its_reason(gpus, build, why):
    unused = unused_gpu(gpus, build)
    findings = on_gpu(unused)
    assert _levels(findings) == (["warn"] if why else [])
    if why:
        assert why in findings[0].says
        assert findings[0].remedy
        assert "Intel" not in str(unused)


def test_graphics_inside_a_processor_are_no_loss():
    (finding,) = on_gpu(unused_gpu(("Intel",), TorchBuild("cpu")))
    assert finding.level is Level.OK


def test_a_variable_that_hides_the_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" in unused_gpu(("NVIDIA",), BUILT_FOR_CUDA).why


def test_gpus_are_found_without_any_driver(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    devices = (("0x030000", "0x8086"), ("0x030200", "0x10de"), ("0x020000", "0x1002"))
    for number, (kind, vendor) in enumerate(devices):
        place = tmp_path / f"0000:00:0{number}.0"
        place.mkdir()
        (place / "class").write_text(f"{kind}\n")
        (place / "vendor").write_text(f"{vendor}\n")
    (tmp_path / "odd").mkdir()
    assert gpus_here(tmp_path) == ("Intel", "NVIDIA")
    assert gpus_here(tmp_path / "nowhere") == ()


def test_memory_and_folders():
    assert on_memory(16 * GIB, 8 * GIB).level is Level.OK
    assert on_memory(4 * GIB, GIB).level is Level.WARN
    well, full = Folder("~/x", "", 50 * GIB), Folder("~/x", "", GIB)
    closed = Folder("~/x", "Read-only file system", 0)
    for judge, worst in (
        (lambda folder: on_cache(folder, 10**9, 20 * 10**9), Level.WARN),
        (on_data, Level.FAIL),
    ):
        assert judge(well).level is Level.OK
        assert judge(full).level is Level.WARN
        assert judge(closed).level is worst
        assert "Read-only" in judge(closed).says
        assert judge(closed).remedy
    assert "1.00 of 20 GB" in on_cache(well, 10**9, 20 * 10**9).says


def test_weights_come_with_their_licences():
    found = on_weights(
        {
            "a": ("Licence A", "here"),
            "b": ("Licence A", "absent"),
            "c": ("Licence A", "absent"),
            "d": ("Licence B", "absent"),
            "e": ("Licence B", "What is recorded is damaged."),
        }
    )
    assert [finding.says for finding in found] == [
        "a here (Licence A)",
        "What is recorded is damaged.",
        "absent: b, c (Licence A)",
        "absent: d (Licence B)",
    ]
    assert _levels(found) == ["ok", "warn", "ok", "ok"]


def test_a_report_names_neither_user_nor_machine():
    names = {
        "/home/anna": "~",
        "anna": "USER",
        "ward7.hospital.org": "HOST",
        "ward7": "HOST",
    }
    finding = Finding(
        "x", Level.OK, "/home/anna/a on ward7.hospital.org", "ward7 /data/anna/b hannah"
    )
    hidden = without_names(finding, names)
    assert hidden.says == "~/a on HOST"
    assert hidden.remedy == "HOST /data/USER/b hannah"


@pytest.mark.parametrize(
    ("moved", "shown"),
    [
        ("/home/anna/big/dinomed", ("~/big/dinomed", "~/big/dinomed/cache")),
        ("/data/home/anna/dinomed", ("~/dinomed", "~/dinomed/cache")),
        ("/scratch/berta/x y/dinomed", ("…/dinomed", "…/cache")),
        ("../berta/dinomed", ("…/dinomed", "…/cache")),
        ("/scratch/anna", ("…/USER", "…/cache")),
        ("dinomed", ("dinomed", "…/cache")),
    ],
)
def test_folders_elsewhere_go_by_their_last_part(monkeypatch, moved, shown):
    from napari_dinomed.doctor import facts

    monkeypatch.setenv("NAPARI_DINOMED_HOME", moved)
    monkeypatch.setattr(facts.Path, "home", lambda: facts.Path("/home/anna"))
    monkeypatch.setattr(facts.getpass, "getuser", lambda: "anna")
    there = facts.Path("/data/home/anna")
    monkeypatch.setattr(facts.Path, "resolve", lambda _: there)
    names = facts.private_names()
    places = (facts.data_folder(), facts.cache_folder())
    for place, expected in zip(places, shown, strict=True):
        says = f"The settings in {place} are damaged"
        hidden = without_names(Finding("x", Level.OK, says), names)
        assert hidden.says.replace("\\", "/") == f"The settings in {expected} are damaged"


def test_a_word_that_is_empty_hides_nothing():
    finding = Finding("x", Level.OK, "as it is")
    assert without_names(finding, {"": "USER"}) == finding


def _facts(monkeypatch, torch=None, window=None):
    from napari_dinomed.doctor import facts

    build = {"device": "cpu", "cuda": "", "hip": ""}
    sound = {"torch": "2.6", "device": "CPU", "timm_error": "", "build": build}
    brought = {
        "napari_dinomed.doctor.torch_probe": torch or Probed(sound),
        "napari_dinomed.doctor.window_probe": window or Probed(QT),
    }
    monkeypatch.setattr(facts, "_probe", brought.__getitem__)
    monkeypatch.setattr(facts, "has_display", lambda: True)
    return facts


def test_the_whole_table(monkeypatch, home, capsys):
    import typer

    from napari_dinomed.cli.doctor import doctor

    facts = _facts(monkeypatch)
    monkeypatch.setattr(
        facts, "private_names", lambda: {str(home): "~", home.parent.name: "USER"}
    )
    doctor(as_json=True)
    said = capsys.readouterr().out
    findings = {finding["what"]: finding for finding in json.loads(said)}
    expected = {
        "versions",
        "window",
        "OpenGL",
        "torch",
        "memory",
        "data",
        "cache",
        "weights",
    }
    assert expected <= findings.keys()
    assert findings["data"]["says"].startswith("~, ")
    assert str(home) not in said
    (home / "settings.json").write_text("[")
    with pytest.raises(typer.Exit) as ended:
        doctor(as_json=False)
    assert ended.value.exit_code == 1
    assert "settings" in capsys.readouterr().out


def test_a_probe_that_dies_or_hangs_is_a_finding(monkeypatch, tmp_path):
    from napari_dinomed.doctor import facts

    monkeypatch.setattr(facts, "_PATIENCE", 0.1)
    assert "no answer" in facts._probe("napari_dinomed.doctor.torch_probe").error
    monkeypatch.setattr(facts, "_PATIENCE", 30)
    for name, code in {
        "dies": "import os; os.abort()",
        "complains": "import sys; sys.exit('qt: Could not load\\nAvailable: none')",
        "prints": "print('[1]')",
    }.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert facts._probe("dies").error
    assert facts._probe("complains").error == "qt: Could not load"
    assert facts._probe("prints").error


def test_the_real_torch(capsys):
    from napari_dinomed.doctor import torch_probe

    torch_probe.main()
    facts = json.loads(capsys.readouterr().out)
    assert facts["timm_error"] == ""
    assert TorchBuild(**facts["build"]).device in ("cpu", "cuda", "mps", "xpu")
    assert _levels(on_torch(Probed(facts))) == ["ok"]


@pytest.mark.display
def test_the_real_window():
    from napari_dinomed.doctor import facts

    if not facts.has_display():
        pytest.skip("needs a display; run under xvfb-run")
    qt, gl = on_window(True, facts._window())
    assert (qt.level, gl.level) == (Level.OK, Level.OK)
    assert "OpenGL" not in gl.says


def test_an_idle_gpu_is_told_of_when_an_encoder_is_loaded(monkeypatch):
    said = []
    monkeypatch.setattr(hardware, "gpus_here", lambda: ("NVIDIA",))
    for build in (TorchBuild("cpu"), TorchBuild("cuda", cuda="13.0")):
        monkeypatch.setattr(hardware, "torch_build", lambda build=build: build)
        hardware.tell_of_unused_gpu(said.append)
    assert len(said) == 1
    assert "this torch is not built for it" in said[0]

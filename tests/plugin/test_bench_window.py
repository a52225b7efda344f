"""The measured window: each of its acts is carried out, and has gaps."""

from __future__ import annotations

import json

import pytest

from tests.command import run_apart
from tests.conftest import LONG
from tests.plugin.conftest import needs_display

ACTS = [
    "open small.nii.gz",
    "encode",
    "click",
    "change slices",
    "paint a whole slice as an example",
    "paint a whole slice by hand",
    "undo and redo",
    "save labels.nii.gz",
    "save labels.seg.nrrd",
    "open large.nii.gz",
    "napari alone: a volume and labels",
    "napari alone: change slices",
]


@needs_display
@pytest.mark.skipif(not LONG, reason="long: all acts, one after another")
def test_every_act_has_gaps(tmp_path):
    """In a process of its own, as it is used: its engine is a real one."""
    tiny = ("--opened", "16x64x64", "--worked", "16x64x64")
    done = run_apart("bench", "window", *tiny, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [act["act"] for act in figures["window"]] == ACTS
    for act in figures["window"]:
        assert act["gap max ms"] >= act["gap p99 ms"] > 0
        assert act["seconds"] > 0
        assert act["act"] in done.stderr

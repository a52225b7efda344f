"""A screen on which everything is twice as large."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.plugin.scaled_window import VOXEL
from tests.plugin.test_first_start import SMALL

SCREEN = "-screen 0 2560x1440x24 +extension GLX"


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="needs a screen of its own")
def test_at_200_percent_nothing_is_cut_and_a_click_is_answered():
    window = [sys.executable, "-m", "tests.plugin.scaled_window"]
    done = subprocess.run(
        ["xvfb-run", "-a", "-s", SCREEN, *window],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"QT_SCALE_FACTOR": "2", "QT_QPA_PLATFORM": "xcb"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["ratio"] == 2
    assert said["screen"] == said["window"] == [*SMALL]
    assert said["least width"] <= 960
    assert said["unseen"] == said["cut"] == []
    assert said["buttons"] > 15
    assert said["clicked"] == [[*VOXEL]]
    assert said["answered"] == 125

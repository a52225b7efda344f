"""The scripts that make the network's weights keep up with the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from napari_dinomed.segment.one_object.network import CueNet

RESOURCES = Path(__file__).parents[3] / "resources"


def _run(script, *arguments):
    command = [sys.executable, RESOURCES / script, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_network_learns_from_made_up_volumes(tmp_path):
    _run("teach_volumes.py", tmp_path, "--made-up", 0, 3)
    out = tmp_path / "network.safetensors"
    _run("teach.py", tmp_path, out, "--minutes", 0.05)
    torch.manual_seed(0)
    network = CueNet()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(load_file(out))
    for name, value in network.state_dict().items():
        assert torch.isfinite(value).all()
        assert not torch.equal(value, before[name]) or name.endswith("bias")

"""Computing reaches for no network; ``--offline`` lets nothing else do so either."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import nibabel as nib
import numpy as np
import psutil
import pytest
from safetensors.torch import save_file

from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.messages import EncodeVolume, OpenVolume
from napari_dinomed.features.checkpoint import import_timm
from napari_dinomed.volume import Window
from tests.engine.conftest import click

FORBIDDEN = textwrap.dedent(
    """
    import sys
    TRIED = []
    def hook(event, details):
        is_network = event in ("socket.getaddrinfo", "socket.gethostbyname") or (
            event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
            and isinstance(details[1], tuple)
            # Libraries ask whether this machine knows IPv6.
            and (event, details[1]) != ("socket.bind", ("::1", 0))
        )
        if is_network:
            TRIED.append((event, details[1:] if "get" not in event else details))
            raise OSError("a socket was opened")
    sys.addaudithook(hook)
    """
)


def _run(code, *arguments):
    """In a process of its own, in which the hub's library is not told to be offline."""
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture
def scan(tmp_path):
    array = np.random.default_rng(0).normal(20, 4, (40, 40, 4)).astype(np.int16)
    array[10:25, 10:25, 1:3] += 100
    nib.save(nib.Nifti1Image(array, np.diag([1, 1, 3, 1])), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


@pytest.fixture
def small_weights(tmp_path):
    """A transformer that has learnt nothing, its architecture named beside it."""
    path, architecture = tmp_path / "small.safetensors", "vit_tiny_patch16_224"
    model = import_timm().create_model(architecture, num_classes=0)
    save_file(model.state_dict(), path)
    path.with_name(f"{path.name}.json").write_text(f'{{"architecture": "{architecture}"}}')
    return path


def test_a_whole_job_opens_no_socket(scan, small_weights, tmp_path):
    code = FORBIDDEN + textwrap.dedent(
        """
        from napari_dinomed.cli import app
        scan, out, *encoders = sys.argv[1:]
        for encoder in encoders:
            job = ["segment", scan, "--point", "1,16,16=1", "--out", out]
            app([*job, "--encoder", encoder], standalone_mode=False)
        sys.exit(f"tried: {TRIED}" if TRIED else 0)
        """
    )
    out = tmp_path / "labels.nii.gz"
    done = _run(code, scan, out, "filters", f"file:{small_weights}")
    assert done.returncode == 0, done.stderr
    labels = np.asarray(nib.load(out).dataobj)
    assert labels[16, 16, 1] == 1


def test_a_socket_would_have_been_noticed():
    code = FORBIDDEN + textwrap.dedent(
        """
        import socket
        try:
            socket.create_connection(("127.0.0.1", 9))
        except OSError:
            pass
        sys.exit(f"tried: {TRIED}" if TRIED else 0)
        """
    )
    assert "tried: [" in _run(code).stderr


def test_offline_refuses_other_machines_at_the_socket():
    code = textwrap.dedent(
        """
        import socket
        from napari_dinomed.offline import forbid_network
        forbid_network()
        own = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(own.getsockname()).close()
        for host in ("example.org", "192.0.2.1", "2001:db8::1"):
            try:
                socket.create_connection((host, 80), timeout=1)
            except ConnectionRefusedError as error:
                print(error)
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 9))
        except ConnectionRefusedError as error:
            print(error)
        """
    )
    said = _run(code).stdout.splitlines()
    assert said == [
        f"working offline: {host} was not asked"
        for host in ("example.org", "192.0.2.1", "2001:db8::1", "192.0.2.1")
    ]


def test_an_engine_is_offline_where_the_one_who_started_it_is(monkeypatch):
    monkeypatch.setenv("NAPARI_DINOMED_OFFLINE", "1")
    code = textwrap.dedent(
        """
        import socket, sys, types
        engine = types.ModuleType("engine")
        engine.Engine = object
        sys.modules["napari_dinomed.engine.engine"] = engine
        from napari_dinomed.engine import server

        class Tried:
            def __init__(self, *_):
                pass
            def run(self):
                try:
                    socket.create_connection(("192.0.2.1", 80), timeout=1)
                except ConnectionRefusedError as error:
                    print(error, file=sys.stderr)

        server.Server = Tried
        server.main()
        """
    )
    assert "working offline: 192.0.2.1" in _run(code).stderr


def test_an_address_is_refused_offline_with_one_error():
    address = "https://example.org/image.ome.zarr"
    code = "from napari_dinomed.cli import main; main()"
    done = _run(code, "--offline", "info", address)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_an_engine_of_its_own_opens_no_socket(ball_volume, tmp_path, monkeypatch):
    """What a window starts: it opens a volume, describes its voxels, answers a click."""
    told = tmp_path / "told"
    told.mkdir()
    # Each Python that is started from now on notes its sockets in a file of its own.
    listens = textwrap.dedent(
        f"""
        import os
        TOLD = open(os.path.join({str(told)!r}, str(os.getpid())), "w")
        class TRIED:
            def append(tried):
                print(tried, file=TOLD, flush=True)
        """
    )
    assert "TRIED = []" in FORBIDDEN
    forbidden = FORBIDDEN.replace("TRIED = []", "")
    (tmp_path / "sitecustomize.py").write_text(listens + forbidden)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    volume, mask = ball_volume
    client = EngineClient()
    try:
        client.run(OpenVolume("v", volume.array, volume.geometry, volume.modality))
        client.run(EncodeVolume("v", "filters", Window(0.0, 130.0)))
        found = client.run(click("v"))
        engines = {str(child.pid) for child in psutil.Process().children()}
    finally:
        client.close()
    assert dice(mask, found.paste(mask.shape) == 1) > 0.85
    listened = {path.name: path.read_text() for path in told.iterdir()}
    assert engines & listened.keys()
    assert not any(listened.values()), listened

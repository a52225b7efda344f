"""Weights: a hub on this machine, so that the real download is tried without a network."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import subprocess
import sys
import threading
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save, save_file

from napari_dinomed import settings
from napari_dinomed.errors import WeightsError
from napari_dinomed.features.catalog import CATALOG, DINOV3_LICENCE
from napari_dinomed.features.checkpoint import import_timm
from napari_dinomed.features.weights import (
    add_weights,
    is_present,
    locate_weights,
    missing_licence,
    read_pin,
)

COMMIT = "a" * 40


def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return (
        import_timm()
        .create_model("vit_tiny_patch16_dinov3_qkvb", num_classes=0)
        .state_dict()
    )


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download needs: a file with its hash, size and commit."""

    content = b""
    announced = ""
    breaks_after: int | None = None
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_HEAD(self):
        self._head(len(self.content), 200)

    def do_GET(self):
        span = self.headers.get("Range")
        self.asked.append((self.path, span))
        start = int(span.removeprefix("bytes=").rstrip("-").split("-")[0]) if span else 0
        body = self.content[start:]
        self._head(len(body), 206 if span else 200)
        if type(self).breaks_after is not None:
            body, type(self).breaks_after = body[: type(self).breaks_after], None
            self.wfile.write(body)
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(body)

    def _head(self, length, status):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{self.announced}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch):
    Hub.content = save(_weights())
    Hub.announced = hashlib.sha256(Hub.content).hexdigest()
    Hub.breaks_after = None
    Hub.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield Hub
    server.shutdown()


def _get(name="eupe-t", *options):
    """In a process of its own: the hub's library reads its environment when imported."""
    command = [sys.executable, "-m", "napari_dinomed", "weights", "get", name, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_weights_are_fetched_checked_and_pinned(hub):
    done = _get("eupe-t", "--accept-licence")
    assert done.returncode == 0, done.stderr
    pin = read_pin("eupe-t")
    assert pin.sha256 == hub.announced
    assert pin.revision == COMMIT
    path, spec = locate_weights("eupe-t")
    assert path.read_bytes() == hub.content
    assert spec.architecture == "vit_tiny_patch16_dinov3_qkvb"
    assert {path for path, _ in hub.asked} == {
        f"/timm/vit_tiny_patch16_dinov3_qkvb.eupe_lvd1689m/resolve/{COMMIT}/model.safetensors"
    }


def test_a_broken_download_goes_on_where_it_stopped(hub):
    hub.breaks_after = len(hub.content) // 2
    done = _get("eupe-t", "--accept-licence")
    if done.returncode != 0:
        done = _get("eupe-t")
    assert done.returncode == 0, done.stderr
    assert read_pin("eupe-t").sha256 == hub.announced
    spans = [span for _, span in hub.asked]
    assert any(span and not span.startswith("bytes=0-") for span in spans), spans


def test_an_accepted_licence_is_stored(hub):
    assert _get("eupe-t").returncode != 0
    assert hub.asked == []
    _get("eupe-t", "--accept-licence")
    assert missing_licence("eupe-t") is None
    assert missing_licence("dinov3-s") == DINOV3_LICENCE


def test_weights_that_arrive_damaged_are_deleted(hub):
    hub.announced = "0" * 64
    done = _get("eupe-t", "--accept-licence")
    assert done.returncode != 0
    assert "damaged" in done.stderr or "consisten" in done.stderr.lower()
    assert not is_present("eupe-t")


def test_no_hub_to_be_reached(monkeypatch):
    settings.save_settings(settings.Settings(accepted_licences=(DINOV3_LICENCE,)))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = _get("dinov3-b")
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "http://127.0.0.1:9/timm/vit_base_patch16_dinov3.lvd1689m" in said
    assert "weights add FILE --as dinov3-b" in said


def test_weights_brought_by_hand(tmp_path):
    save_file(_weights(), tmp_path / "downloaded.safetensors")
    pin = add_weights(tmp_path / "downloaded.safetensors", "eupe-t")
    assert pin.revision == "added by hand"
    assert is_present("eupe-t")
    path, _ = locate_weights("eupe-t")
    assert path.is_file()


def test_weights_that_there_is_no_room_for(tmp_path, home, monkeypatch):
    save_file(_weights(), tmp_path / "w.safetensors")

    def full(_, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(WeightsError, match="No space left on device"):
        add_weights(tmp_path / "w.safetensors", "eupe-t")
    assert not is_present("eupe-t")
    assert list((home / "weights" / "eupe-t").iterdir()) == []


def test_weights_of_another_encoder(tmp_path):
    save_file(_weights(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="dinov3-b"):
        add_weights(tmp_path / "w.safetensors", "dinov3-b")
    assert not is_present("dinov3-b")


def test_weights_that_changed_since_they_were_pinned(tmp_path):
    save_file(_weights(), tmp_path / "w.safetensors")
    add_weights(tmp_path / "w.safetensors", "eupe-t")
    path, _ = locate_weights("eupe-t")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="not the ones recorded"):
        locate_weights("eupe-t")


def test_every_encoder_of_the_catalogue_is_one_timm_can_build():
    timm = import_timm()
    for spec in CATALOG.values():
        if spec.repository:
            assert spec.architecture in timm.list_models()
            tag = spec.repository.partition(".")[2]
            config = timm.get_pretrained_cfg(f"{spec.architecture}.{tag}")
            assert config.hf_hub_id == spec.repository


def test_settings_survive(home):
    settings.save_settings(settings.Settings(offline=True).accepting("x"))
    assert settings.load_settings().offline
    assert settings.load_settings().accepted_licences == ("x",)
    assert json.loads((home / "settings.json").read_text())["offline"]


ODD_PINS = (
    "",
    "[]",
    "null",
    "{}",
    "[" * 50_000,
    '{"file": 1, "sha256": "a", "revision": "b"}',
    '{"file": "../../secret", "sha256": "a", "revision": "b"}',
    '{"file": "/etc/passwd", "sha256": "a", "revision": "b"}',
    '{"file": "a", "sha256": null, "revision": "b"}',
)


@pytest.mark.parametrize("pin", ODD_PINS, ids=lambda text: text[:30])
def test_an_odd_record_of_weights_is_one_error(tmp_path, home, pin):
    """It says what to do; doing that mends it."""
    save_file(_weights(), tmp_path / "w.safetensors")
    add_weights(tmp_path / "w.safetensors", "eupe-t")
    (home / "weights" / "eupe-t" / "pin.json").write_text(pin)
    with pytest.raises(WeightsError, match="Fetch them again"):
        locate_weights("eupe-t")
    assert not is_present("eupe-t")
    add_weights(tmp_path / "w.safetensors", "eupe-t")
    assert is_present("eupe-t")

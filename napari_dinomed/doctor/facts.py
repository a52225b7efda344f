"""Looking at the machine: what the findings are made from."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from napari_dinomed import __version__
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
from napari_dinomed.errors import DinomedError
from napari_dinomed.features.cache import list_entries
from napari_dinomed.features.catalog import CATALOG
from napari_dinomed.features.hardware import TorchBuild, UnusedGpu, gpus_here, unused_gpu
from napari_dinomed.features.weights import read_pin
from napari_dinomed.settings import Settings, cache_folder, data_folder, load_settings

_LIBRARIES = ("napari", "torch", "torchvision", "timm", "numpy", "zarr", "PyQt6", "PySide6")
# A driver that hangs answers never; a cold disk takes torch a minute.
_PATIENCE = 120


def examine() -> list[Finding]:
    """All findings about this machine; none of them names it or its user."""
    torch = _probe("napari_dinomed.doctor.torch_probe")
    memory = psutil.virtual_memory()
    settings, complaints = _settings()
    size = sum(entry.size for entry in list_entries())
    findings = [
        _versions(),
        *on_window(has_display(), _window()),
        *on_torch(torch),
        *on_gpu(_unused(torch)),
        on_memory(memory.total, memory.available),
        *complaints,
        on_data(_folder(data_folder())),
        on_cache(_folder(cache_folder()), size, settings.cache_limit),
        *on_weights(_weights()),
    ]
    names = private_names()
    return [without_names(finding, names) for finding in findings]


def has_display() -> bool:
    """Whether a window could be seen."""
    if platform.system() != "Linux" or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def private_names() -> dict[str, str]:
    """What must not stand in a report, and what stands for it.

    A folder of ours that lies elsewhere than at home goes by its last part.
    """
    homes = [home for home in (Path.home(), Path.home().resolve()) if home.name]
    names = {str(home): "~" for home in homes}
    for place in (data_folder(), cache_folder()):
        is_at_home = any(place.is_relative_to(home) for home in homes)
        if len(place.parts) > 1 and not is_at_home:
            names[str(place)] = f"…/{place.name}"
    names[socket.gethostname()] = "HOST"
    names[socket.gethostname().partition(".")[0]] = "HOST"
    with suppress(OSError, KeyError):
        names[getpass.getuser()] = "USER"
    names[Path.home().name] = "USER"
    return names


def _versions() -> Finding:
    found = [f"napari-dinomed {__version__}", f"Python {platform.python_version()}"]
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Finding("versions", Level.OK, f"{', '.join(found)}; {system}")


def _window() -> Probed:
    if not has_display():
        return Probed({})
    return _probe("napari_dinomed.doctor.window_probe")


def _probe(module: str) -> Probed:
    """Run a probe; whatever happens to it does not happen here."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Probed({}, f"no answer within {_PATIENCE} seconds")
    with suppress(ValueError, IndexError):
        facts = json.loads(done.stdout.splitlines()[-1])
        if isinstance(facts, dict):
            return Probed(facts)
    said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
    # Qt says first what was wrong, Python last.
    return Probed({}, next((line for line in said if "ould not" in line), said[-1]))


def _unused(torch: Probed) -> UnusedGpu | None:
    build = torch.facts.get("build")
    return unused_gpu(gpus_here(), TorchBuild(**build)) if build else None


def _settings() -> tuple[Settings, list[Finding]]:
    try:
        return load_settings(), []
    except DinomedError as error:
        return Settings(), [Finding("settings", Level.FAIL, str(error))]


def _folder(place: Path) -> Folder:
    """Whether a folder can be written; it is made where it is not there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"try")
        return Folder(str(place), "", shutil.disk_usage(place).free)
    except OSError as error:
        return Folder(str(place), error.strerror or str(error), 0)


def _weights() -> dict[str, tuple[str, str]]:
    """Licence and state of each encoder that has weights."""
    states = {}
    for name, spec in CATALOG.items():
        if not spec.repository:
            continue
        try:
            state = "absent" if read_pin(name) is None else "here"
        except DinomedError as error:
            state = str(error)
        states[name] = (spec.licence, state)
    return states

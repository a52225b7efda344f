"""From facts about a machine to findings that a user can act on.

In: facts, as probes bring them. Out: what is well, what is not, and what to do. Nothing
here looks at the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from napari_dinomed.features.hardware import UnusedGpu

_GIB = 1024**3
# What torch, a window and a CT of 512 × 512 × 300 voxels take together.
_LEAST_MEMORY = 4 * _GIB
# Tokens of a few volumes.
_LEAST_DISK = 2 * _GIB
# VisPy, which draws napari's canvas, asks for that.
_LEAST_GL = (2, 1)
_INSTALL = 'pip install "napari-dinomed[all]"'


class Level(StrEnum):
    """How well something is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What is known of one thing.

    Parameters
    ----------
    what
        The thing.
    level
        How well it is.
    says
        What was found.
    remedy
        What to do, where something can be done.
    """

    what: str
    level: Level
    says: str
    remedy: str = ""


@dataclass(frozen=True)
class Probed:
    """What a probe brought, in a process of its own.

    Parameters
    ----------
    facts
        By name; empty where it died.
    error
        How it died; empty where it did not.
    """

    facts: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Folder:
    """A folder that is written to.

    Parameters
    ----------
    place
        Where it is.
    error
        Why nothing can be written there; empty where it can.
    free
        Bytes that are free on its disk.
    """

    place: str
    error: str
    free: int


def on_window(has_display: bool, probed: Probed) -> list[Finding]:
    """Qt and OpenGL.

    Parameters
    ----------
    has_display
        Whether there is a screen; without one nothing was probed.
    probed
        ``qt``, ``python``, and, where there is a context, ``renderer`` and ``gl``.
    """
    if not has_display:
        says = "no display: the window cannot open here; the command line works"
        return [Finding("window", Level.WARN, says, "Set DISPLAY, or use a desktop")]
    if probed.error:
        remedy = (
            f"{_INSTALL}; on Linux, also Qt's system libraries (libxcb-cursor0 and others)"
        )
        return [Finding("window", Level.FAIL, f"Qt cannot begin: {probed.error}", remedy)]
    return [_on_qt(probed.facts), _on_gl(probed.facts)]


def _on_qt(facts: Mapping[str, Any]) -> Finding:
    qt = str(facts["qt"])
    if qt.startswith("PySide6 6.12.0") and str(facts["python"]).startswith("3.11"):
        says = f"{qt}, which ends Python 3.11 in the middle of work"
        return Finding("window", Level.FAIL, says, _INSTALL)
    return Finding("window", Level.OK, qt)


def _on_gl(facts: Mapping[str, Any]) -> Finding:
    version, renderer = str(facts.get("gl", "")), str(facts.get("renderer", ""))
    found = re.match(r"\D*(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < _LEAST_GL:
        says = f"OpenGL {version or 'cannot be had'}: the canvas stays black"
        return Finding(
            "OpenGL", Level.FAIL, says, "Update the graphics driver, or install Mesa"
        )
    says = f"{version}, {renderer}"
    if re.search("llvmpipe|softpipe|swrast|software", renderer, re.IGNORECASE):
        return Finding("OpenGL", Level.OK, f"{says}: drawn by the processor, 3-D is slow")
    return Finding("OpenGL", Level.OK, says)


def on_torch(probed: Probed) -> list[Finding]:
    """The torch build, and where it computes.

    Parameters
    ----------
    probed
        ``torch``, ``device``, ``timm_error``.
    """
    if probed.error:
        remedy = "pip install --force-reinstall torch torchvision timm"
        return [Finding("torch", Level.FAIL, f"it cannot begin: {probed.error}", remedy)]
    facts = probed.facts
    found = [Finding("torch", Level.OK, f"{facts['torch']}, computes on {facts['device']}")]
    if facts["timm_error"]:
        said = Finding("encoders", Level.FAIL, str(facts["timm_error"]))
        return [*found, said]
    return found


def on_gpu(unused: UnusedGpu | None) -> list[Finding]:
    """A GPU that is there and not used; nothing where there is none."""
    if unused is None:
        return []
    level = Level.WARN if unused.is_a_loss else Level.OK
    says = f"{unused.maker}, not used: {unused.why}"
    return [Finding("GPU", level, says, unused.remedy if unused.is_a_loss else "")]


def on_memory(total: int, available: int) -> Finding:
    """Memory of this machine, in bytes."""
    says = f"{available / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if available >= _LEAST_MEMORY:
        return Finding("memory", Level.OK, says)
    remedy = "Close other programs, or open parts of large volumes"
    return Finding("memory", Level.WARN, says, remedy)


def on_cache(folder: Folder, size: int, limit: int) -> Finding:
    """The folder of computed features: ``size`` of at most ``limit`` bytes are taken."""
    says = f"{size / 1e9:.2f} of {limit / 1e9:g} GB in {folder.place}"
    if folder.error:
        says = f"{folder.place} cannot be written: {folder.error}; features are not kept"
        return Finding(
            "cache", Level.WARN, says, "Set NAPARI_DINOMED_HOME to another folder"
        )
    return _with_room(Finding("cache", Level.OK, says), folder.free)


def on_data(folder: Folder) -> Finding:
    """The folder of documents, settings and weights."""
    if folder.error:
        says = f"{folder.place} cannot be written: {folder.error}; no work is kept"
        return Finding(
            "data", Level.FAIL, says, "Set NAPARI_DINOMED_HOME to another folder"
        )
    return _with_room(Finding("data", Level.OK, folder.place), folder.free)


def _with_room(finding: Finding, free: int) -> Finding:
    said = replace(finding, says=f"{finding.says}, {free / _GIB:.1f} GiB free on its disk")
    if free >= _LEAST_DISK:
        return said
    remedy = "Free some space, or set NAPARI_DINOMED_HOME to a larger disk"
    return replace(said, level=Level.WARN, remedy=remedy)


def on_weights(states: Mapping[str, tuple[str, str]]) -> list[Finding]:
    """Which encoders can be used.

    Parameters
    ----------
    states
        By the encoder's name: its licence, and ``"here"``, ``"absent"``, or what is wrong.
    """
    found = [
        Finding("weights", Level.OK, f"{name} here ({licence})")
        for name, (licence, state) in states.items()
        if state == "here"
    ]
    found += [
        Finding("weights", Level.WARN, state)
        for _, state in states.values()
        if state not in ("here", "absent")
    ]
    absent: dict[str, list[str]] = {}
    for name, (licence, state) in states.items():
        if state == "absent":
            absent.setdefault(licence, []).append(name)
    for licence, names in absent.items():
        says = f"absent: {', '.join(names)} ({licence})"
        remedy = "If wanted: napari-dinomed weights get NAME"
        found.append(Finding("weights", Level.OK, says, remedy))
    return found


def without_names(finding: Finding, names: Mapping[str, str]) -> Finding:
    """A finding in which nothing tells whose machine it is.

    Parameters
    ----------
    finding
        The finding.
    names
        What stands for each private word: the home folder's path, the user's name, the
        machine's name. Longer words go first.
    """

    def hidden(text: str) -> str:
        for word in sorted(names, key=len, reverse=True):
            if word:
                text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", names[word], text)
        return text

    return replace(finding, says=hidden(finding.says), remedy=hidden(finding.remedy))

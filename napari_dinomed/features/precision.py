"""The precision that a model computes in here: tried once, and the same in every process.

A trial is decided by a few milliseconds, and two processes could decide otherwise; but what
one of them has begun, another may go on with, to the same bytes.
"""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from napari_dinomed.features.device import fastest_precision
from napari_dinomed.settings import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAMES = {"full": None, "bfloat16": torch.bfloat16}


def settled_precision(
    device: torch.device, model: str, describe: Callable[[], torch.Tensor]
) -> torch.dtype | None:
    """The fastest precision on a device, as it was settled first on this machine.

    Parameters
    ----------
    device, describe
        As for `fastest_precision`.
    model
        What computes: another model is tried by itself.
    """
    if device.type != "cpu":
        return fastest_precision(device, describe)
    note = _note(model)
    known = _read(note)
    if known is not None:
        return _NAMES[known]
    found = fastest_precision(device, describe)
    name = next(name for name, precision in _NAMES.items() if precision == found)
    # Where nothing can be kept, or another process was first, which then holds.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open("x", encoding="utf-8") as file:
            file.write(name)
    return _NAMES[_read(note) or name]


def _note(model: str) -> Path:
    """Where the choice for a model on this machine, by this torch, is kept."""
    what = f"{platform.node()} {platform.machine()} {torch.__version__} {model}"
    digest = hashlib.blake2b(what.encode(), digest_size=12).hexdigest()
    return cache_folder() / "precision" / digest


def _read(note: Path) -> str | None:
    """What was settled; None where nothing was, or it makes no sense."""
    with suppress(OSError, ValueError):
        name = note.read_text(encoding="utf-8")
        return name if name in _NAMES else None
    return None

"""Where encoders compute: the best device there is, or the one asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from napari_dinomed.errors import EngineError

_BEST_FIRST = ("cuda", "mps", "xpu", "cpu")


def _available(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    if kind == "xpu":
        return torch.xpu.is_available()
    return kind == "cpu"


def choose_device(wanted: str = "auto") -> torch.device:
    """The device called ``wanted``, or the best one for ``"auto"``.

    Raises
    ------
    EngineError
        Where this machine has no such device.
    """
    present = [kind for kind in _BEST_FIRST if _available(kind)]
    if wanted == "auto":
        return torch.device(present[0])
    if wanted not in present:
        raise EngineError(
            f"Expected a device out of {', '.join(present)} on this machine; got "
            f"{wanted!r}."
        )
    return torch.device(wanted)


def describe_device(device: torch.device) -> str:
    """The device in words for the user."""
    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    if device.type == "xpu":
        return f"GPU ({torch.xpu.get_device_name(device)})"
    if device.type == "mps":
        return "GPU (Apple)"
    return f"CPU ({torch.get_num_threads()} threads)"


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Half precision on GPUs whose matrix units gain from it; full precision elsewhere."""
    if device.type == "cuda":
        half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return torch.autocast("cuda", dtype=half)
    if device.type == "xpu":
        return torch.autocast("xpu", dtype=torch.bfloat16)
    return nullcontext()

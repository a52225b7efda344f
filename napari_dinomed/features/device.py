"""Where encoders compute: the best device there is, or the one asked for."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar

import torch
from torch.nn import functional

from napari_dinomed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")

_BEST_FIRST = ("cuda", "mps", "xpu", "cpu")
# Tokens computed in half precision must point where those in full precision do: what is
# read off them differs far more from click to click.
_LEAST_ALIKE = 0.999
# The first one warms up; the least of them is the time.
_TRIALS = 3
CPU = torch.device("cpu")
# What allocators say that raise a bare RuntimeError: the CPU's, and Apple's.
_FULL = ("can't allocate memory", "not enough memory", "out of memory")


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


def gpus() -> tuple[str, ...]:
    """NVIDIA's GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them."""
    if not torch.cuda.is_available():
        return ()
    count = torch.cuda.device_count()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(count)) if chosen is None else chosen.split(",")
    return tuple(name.strip() for name in names)[:count]


def answering_device(encoding: torch.device) -> torch.device:
    """Where clicks are answered and readouts learn, from where slices are encoded.

    On CUDA alone beside the CPU: not all that answers need is there on Apple's GPUs and
    Intel's, and nobody has run it.
    """
    return encoding if encoding.type == "cuda" else CPU


def describe_device(device: torch.device) -> str:
    """The device in words for the user."""
    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    if device.type == "xpu":
        return f"GPU ({torch.xpu.get_device_name(device)})"
    if device.type == "mps":
        return "GPU (Apple)"
    count = torch.get_num_threads()
    return f"CPU ({count} thread{'s' * (count > 1)})"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or this machine, has no room left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _FULL)


def placed(
    model: torch.nn.Module, device: torch.device, say: Callable[[str], None]
) -> tuple[torch.nn.Module, torch.device]:
    """A model on a device, or on the CPU where there is no room for it; and where it is.

    Parameters
    ----------
    model, device
        The model, and where it should be.
    say
        Told where it is not there.
    """
    try:
        return model.to(device), device
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    say(f"{describe_device(device)} has no room for the encoder: going on with the CPU.")
    return model.to(CPU), CPU


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was told to: GPUs answer before they have."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def half_precision(device: torch.device) -> torch.dtype | None:
    """The half precision that a device may gain from; None where there is none."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if device.type in ("xpu", "cpu") else None


def computing_in(
    device: torch.device, precision: torch.dtype | None
) -> AbstractContextManager[None]:
    """Where matrices are multiplied in half precision, or in full if that is None."""
    if precision is None:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision)


def fastest_precision(
    device: torch.device, describe: Callable[[], torch.Tensor]
) -> torch.dtype | None:
    """Half precision if it is faster here and describes the same; None for full precision.

    Parameters
    ----------
    device
        Where it is computed.
    describe
        Computes tokens (n, channels) of something typical.
    """
    half = half_precision(device)
    if half is None or device.type != "cpu":
        return half
    exact, full_time = timed(describe, device)
    with computing_in(device, half):
        rounded, half_time = timed(describe, device)
    alike = functional.cosine_similarity(exact.float(), rounded.float(), dim=1).mean()
    return half if half_time < full_time and alike >= _LEAST_ALIKE else None


def timed(act: Callable[[], Made], device: torch.device) -> tuple[Made, float]:
    """What is made on a device, and the least time in seconds of a few trials."""
    seconds = []
    for _ in range(_TRIALS):
        begun = time.perf_counter()
        made = act()
        wait_for(device)
        seconds.append(time.perf_counter() - begun)
    return made, min(seconds)

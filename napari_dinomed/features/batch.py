"""How many slices are encoded at once here: tried once for a model, and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.features.device import describe_device, is_out_of_memory, timed
from napari_dinomed.features.remembered import remembered

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

# A processor takes the same for a slice whatever their number, within a twentieth (1 to 8,
# two cores). On a GPU with room for more than 32, small models have nothing left to gain.
MOST = {"cuda": 32, "xpu": 32, "mps": 32, "cpu": 2}
# A batch that is twice as large must take so much less for a slice: it takes more memory.
_WORTH = 0.05
_SIZES = {str(1 << power): 1 << power for power in range(6)}


def settled_batch(device: torch.device, model: str, encode: Callable[[int], object]) -> int:
    """The batch that suits a model on a device, as it was settled first on this machine.

    Parameters
    ----------
    device
        Where it is encoded. Nothing is tried on a processor.
    model
        What encodes, and how large its images are.
    encode
        Encodes so many images at once.
    """
    most: int = MOST[device.type]
    if device.type == "cpu":
        return most
    subject = f"{describe_device(device)} {model}"

    def seconds(size: int) -> float:
        return timed(lambda: encode(size), device)[1]

    return remembered("batch", subject, _SIZES, lambda: best_batch(seconds, most))


def best_batch(seconds: Callable[[int], float], most: int) -> int:
    """The smallest batch that a larger one is hardly faster than, for a slice.

    Parameters
    ----------
    seconds
        What so many slices at once take; out of memory where they do not fit.
    most
        Slices at most.
    """
    best, least = 1, float("inf")
    for size in _SIZES.values():
        if size > most:
            break
        try:
            taken = seconds(size) / size
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            break
        if taken > least * (1 - _WORTH):
            break
        best, least = size, taken
    return best

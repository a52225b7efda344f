"""The precision that a model computes in here: tried once, and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_dinomed.features.device import fastest_precision
from napari_dinomed.features.remembered import remembered

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def find() -> torch.dtype | None:
        return fastest_precision(device, describe)

    if device.type != "cpu":
        return find()
    return remembered("precision", model, _NAMES, find)

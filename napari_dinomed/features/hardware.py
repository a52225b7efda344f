"""GPUs that are in this machine, and why torch does not use them."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dinomed.features.encoder import Notice

_PCI = Path("/sys/bus/pci/devices")
# Class codes of graphics and 3-D controllers begin so.
_GRAPHICS = "0x03"
_MAKERS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_OTHER_TORCH = (
    "Install another torch and torchvision: https://pytorch.org/get-started/locally"
)


@dataclass(frozen=True)
class TorchBuild:
    """What torch was built for, and what it finds.

    Parameters
    ----------
    device
        The kind of device that it computes on: ``"cuda"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    cuda, hip
        Versions of NVIDIA's and AMD's libraries that it was built with; empty without.
    is_for_mps, is_for_xpu
        Whether it was built for Apple's and Intel's GPUs.
    complaint
        What it says when asked to use a GPU that it was built for; empty where it does.
    """

    device: str
    cuda: str = ""
    hip: str = ""
    is_for_mps: bool = False
    is_for_xpu: bool = False
    complaint: str = ""


@dataclass(frozen=True)
class UnusedGpu:
    """A GPU that is there, and does not help.

    Parameters
    ----------
    maker
        Who made it.
    why, remedy
        In words for the user.
    """

    maker: str
    why: str
    remedy: str

    @property
    def is_a_loss(self) -> bool:
        """Whether using it would help much: graphics inside a processor hardly do."""
        return self.maker != "Intel"

    def __str__(self) -> str:
        return (
            f"The {self.maker} GPU of this machine is not used: {self.why}. {self.remedy}."
        )


def gpus_here(pci: Path = _PCI) -> tuple[str, ...]:
    """Makers of the GPUs in this machine, whether or not a driver is there for them."""
    found = {_maker_of(device) for device in _devices(pci)}
    if shutil.which("nvidia-smi"):
        found.add("NVIDIA")
    if platform.system() == "Darwin" and "ARM64" in platform.version():
        found.add("Apple")
    return tuple(sorted(found - {""}))


def torch_build() -> TorchBuild:
    """What the installed torch can do here."""
    import torch

    from napari_dinomed.features.device import choose_device

    device = choose_device().type
    return TorchBuild(
        device,
        torch.version.cuda or "",
        torch.version.hip or "",
        torch.backends.mps.is_built(),
        hasattr(torch, "xpu") and torch.xpu._is_compiled(),
        _complaint(torch.version.cuda or torch.version.hip) if device == "cpu" else "",
    )


def unused_gpu(gpus: tuple[str, ...], build: TorchBuild) -> UnusedGpu | None:
    """The GPU that would help most and does not; None where one is used, or none is there.

    Parameters
    ----------
    gpus
        As of `gpus_here`.
    build
        What torch can do.
    """
    if build.device != "cpu":
        return None
    for maker, is_built in (
        ("NVIDIA", bool(build.cuda)),
        ("AMD", bool(build.hip)),
        ("Apple", build.is_for_mps),
        ("Intel", build.is_for_xpu),
    ):
        if maker in gpus:
            return _unused(maker, is_built, build.complaint)
    return None


def tell_of_unused_gpu(notice: Notice) -> None:
    """Say that a GPU which would help is idle, and why, where that is so."""
    unused = unused_gpu(gpus_here(), torch_build())
    if unused is not None and unused.is_a_loss:
        notice(str(unused))


def _unused(maker: str, is_built: bool, complaint: str) -> UnusedGpu:
    if not is_built:
        return UnusedGpu(maker, "this torch is not built for it", _OTHER_TORCH)
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if maker == "NVIDIA" and hidden is not None and hidden.strip() in ("", "-1"):
        why = f"CUDA_VISIBLE_DEVICES={hidden} hides it"
        return UnusedGpu(maker, why, "Unset that variable")
    why = complaint or "torch finds none that it can use"
    return UnusedGpu(maker, why, "Update the GPU's driver or the system, then ask again")


def _complaint(built_for: str | None) -> str:
    """What torch says when made to use the GPU that it was built for."""
    if not built_for:
        return ""
    import torch

    try:
        torch.zeros(1, device="cuda")
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0].rstrip(".")
    return ""


def _devices(pci: Path) -> list[Path]:
    try:
        return list(pci.iterdir())
    except OSError:
        return []


def _maker_of(device: Path) -> str:
    """Who made a graphics device; empty for other devices and makers."""
    try:
        kind = (device / "class").read_text(encoding="ascii").strip()
        vendor = (device / "vendor").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return _MAKERS.get(vendor, "") if kind.startswith(_GRAPHICS) else ""

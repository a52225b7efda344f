"""The network that weighs cues: a small U-Net, the same for every volume and encoder.

In: cues (cues, z, y, x) of any shape. Out: a logit for each cell. Its kernels are the same
seen in a mirror, so that a mirrored volume has the mirrored answer. It was taught once, by
``resources/teach.py``; its weights are a part of the package.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from napari_dinomed.features.device import CPU, computing_in
from napari_dinomed.features.precision import settled_precision
from napari_dinomed.segment.one_object import cues

# Cells along a side of the noise on which precisions are tried.
_TRIED = 24

# Channels at each level of resolution, halved from one to the next.
WIDTHS = (16, 32, 48, 48)
# On fewer cells half precision gains nothing, and gradients of oneDNN's are not reliable.
_FEW = 2000


class MirrorConv(nn.Module):
    """A 3×3×3 convolution whose kernel is symmetric along each axis: 8 weights, not 27."""

    mirror: torch.Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 2, 2, 2))
        self.bias = nn.Parameter(torch.zeros(outputs))
        # He et al. (2015), of all 27 places.
        nn.init.normal_(self.weight, std=(2 / (27 * inputs)) ** 0.5)
        # Which of the 8 weights each of the 27 places has; the first is the middle's.
        along = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
        mirror = torch.kron(along, torch.kron(along, along))
        self.register_buffer("mirror", mirror, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, inputs, z, y, x) to (1, outputs, z, y, x)."""
        kernel = (self.weight.flatten(2) @ self.mirror).view(
            *self.weight.shape[:2], 3, 3, 3
        )
        return functional.conv3d(x, kernel, self.bias, padding=1)


class _Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = MirrorConv(inputs, outputs)
        self.second = MirrorConv(outputs, outputs)
        self.around = nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, inputs, z, y, x) to (1, outputs, z, y, x)."""
        if x.shape[2:].numel() < _FEW:
            with torch.autocast(x.device.type, enabled=False):
                return self._mixed(x.float())
        return self._mixed(x)

    def _mixed(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.leaky_relu(self.first(x), 0.1)
        return functional.leaky_relu(self.around(x) + self.second(inner), 0.1)


class CueNet(nn.Module):
    """Cues to logits: a U-Net (Ronneberger et al. 2015) that adds where others join."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (len(cues.NAMES), *WIDTHS)
        self.down = nn.ModuleList(
            _Block(before, width) for before, width in zip(inputs, WIDTHS, strict=False)
        )
        self.up = nn.ModuleList(
            _Block(below, width) for below, width in zip(WIDTHS[1:], WIDTHS, strict=False)
        )
        self.joined = nn.ModuleList(nn.Conv3d(width, width, 1) for width in WIDTHS[:-1])
        self.last = nn.Conv3d(WIDTHS[0], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (z, y, x) of cues (cues, z, y, x)."""
        x = x[None]
        passed: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                z, y, w = ((length + 1) // 2 for length in x.shape[2:])
                x = functional.adaptive_avg_pool3d(x, (z, y, w))
            x = block(x)
            passed.append(x)
        for level in reversed(range(len(self.up))):
            skipped = passed[level]
            x = functional.interpolate(
                self.up[level](x), skipped.shape[2:], mode="trilinear"
            )
            x = x + self.joined[level](skipped)
        logits: torch.Tensor = self.last(x)
        return logits[0, 0]


def load_network() -> CueNet:
    """The network with the weights that are a part of the package."""
    network = CueNet()
    with as_file(files(__package__) / "network.safetensors") as path:
        weights = load_file(path)
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval()


class Weigher:
    """A network in the fastest precision of this machine that says the same.

    Parameters
    ----------
    network
        The network.
    device
        Where it computes.
    """

    @torch.inference_mode()
    def __init__(self, network: CueNet, device: torch.device = CPU) -> None:
        self._network = network = network.to(device)
        self._device = device
        shape = (len(cues.NAMES), _TRIED, _TRIED, _TRIED)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        self._precision = settled_precision(
            device, __name__, lambda: network(noise).view(1, -1)
        )

    @torch.inference_mode()
    def __call__(self, weighed: torch.Tensor) -> torch.Tensor:
        """Probability (z, y, x) of cues (cues, z, y, x)."""
        with computing_in(self._device, self._precision):
            logits = self._network(weighed)
        return torch.sigmoid(logits.float())


@cache
def taught_weigher(device: torch.device = CPU) -> Weigher:
    """The network of the package, read and tried once in a process and on a device."""
    return Weigher(load_network(), device)

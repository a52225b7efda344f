"""Low-rank adapters of a transformer's linear layers (Hu et al., arXiv 2106.09685).

A layer W becomes W + B A, with A and B thin; only these are taught. Own modules and not
``peft``: that would bring transformers, accelerate and their models for what are thirty
lines here, and timm's blocks need no more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from napari_dinomed.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class LowRank(nn.Module):
    """A linear layer with an adapter; until it is taught it does what the layer did.

    Parameters
    ----------
    layer
        The layer, which stays as it is.
    rank
        How thin the adapter is.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer
        device = layer.weight.device
        self.down = nn.Parameter(torch.empty(rank, layer.in_features, device=device))
        self.up = nn.Parameter(torch.empty(layer.out_features, rank, device=device))

    def begin(self, random: torch.Generator) -> None:
        """Forget what was taught: A at random, B zero."""
        drawn = torch.randn(self.down.shape, generator=random)
        with torch.no_grad():
            self.down.copy_(drawn / math.sqrt(self.layer.in_features))
            self.up.zero_()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values (..., inputs) to (..., outputs)."""
        extra = functional.linear(functional.linear(values, self.down), self.up)
        changed: torch.Tensor = self.layer(values) + extra
        return changed


def insert(model: Any, rank: int, blocks: Iterable[int]) -> dict[str, LowRank]:
    """Give some of a transformer's blocks adapters, in attention and MLP; by their names.

    Raises
    ------
    WeightsError
        Where the model has no blocks to adapt.
    """
    require_blocks(model)
    adapters = {}
    for number in blocks:
        block = model.blocks[number]
        # With biases of their own timm reads the weights past the layer; this asks for it.
        if hasattr(block.attn, "qkv_bias_separate"):
            block.attn.qkv_bias_separate = True
        for name, layer in list(_linear_layers(block)):
            adapter = LowRank(layer, rank)
            parent, _, last = name.rpartition(".")
            setattr(block.get_submodule(parent), last, adapter)
            adapters[f"blocks.{number}.{name}"] = adapter
    return adapters


def fold(model: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    """Add taught adapters to a model's own weights, so that they cost nothing in use.

    Raises
    ------
    WeightsError
        Where they do not fit the model.
    """
    require_blocks(model)
    for name in {key.rpartition(".")[0] for key in tensors}:
        try:
            weight = model.get_submodule(name).weight
            change = tensors[f"{name}.up"].float() @ tensors[f"{name}.down"].float()
            with torch.no_grad():
                weight += change.to(weight)
        except (AttributeError, KeyError, RuntimeError) as error:
            raise WeightsError(
                f"The adapter does not fit the encoder: {name} is another one there."
            ) from error


def require_blocks(model: Any) -> None:
    """Raise `WeightsError` where a model is no transformer."""
    if not hasattr(model, "blocks"):
        raise WeightsError(
            "Expected a vision transformer to adapt, got an encoder without blocks."
        )


def _linear_layers(block: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, layer in block.named_modules():
        if isinstance(layer, nn.Linear) and name.startswith(("attn.", "mlp.")):
            yield name, layer

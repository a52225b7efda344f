"""From a coarse probability to an object with edges: the 3-D random walker with prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class WalkerOptions:
    """How the walker weighs grey values, the prior and the seeds.

    Parameters
    ----------
    contrast
        How strongly an edge in the grey values stops the walker (β).
    prior
        How strongly the head's probability pulls (γ).
    iterations
        Most steps of the conjugate gradient.
    tolerance
        Stop when the residual has shrunk by this factor.
    """

    contrast: float = 1.0
    prior: float = 0.05
    iterations: int = 100
    tolerance: float = 1e-3


def random_walker(
    prior: torch.Tensor,
    grey: torch.Tensor,
    seeds: torch.Tensor,
    spacing: tuple[float, float, float],
    options: WalkerOptions | None = None,
) -> torch.Tensor:
    """Probability that a walker from each voxel first meets an included seed.

    Solves (L + γ) x = γ p with seeds held at their values, L the Laplacian of the
    6-connected grid with edge weights exp(−β ΔI² / σ²) / distance² (Grady 2005 and 2006),
    by conjugate gradient with a diagonal preconditioner.

    Parameters
    ----------
    prior
        The head's probability, (z, y, x).
    grey
        Grey values, (z, y, x), any linear scale.
    seeds
        (z, y, x): 1 where included, 0 where excluded, −1 elsewhere.
    spacing
        Voxel size along (z, y, x).
    options
        Weights of the method.

    Returns
    -------
    torch.Tensor
        (z, y, x), from 0 to 1.
    """
    options = options or WalkerOptions()
    weights = _edge_weights(grey, spacing, options.contrast)
    free = (seeds < 0).to(prior.dtype)
    clamped = torch.where(seeds < 0, 0.0, seeds.to(prior.dtype))
    right = (options.prior * prior - _laplacian(clamped, weights)) * free
    degree = options.prior + _degree(weights, prior.shape)
    start = prior * free

    def system(x: torch.Tensor) -> torch.Tensor:
        return (_laplacian(x, weights) + options.prior * x) * free

    solution = _conjugate_gradient(system, right, start, 1 / degree, options)
    return (solution + clamped).clamp_(0, 1)


def _edge_weights(
    grey: torch.Tensor, spacing: tuple[float, float, float], contrast: float
) -> list[torch.Tensor]:
    """Weights of the edges along z, y and x; the finest axis has unit distance."""
    steps = [torch.diff(grey, dim=axis) ** 2 for axis in range(3)]
    count = sum(step.numel() for step in steps)
    noise = sum(float(step.sum()) for step in steps) / max(1, count) + 1e-12
    finest = min(spacing)
    return [
        torch.exp(-contrast * step / noise) * (finest / length) ** 2 + 1e-6
        for step, length in zip(steps, spacing, strict=True)
    ]


def _laplacian(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    total = torch.zeros_like(x)
    for axis, weight in enumerate(weights):
        length = x.shape[axis]
        flow = weight * torch.diff(x, dim=axis)
        total.narrow(axis, 0, length - 1).sub_(flow)
        total.narrow(axis, 1, length - 1).add_(flow)
    return total


def _degree(weights: list[torch.Tensor], shape: torch.Size) -> torch.Tensor:
    total = torch.zeros(shape, dtype=weights[0].dtype, device=weights[0].device)
    for axis, weight in enumerate(weights):
        length = shape[axis]
        total.narrow(axis, 0, length - 1).add_(weight)
        total.narrow(axis, 1, length - 1).add_(weight)
    return total


def _conjugate_gradient(
    system: Callable[[torch.Tensor], torch.Tensor],
    right: torch.Tensor,
    x: torch.Tensor,
    preconditioner: torch.Tensor,
    options: WalkerOptions,
) -> torch.Tensor:
    x = x.clone()
    residual = right - system(x)
    z = preconditioner * residual
    direction = z.clone()
    energy = torch.sum(residual * z)
    target = options.tolerance**2 * float(torch.sum(right * preconditioner * right))
    for _ in range(options.iterations):
        if float(energy) <= target:
            break
        image = system(direction)
        step = energy / torch.sum(direction * image)
        x.add_(step * direction)
        residual.sub_(step * image)
        z = preconditioner * residual
        previous, energy = energy, torch.sum(residual * z)
        direction = z + (energy / previous) * direction
    return x

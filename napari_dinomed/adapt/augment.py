"""How crops vary from lesson to lesson: brighter, darker, flatter, blurred.

Sections differ in stain, scanners in contrast and sharpness; what is learnt must not hang
on them.
"""

from __future__ import annotations

import torch
from torch.nn import functional

# How far contrast, brightness and the exponent of grey values go, and the widest blur in
# pixels: what sections of one stack differ by, not more.
_CONTRAST, _BRIGHTNESS, _GAMMA, _BLUR = 0.2, 0.1, 0.3, 1.0


def augmented(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Images (n, colours, rows, columns) in [0, 1], each changed in its own way."""
    # Drawn where every device draws the same.
    drawn = torch.rand((4, len(images), 1, 1, 1), generator=random)
    contrast, brightness, gamma, _ = drawn.to(images.device)
    grey = (images - 0.5) * (1 + _CONTRAST * (2 * contrast - 1)) + 0.5
    grey = (grey + _BRIGHTNESS * (2 * brightness - 1)).clamp(0, 1)
    grey = grey ** torch.exp(_GAMMA * (2 * gamma - 1))
    return torch.stack(
        [
            _blurred(one, _BLUR * float(width))
            for one, width in zip(grey, drawn[3], strict=True)
        ]
    )


def _blurred(image: torch.Tensor, width: float) -> torch.Tensor:
    """An image (colours, rows, columns) under a Gaussian of so many pixels."""
    if width < 0.3:  # a narrower one changes nothing
        return image
    places = torch.arange(-3.0, 4.0, device=image.device)
    kernel = torch.exp(-(places**2) / (2 * width**2))
    kernel = (kernel / kernel.sum())[None, None]
    padded = functional.pad(image[:, None], (3, 3, 3, 3), mode="replicate")
    along = functional.conv2d(padded, kernel[:, :, None])
    return functional.conv2d(along, kernel[:, :, :, None])[:, 0]

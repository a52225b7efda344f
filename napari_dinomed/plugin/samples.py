"""Made-up volumes for File → Open Sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dinomed.plugin.layers import image_options
from napari_dinomed.volume import phantom

if TYPE_CHECKING:
    from napari_dinomed.volume import Volume

    LayerData = tuple[Any, dict[str, Any], str]


def ct_sample() -> list[LayerData]:
    """A CT-like abdomen in HU."""
    return [_layer(phantom.ct_abdomen()[0], "CT phantom")]


def em_sample() -> list[LayerData]:
    """An EM-like stack with mitochondria."""
    return [_layer(phantom.em_stack()[0], "EM phantom")]


def _layer(volume: Volume, name: str) -> LayerData:
    return (volume.array, image_options(volume, name), "image")

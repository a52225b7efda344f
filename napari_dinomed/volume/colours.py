"""Pictures in colour: what an encoder sees of them, and the grey that all else works on.

An encoder was trained on red, green and blue and is shown them. Filters, thresholds, cuts
along edges, the random walk and figures take one number a voxel, the luminance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import VolumeError
from napari_dinomed.volume.volume import sample

if TYPE_CHECKING:
    from napari_dinomed.volume.volume import Volume

# Red, green, blue; a fourth would be how opaque a pixel is, which is no colour.
COLOURS = 3
# Luma of ITU-R BT.601, as image libraries make grey.
_LUMA = (0.299, 0.587, 0.114)
# Red, green, blue: shares of an optical density.
Stain = tuple[float, float, float]
# Of what is not stained at all.
_NEUTRAL = (1 / 3, 1 / 3, 1 / 3)
# Densities are counted up to that of a pixel so bright, and pixels of which all three
# together are more: glass has less.
_DARKEST, _STAINED = 1 / 255, 0.3


def without_opacity(array: Any, name: str) -> Any:
    """The colours (…, 3) of an array (…, 3) or (…, 4).

    Raises
    ------
    VolumeError
        Where there are fewer or more, or they are no whole or real numbers.
    """
    if array.shape[-1] not in (COLOURS, COLOURS + 1) or array.dtype.kind not in "uif":
        raise VolumeError(
            f"Expected red, green and blue in {name}, got {array.shape[-1]} values of "
            f"{array.dtype} for each voxel. Pick one of its channels, or convert it."
        )
    return array[..., :COLOURS]


def luminance(colours: Any) -> Any:
    """Grey values (z, y, x) of colours (z, y, x, 3), of the same type; lazy if they are."""
    red, green, blue = (
        colours[..., channel].astype(np.float32) * weight
        for channel, weight in enumerate(_LUMA)
    )
    grey = red + green + blue
    if colours.dtype.kind in "ui":
        grey = grey.round()
    return grey.astype(colours.dtype)


def with_colours(volume: Volume, colours: Any) -> Volume:
    """A volume of the luminance of some colours (z, y, x, 3), that has these."""
    return replace(volume, colours=colours, modality="other")


def brightest(volume: Volume) -> float:
    """The value that is white: what a pixel's type can hold, or as many bits as it uses."""
    kind = volume.array.dtype
    if kind == np.uint8:
        return 255.0
    values = volume.array if volume.colours is None else volume.colours
    highest = float(np.nanmax(sample(values), initial=0))
    if kind.kind == "f" and highest <= 1:
        return 1.0
    return float(2 ** np.ceil(np.log2(max(highest, 1) + 1)) - 1)


def stain_of(volume: Volume) -> Stain | None:
    """Shares of red, green and blue in what a picture in colour absorbs; None of grey.

    A stain is known by these (Ruifrok & Johnston 2001), however thick it is; pixels that
    are hardly stained do not count.
    """
    if volume.colours is None:
        return None
    white = brightest(volume)
    values = [sample(np.moveaxis(volume.colours, -1, 0)[n]) for n in range(COLOURS)]
    bright = np.stack(values, axis=1).astype(np.float64) / white
    density = -np.log(bright.clip(_DARKEST, 1.0))
    stained = density[density.sum(1) > _STAINED]
    if not len(stained):
        return _NEUTRAL
    red, green, blue = stained.sum(0) / stained.sum()
    return float(red), float(green), float(blue)

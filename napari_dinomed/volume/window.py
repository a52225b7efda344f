"""Grey-value windows: which intensities are shown, and fed to an encoder, as [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import VolumeError
from napari_dinomed.volume.colours import brightest
from napari_dinomed.volume.volume import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.volume.volume import Volume


# Single precision counts no further: grey values beyond are scaled in their own.
_MOST_SINGLE = float(np.finfo(np.float32).max) / 4


@dataclass(frozen=True)
class Window:
    """Intensities from ``low`` to ``high`` map linearly to [0, 1]."""

    low: float
    high: float
    name: str = "custom"

    @classmethod
    def from_level(cls, width: float, level: float, name: str = "custom") -> Window:
        """The radiologist's width and level."""
        return cls(level - width / 2, level + width / 2, name)

    def apply(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Clip and scale to [0, 1]; not-a-number counts as ``low``. Shape is kept."""
        low, high, most = self.low, self.high, max(abs(self.low), abs(self.high))
        if most > _MOST_SINGLE:
            array, low, high = np.clip(array, low, high) / most, low / most, high / most
        # In place, since this is done to all voxels around an object at each click.
        with np.errstate(over="ignore"):
            scaled: NDArray[np.float32] = array.astype(np.float32)
        np.clip(scaled, low, high, out=scaled)
        scaled -= low
        scaled /= high - low
        if not np.issubdtype(array.dtype, np.integer):
            np.nan_to_num(scaled, copy=False, nan=0.0)
        return scaled


CT_PRESETS: dict[str, Window] = {
    name: Window.from_level(width, level, name)
    for name, (width, level) in {
        "abdomen": (400, 40),
        "lung": (1500, -600),
        "bone": (1800, 400),
        "brain": (80, 40),
        "mediastinum": (350, 50),
        "liver": (150, 30),
    }.items()
}


# Standardised uptake values: organs, most lesions, the hottest ones.
PET_PRESETS: dict[str, Window] = {
    f"suv{high}": Window(0.0, float(high), f"suv{high}") for high in (5, 10, 20)
}
# All that can be asked for by name, with what a list shows.
PRESETS: dict[str, Window] = CT_PRESETS | PET_PRESETS
WINDOW_NAMES = (*PRESETS, "auto", "file")
PRESET_TITLES: dict[str, str] = {name: f"CT {name}" for name in CT_PRESETS} | {
    name: f"PET, SUV 0 to {window.high:.0f}" for name, window in PET_PRESETS.items()
}


def robust_window(array: Any) -> Window:
    """The 0.5 to 99.5 percentile of what is not padding or not-a-number.

    A lowest value held by more than a tenth of the voxels is taken for padding: air
    around a head would otherwise use up the window. Where all else has one value, as in a
    mask, both are in the window. Without any number it is from 0 to 1.
    """
    values = sample(array)
    values = values[np.isfinite(values)]
    if not len(values):
        return Window(0.0, 1.0, "auto")
    inside = values[values > values.min()]
    if 0 < len(inside) < 0.9 * len(values) and inside.min() < inside.max():
        values = inside
    low, high = np.percentile(values, (0.5, 99.5))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return Window(float(low), float(high) if high > low else float(low) + 1.0, "auto")


def choose_window(
    volume: Volume, name: str | None = None, only: Window | None = None
) -> Window:
    """The window called ``name``; else the file's own, else CT abdomen, else percentiles.

    Of a picture in colour all that its pixels can hold, as encoders were trained: a stain
    is as dark as it is.

    Parameters
    ----------
    volume
        The volume to be shown or encoded.
    name
        A preset of CT or PET, ``"auto"`` for percentiles, ``"file"`` for the file's own, or
        None.
    only
        The only one that an encoder was trained for, which goes before all; None where any
        will do.

    Raises
    ------
    VolumeError
        Where no window is called so.
    """
    if name is not None and name not in WINDOW_NAMES:
        raise VolumeError(
            f"Expected a window out of {', '.join(WINDOW_NAMES)}; got {name!r}."
        )
    if only is not None:
        return only
    if name in PRESETS:
        return PRESETS[name]
    if name == "auto":
        return robust_window(volume.array)
    if volume.window is not None:
        return volume.window
    if volume.colours is not None:
        return Window(0.0, brightest(volume), "colours")
    if name is None and volume.modality == "CT":
        return CT_PRESETS["abdomen"]
    return robust_window(volume.array)

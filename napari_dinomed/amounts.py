"""Amounts in the units that their readers think in: volumes, times, bytes."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# Of each unit of length: how many of its cubes make one of the unit that users think in.
_USUAL = {"mm": (1e3, "ml"), "nm": (1e9, "µm³")}


def in_usual_unit(volume: float, unit: str) -> tuple[float, str]:
    """A volume in the unit that its users think in: ml for patients, µm³ for cells.

    Parameters
    ----------
    volume
        In cubes of ``unit``.
    unit
        A geometry's unit of length.
    """
    plain = "voxels" if unit == "px" else f"{unit}³"
    cubes, name = _USUAL.get(unit, (1.0, plain))
    return volume / cubes, name


def duration(seconds: float) -> str:
    """A time as one waits for it."""
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"


def size(count: float) -> str:
    """Bytes, as disks and memories are sold."""
    if count >= 1e12:
        return f"{count / 1e12:.1f} TB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"

"""Figures of what was labelled without a click, and whether somebody should look at it.

In: labels of a volume, and how far two ways to read the model differ. Out: for each label
its size, grey values, parts, and a light: green, yellow or red, with the reason in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from napari_dinomed.segment.regions import numbered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.volume import Volume

# Share of voxels on which two readers of a model differ, of all that either found.
_DOUBTFUL, _WRONG = 0.35, 0.6


@dataclass(frozen=True)
class Measures:
    """Figures of one label of a volume.

    Parameters
    ----------
    label
        Its name.
    voxels, volume, unit
        How large it is.
    mean, spread
        Of its grey values; None where there are none.
    parts
        Connected parts.
    touches_border
        Whether it reaches the edge of the volume, and may go on beyond it.
    doubt
        Share of it that another reader of the same model does not find.
    light, reason
        ``green``, ``yellow`` or ``red``, and why.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "label",
        "voxels",
        "volume",
        "unit",
        "mean",
        "sd",
        "parts",
        "touches border",
        "doubt",
        "light",
        "reason",
    )

    label: str
    voxels: int
    volume: float
    unit: str
    mean: float | None
    spread: float | None
    parts: int
    touches_border: bool
    doubt: float
    light: str
    reason: str

    def cells(self) -> list[str]:
        """What stands in a table, in the order of `COLUMNS`."""
        greys = ["" if v is None else f"{v:.5g}" for v in (self.mean, self.spread)]
        return [
            self.label,
            str(self.voxels),
            f"{self.volume:.6g}",
            self.unit,
            *greys,
            str(self.parts),
            "yes" if self.touches_border else "no",
            f"{self.doubt:.2f}",
            self.light,
            self.reason,
        ]


def measures_of(
    volume: Volume,
    labels: NDArray[Any],
    legend: tuple[Label, ...],
    doubts: Mapping[int, float],
) -> tuple[Measures, ...]:
    """Figures of every label.

    Parameters
    ----------
    volume, labels, legend
        Grey values and labels (z, y, x), and what the numbers stand for.
    doubts
        For each label, the share on which two readers differ.
    """
    rows = []
    for label in legend:
        mask = labels == label.id
        count, doubt = int(mask.sum()), doubts.get(label.id, 1.0)
        greys = volume.array[mask]
        sides = [mask.take(end, axis).any() for axis in range(3) for end in (0, -1)]
        _, parts = numbered(mask)
        light, reason = _light(count, doubt, any(sides))
        rows.append(
            Measures(
                label.name,
                count,
                count * volume.geometry.voxel_volume,
                f"{volume.geometry.unit}³",
                float(greys.mean()) if count else None,
                float(greys.std()) if count else None,
                int(parts),
                bool(any(sides)),
                round(doubt, 3),
                light,
                reason,
            )
        )
    return tuple(rows)


def _light(count: int, doubt: float, touches_border: bool) -> tuple[str, str]:
    if not count:
        return "red", "nothing was found"
    if doubt > _WRONG:
        return "red", f"two readers of the model differ on {doubt:.0%} of it"
    if doubt > _DOUBTFUL:
        return "yellow", f"two readers of the model differ on {doubt:.0%} of it"
    if touches_border:
        return "yellow", "it reaches the edge of the volume"
    return "green", ""

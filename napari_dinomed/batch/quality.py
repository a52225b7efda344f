"""Figures of what was labelled without a click, and whether somebody should look at it.

In: labels of a volume, and how the model came to them. Out: for each label its size, grey
values, parts, and a light: green, yellow or red, with the reason in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from napari_dinomed.batch.light import judged
from napari_dinomed.segment.regions import numbered
from napari_dinomed.taught.amounts import amount_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.taught.header import Lesson, Signs
    from napari_dinomed.volume import Volume


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
        Share of it that another reader of the same model does not find; None where there is
        no other.
    light, reason
        ``green``, ``yellow`` or ``red``, and why.
    raggedness
        Its surface, in that of a ball as large.
    inside, around
        How far its looks, and those around it, are from what taught: 0 the same, 1 unlike.
    oddness
        Of its oddest sign: over 1 it is beyond all that taught, over 2 as far again.
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
        "surface in that of a ball",
        "unlike inside",
        "unlike around",
        "oddness",
    )

    label: str
    voxels: int
    volume: float
    unit: str
    mean: float | None
    spread: float | None
    parts: int
    touches_border: bool
    doubt: float | None
    light: str
    reason: str
    raggedness: float | None = None
    inside: float | None = None
    around: float | None = None
    oddness: float = 0.0

    def cells(self) -> list[str]:
        """What stands in a table, in the order of `COLUMNS`."""
        apart = (self.raggedness, self.inside, self.around)
        return [
            self.label,
            str(self.voxels),
            f"{self.volume:.6g}",
            self.unit,
            *(_cell(value, ".5g") for value in (self.mean, self.spread)),
            str(self.parts),
            "yes" if self.touches_border else "no",
            _cell(self.doubt, ".2f"),
            self.light,
            self.reason,
            *(_cell(value, ".3g") for value in apart),
            f"{self.oddness:.2f}",
        ]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def measures_of(
    volume: Volume,
    labels: NDArray[Any],
    lessons: tuple[Lesson, ...],
    signs: Mapping[int, Signs],
    is_unlike: bool = False,
) -> tuple[Measures, ...]:
    """Figures of every label.

    Parameters
    ----------
    volume, labels
        Grey values and labels (z, y, x).
    lessons
        How each label was taught.
    signs
        For each label that was found, how good it may be.
    is_unlike
        Whether the volume is of another kind, spacing or window than those that taught.
    """
    return tuple(
        _measured(volume, labels == one.label.id, one, signs.get(one.label.id), is_unlike)
        for one in lessons
    )


def _measured(
    volume: Volume,
    mask: NDArray[np.bool_],
    lesson: Lesson,
    signs: Signs | None,
    is_unlike: bool,
) -> Measures:
    greys, (_, parts) = volume.array[mask], numbered(mask)
    amount = amount_of(mask, volume.geometry.spacing) if mask.any() else None
    touches = any(mask.take(end, axis).any() for axis in range(3) for end in (0, -1))
    judgement = judged(lesson, amount, signs, touches, is_unlike)
    return Measures(
        lesson.label.name,
        len(greys),
        amount.size if amount else 0.0,
        f"{volume.geometry.unit}³",
        float(greys.mean()) if amount else None,
        float(greys.std()) if amount else None,
        int(parts),
        touches,
        _rounded(signs.doubt if signs else None),
        judgement.light,
        judgement.reason,
        _rounded(amount.raggedness if amount else None),
        _rounded(signs.apart.inside if signs else None),
        _rounded(signs.apart.around if signs else None),
        judgement.oddness,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

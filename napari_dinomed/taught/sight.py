"""How an encoder is shown a volume, for a model to know it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.features.adapter import Scale
from napari_dinomed.features.naming import known_as
from napari_dinomed.taught.header import Sight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinomed.features.encoding import PlaneTokens
    from napari_dinomed.volume import Volume


def sight_of(volume: Volume, planes: Sequence[PlaneTokens]) -> Sight:
    """How a volume is seen.

    Parameters
    ----------
    volume
        The volume.
    planes
        Its tokens along each axis, those along z first.
    """
    first = planes[0]
    encoder = first.encoder
    return Sight(
        known_as(encoder.spec.name),
        encoder.signature,
        tuple(plane.plan.axis for plane in planes),
        first.stack.window,
        volume.modality,
        volume.geometry.spacing,
        Scale.of(volume, first.plan).pixel if encoder.is_planar else None,
    )

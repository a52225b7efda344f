"""A label split into labels: each of its larger parts becomes one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import cc3d
import numpy as np

from napari_dinomed.errors import FinishError
from napari_dinomed.finish.options import Amount, Choice, Measure, Texts
from napari_dinomed.segment.instances import by_size, split_instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Site

_FACES: Final = 6
# What the palette and its shades tell apart, and a table of labels shows at once.
_MOST = 20


class By(Texts):
    """Where a label is parted."""

    NECKS = "necks", "at necks"
    GAPS = "gaps", "at gaps"


@dataclass(frozen=True)
class Split:
    """Make a label of every part, parted at necks or gaps; the largest keeps the label."""

    by: Annotated[By, Choice("Parted")]
    volume: Annotated[float, Amount("Parts of at least", Measure.VOLUME, 1.0)]


def split(site: Site, options: Split) -> NDArray[np.int32]:
    """The parts by falling size, from 1; what is smaller than the volume is 1, too.

    Parted at necks, as by `split_instances`, or at gaps: parts share no face.

    Raises
    ------
    FinishError
        Where there are more of them than labels can be looked after.
    """
    parts = _parted(site, options.by)
    volumes = np.bincount(parts.ravel())[1:] * np.prod(site.spacing)
    count = max(1, int(np.count_nonzero(volumes >= options.volume)))
    if count > _MOST:
        raise FinishError(
            f"{site.subject.name} has {count:,} parts of at least that volume, and at most "
            f"{_MOST} become labels. Raise the volume, or use Split into instances."
        )
    parts[parts > count] = 1
    return parts


def _parted(site: Site, by: By) -> NDArray[np.int32]:
    if by is By.NECKS:
        return split_instances(site.mask, site.spacing)
    parts = cc3d.connected_components(site.mask, connectivity=_FACES)
    return by_size(parts.astype(np.int32))

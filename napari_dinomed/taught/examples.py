"""Examples: what places of taught volumes look like, and which label they have.

In: looks of a volume on the basis of a model, and labels (z, y, x). Out: a few thousand
examples, drawn where they tell most: inside each label, close around it, and anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import edt
import numpy as np
import torch

from napari_dinomed.segment.regions import bounding_box, grown, start_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dinomed.segment.one_object.looks import Looks

# Voxels that are drawn of a volume: inside each label, close around each, and elsewhere.
_INSIDE, _AROUND, _ELSEWHERE = 800, 800, 2000
# What is close: the nearest voxels outside, so many times as many as the label has.
_CLOSE = 2.0


@dataclass(frozen=True, eq=False)
class Examples:
    """Places of taught volumes.

    Parameters
    ----------
    looks
        What they look like along each axis, side by side, (n, parts), half precision.
    places
        Where in their volume they lie along (z, y, x), from -1 to 1, (n, 3).
    classes
        Their label, 0 for none, (n,).
    cases
        Number of the volume that they are of, (n,).
    weights
        Share of their volume that each stands for, (n,).
    """

    looks: torch.Tensor
    places: torch.Tensor
    classes: torch.Tensor
    cases: torch.Tensor
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def chosen(self, which: torch.Tensor) -> Examples:
        """Some of them, by index or by a mask (n,)."""
        return Examples(*(getattr(self, field.name)[which] for field in fields(self)))

    def joined(self, others: Iterable[Examples]) -> Examples:
        """These, and others of the same basis."""
        parts = (self, *others)
        return Examples(
            *(torch.cat([getattr(p, field.name) for p in parts]) for field in fields(self))
        )

    def thinned(self, most: int) -> Examples:
        """At most so many: of every class and volume the same share, drawn at random.

        Those that are left stand for those that go.
        """
        if len(self) <= most:
            return self
        share = most / len(self)
        random = torch.Generator().manual_seed(0)
        left, weights = [], self.weights.clone()
        for group in self._groups():
            drawn = group[torch.randperm(len(group), generator=random)]
            drawn = drawn[: max(1, int(share * len(group)))]
            weights[drawn] *= self.weights[group].sum() / self.weights[drawn].sum()
            left.append(drawn)
        return replace(self, weights=weights).chosen(torch.cat(left))

    def _groups(self) -> Iterator[torch.Tensor]:
        keys = self.cases.long() * (int(self.classes.max()) + 1) + self.classes.long()
        for key in distinct(keys):
            yield torch.nonzero(keys == key).flatten()


def draw_examples(
    looks: tuple[Looks, ...],
    labels: NDArray[np.integer],
    spacing: tuple[float, float, float],
    case: int,
) -> Examples:
    """Draw the examples of a volume; the same volume gives the same ones.

    Parameters
    ----------
    looks
        Of each axis, on the basis of the model that is taught.
    labels
        (z, y, x), 0 for none.
    spacing
        Size of a voxel along (z, y, x).
    case
        The number that the volume gets.
    """
    random = np.random.default_rng(0)
    voxels, weights = [], []
    taken = np.zeros(labels.shape, dtype=bool)
    for label in np.unique(labels[labels > 0]):
        inside = np.argwhere(labels == label)
        around = _close_around(labels == label, labels == 0, spacing)
        for stratum, count in ((inside, _INSIDE), (around, _AROUND)):
            drawn = stratum[random.permutation(len(stratum))[:count]]
            voxels.append(drawn)
            weights.append(np.full(len(drawn), len(stratum) / max(1, len(drawn))))
        taken[tuple(np.concatenate([inside, around]).T)] = True
    rest = np.flatnonzero(~taken)
    drawn = rest[random.permutation(len(rest))[:_ELSEWHERE]]
    voxels.append(np.column_stack(np.unravel_index(drawn, labels.shape)))
    weights.append(np.full(len(drawn), len(rest) / max(1, len(drawn))))
    places = np.concatenate(voxels)
    shares = np.concatenate(weights)
    return Examples(
        looks_at(looks, places).half(),
        places_of(places, labels.shape).half(),
        torch.from_numpy(labels[tuple(places.T)].astype(np.int32)),
        torch.full((len(places),), case, dtype=torch.int32),
        torch.from_numpy((shares / shares.sum()).astype(np.float32)),
    )


def looks_at(
    looks: tuple[Looks, ...], voxels: NDArray[np.integer | np.floating]
) -> torch.Tensor:
    """Looks of all axes, side by side, at voxels (n, 3): (n, parts)."""
    return torch.cat([part.at(voxels) for part in looks], dim=1)


def places_of(
    voxels: NDArray[np.integer | np.floating], shape: tuple[int, ...]
) -> torch.Tensor:
    """Where in a volume voxels (n, 3) lie along each axis, from -1 to 1."""
    return torch.from_numpy((2 * (voxels + 0.5) / np.array(shape) - 1).astype(np.float32))


def distinct(numbers: torch.Tensor) -> torch.Tensor:
    """Each number once, ascending."""
    return torch.from_numpy(np.unique(numbers.numpy()))


def _close_around(
    mask: NDArray[np.bool_], free: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.int64]:
    """Free voxels (n, 3) outside a mask, the nearest ones."""
    tight = bounding_box(mask)
    room = max(2, max(part.stop - part.start for part in tight) // 2)
    box = grown(tight, room, tuple(slice(0, length) for length in mask.shape))
    distance = edt.edt(np.ascontiguousarray(~mask[box]), anisotropy=spacing)
    outside = np.flatnonzero((~mask & free)[box])
    count = min(len(outside), int(_CLOSE * mask.sum()))
    nearest = outside[np.argsort(distance.ravel()[outside], kind="stable")[:count]]
    shape = tuple(part.stop - part.start for part in box)
    return np.column_stack(np.unravel_index(nearest, shape)) + start_of(box)

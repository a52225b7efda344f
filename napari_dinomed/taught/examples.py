"""Examples: what places of taught volumes look like, and which label they have.

In: a volume as a model reads it, and labels (z, y, x). Out: a few thousand
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
    from napari_dinomed.taught.surroundings import Surroundings

# Voxels that are drawn of a volume: inside each label, close around each; elsewhere, as
# grey as some label, and any.
_INSIDE, _AROUND, _LIKE, _ELSEWHERE = 800, 800, 2000, 500
# A grey value is a label's from so many hundredths of its voxels to so many.
_USUAL = (5, 95)
# What is close: the nearest voxels outside, so many times as many as the label has.
_CLOSE = 2.0


@dataclass(frozen=True, eq=False)
class Examples:
    """Places of taught volumes.

    Parameters
    ----------
    looks
        What they look like along each axis, side by side, (n, parts), half precision.
    surroundings
        What lies around them, (n, numbers), half precision.
    classes
        Their label, 0 for none, (n,).
    cases
        Number of the volume that they are of, (n,).
    weights
        Share of their volume that each stands for, (n,).
    """

    looks: torch.Tensor
    surroundings: torch.Tensor
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


@dataclass(frozen=True, eq=False)
class Described:
    """A volume as a model reads it.

    Parameters
    ----------
    looks
        Of each axis, on the bases of the model.
    surroundings
        Measured by the model's length.
    """

    looks: tuple[Looks, ...]
    surroundings: Surroundings

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along (z, y, x)."""
        return self.surroundings.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel along (z, y, x)."""
        z, y, x = (float(length) for length in self.surroundings.spacing)
        return z, y, x

    def looks_at(self, voxels: NDArray[np.integer | np.floating]) -> torch.Tensor:
        """Looks of all axes, side by side, at voxels (n, 3): (n, parts)."""
        return torch.cat([part.at(voxels) for part in self.looks], dim=1)


def draw_examples(described: Described, labels: NDArray[np.integer], case: int) -> Examples:
    """Draw the examples of a volume; the same volume gives the same ones.

    Parameters
    ----------
    described
        As the model that is taught reads it.
    labels
        (z, y, x), 0 for none.
    case
        The number that the volume gets.
    """
    random = np.random.default_rng(0)
    drawn, weights = [], []
    for stratum, count in _strata(described, labels):
        some = stratum[random.permutation(len(stratum))[:count]]
        drawn.append(some)
        weights.append(np.full(len(some), len(stratum) / max(1, len(some))))
    places = np.column_stack(np.unravel_index(np.concatenate(drawn), labels.shape))
    shares = np.concatenate(weights)
    return Examples(
        described.looks_at(places).half(),
        described.surroundings.at(places).half(),
        torch.from_numpy(labels[tuple(places.T)].astype(np.int32)),
        torch.full((len(places),), case, dtype=torch.int32),
        torch.from_numpy((shares / shares.sum()).astype(np.float32)),
    )


def _strata(
    described: Described, labels: NDArray[np.integer]
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Numbers of voxels that are much of a kind, and how many to draw of each kind."""
    grey = described.surroundings.own[0].grey.numpy()
    is_free, is_like = labels == 0, np.zeros(labels.shape, dtype=bool)
    for label in np.unique(labels[labels > 0]):
        inside = np.flatnonzero(labels == label)
        around = _close_around(labels == label, labels == 0, described.spacing)
        yield inside, _INSIDE
        yield around, _AROUND
        is_free.ravel()[around] = False
        low, high = np.percentile(grey.ravel()[inside], _USUAL)
        is_like |= (low <= grey) & (grey <= high)
    yield np.flatnonzero(is_free & is_like), _LIKE
    yield np.flatnonzero(is_free & ~is_like), _ELSEWHERE


def distinct(numbers: torch.Tensor) -> torch.Tensor:
    """Each number once, ascending."""
    return torch.from_numpy(np.unique(numbers.numpy()))


def _close_around(
    mask: NDArray[np.bool_], free: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.int64]:
    """Numbers (n,) of free voxels outside a mask, the nearest ones."""
    tight = bounding_box(mask)
    room = max(2, max(part.stop - part.start for part in tight) // 2)
    box = grown(tight, room, tuple(slice(0, length) for length in mask.shape))
    distance = edt.edt(np.ascontiguousarray(~mask[box]), anisotropy=spacing)
    outside = np.flatnonzero((~mask & free)[box])
    count = min(len(outside), int(_CLOSE * mask.sum()))
    nearest = outside[np.argsort(distance.ravel()[outside], kind="stable")[:count]]
    shape = tuple(part.stop - part.start for part in box)
    places = np.column_stack(np.unravel_index(nearest, shape)) + start_of(box)
    return np.asarray(np.ravel_multi_index(tuple(places.T), mask.shape))

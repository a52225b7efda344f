"""How far a click reaches: the level at which support is cut.

The regions above falling levels are nested; one of them fits the object best. Which one
is judged by what is known of organs before any click (their size, and how far down from
the click their edge lies), by the contrast of grey values across the region's edge, and
by the clicks that corrected earlier answers. The level is the mean over all of them,
weighted by how well they do. From click to click it moves little, in depth and in the size
of the region: a click corrects the worst fault, so what it includes makes the region
somewhat larger than it was, and what it excludes somewhat smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cc3d
import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class LevelPrior:
    """What is known of a region before looking.

    Parameters
    ----------
    log_size
        Usual size: decimal logarithm of millilitres, or of the share of the volume where
        the unit is not the millimetre.
    size_weight
        How firmly, per squared decade.
    depth
        Usual depth of the edge: 0 at the click's support, 1 where support has
        fallen as far as it usually does (`SupportField.depth_unit`).
    depth_weight
        How firmly.
    contrast_weight
        How much contrast across the edge counts.
    click_softness
        Depth over which a correcting click's vote fades.
    inertia, inertia_width
        How firmly, per click, the depth before is held, and over what depth.
    size_inertia
        How firmly, per click and squared decade, the size before is held.
    size_step
        By how many decades a click is expected to change it.
    """

    log_size: float = 1.5
    size_weight: float = 1.0
    depth: float = 0.4
    depth_weight: float = 30.0
    contrast_weight: float = 7.0
    click_softness: float = 0.1
    inertia: float = 1.0
    inertia_width: float = 0.15
    size_inertia: float = 1.0
    size_step: float = 0.1


_DEPTHS = np.linspace(0.03, 0.9, 20)
_RIM = 2
# Cells that share a face are connected.
_FACES: Final = 6
_NOISE_FLOOR = 0.01


@dataclass(frozen=True)
class Level:
    """Where support is cut, and the decimal logarithm of the region's size there."""

    depth: float
    log_size: float


@dataclass(frozen=True)
class Votes:
    """What the clicks say of the level.

    Parameters
    ----------
    included
        Where the support of the other clicks had missed an included one.
    excluded
        Where the support of the included clicks reaches an excluded one.
    before
        Level chosen before the last click, or None at the first.
    is_adding
        Whether the last click includes.
    count
        Clicks so far.
    """

    included: tuple[float, ...] = ()
    excluded: tuple[float, ...] = ()
    before: Level | None = None
    is_adding: bool = True
    count: int = 1


def choose_level(
    depth: Floats,
    grey: Floats,
    seeds: Cells,
    size_unit: float,
    votes: Votes,
    prior: LevelPrior,
) -> Level:
    """Depth of the object's edge, and its size.

    Parameters
    ----------
    depth
        (z, y, x): 0 at the clicks, 1 where support has fallen as far as it usually does.
    grey
        Grey values in [0, 1] on the same grid.
    seeds
        (n, 3), cells that the object holds; only what is connected to them is its.
    size_unit
        What a cell counts towards the size.
    votes
        What correcting clicks say.
    prior
        What is known beforehand.
    """
    scores, sizes = np.empty((2, len(_DEPTHS)))
    # Regions are nested: each is looked for only where the larger one before it was.
    box = tuple(slice(0, length) for length in depth.shape)
    for number in reversed(range(len(_DEPTHS))):
        cut = float(_DEPTHS[number])
        region = connected(depth[box] < cut, _within(seeds, box))
        tight = bounding_box(region, _RIM + 1)
        box = _inner(box, tight)
        region = region[tight]
        level = Level(cut, float(np.log10(region.sum() * size_unit)))
        score = -prior.size_weight * (level.log_size - prior.log_size) ** 2
        score -= prior.depth_weight * (cut - prior.depth) ** 2
        score += prior.contrast_weight * _edge_contrast(region, grey[box])
        scores[number] = score + _agreement(level, votes, prior)
        sizes[number] = level.log_size
    share = np.exp(scores - scores.max())
    depth_chosen = float((share * _DEPTHS).sum() / share.sum())
    return Level(depth_chosen, float(np.interp(depth_chosen, _DEPTHS, sizes)))


def connected(mask: Bools, seeds: Cells) -> Bools:
    """The parts of a mask that hold one of the seeds (n, 3)."""
    mask, where = mask.copy(), tuple(seeds.T)
    mask[where] = True
    components, count = cc3d.connected_components(mask, connectivity=_FACES, return_N=True)
    wanted = np.zeros(count + 1, dtype=bool)
    wanted[components[where]] = True
    return np.asarray(wanted[components])


def bounding_box(mask: Bools, margin: int) -> tuple[slice, ...]:
    """The smallest box around a mask, grown by a margin within the grid."""
    (box,) = ndimage.find_objects(mask.astype(np.int8))
    return tuple(
        slice(max(0, part.start - margin), min(length, part.stop + margin))
        for part, length in zip(box, mask.shape, strict=True)
    )


def _within(seeds: Cells, box: tuple[slice, ...]) -> Cells:
    return seeds - np.array([part.start for part in box], dtype=np.int64)


def _inner(box: tuple[slice, ...], part: tuple[slice, ...]) -> tuple[slice, ...]:
    """A part of a box, as a box of the whole."""
    return tuple(
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(box, part, strict=True)
    )


def _agreement(level: Level, votes: Votes, prior: LevelPrior) -> float:
    """How well a level agrees with the clicks and with the level before the last one."""
    soft, cut = prior.click_softness, level.depth
    missed = [np.logaddexp(0, (place - cut) / soft) for place in votes.included]
    spilled = [np.logaddexp(0, (cut - place) / soft) for place in votes.excluded]
    total = -float(sum(missed) + sum(spilled))
    if votes.before is None:
        return total
    step = prior.size_step if votes.is_adding else -prior.size_step
    moved = (cut - votes.before.depth) / prior.inertia_width
    resized = level.log_size - votes.before.log_size - step
    held = prior.inertia * moved**2 + prior.size_inertia * resized**2
    return total - votes.count * held


def _edge_contrast(region: Bools, grey: Floats) -> float:
    """How much better two grey values explain the two sides of the edge than one does.

    The drop of the logarithm of the standard deviation when a shell on both sides of the
    edge is split at the edge.
    """
    inner = region & ~ndimage.binary_erosion(region, iterations=_RIM)
    outer = ndimage.binary_dilation(region, iterations=_RIM) & ~region
    a, b = grey[inner], grey[outer]
    if min(len(a), len(b)) < 2:
        return 0.0
    both = np.concatenate([a, b])
    share = len(a) / len(both)
    split = share * np.log(a.std() + _NOISE_FLOOR)
    split += (1 - share) * np.log(b.std() + _NOISE_FLOOR)
    return float(np.log(both.std() + _NOISE_FLOOR) - split)

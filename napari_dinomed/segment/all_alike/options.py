"""The numbers that all that looks alike is found by, each with what it means.

They were set before the stacks that are reported had been split into some to choose on and
some to report on; `resources/ablation.py` tells what the ingredients are worth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Trust:
    """What the choice of the cut goes by.

    Parameters
    ----------
    share, weight
        Decimal logarithm of the share of a volume that such things usually take up, and
        what it weighs.
    gap
        What it weighs that few cells score as the cut.
    included_doubt
        Chance that an included mark lies where no cut is right, as the thick places of
        what is thin do.
    excluded_doubt
        The same for an excluded mark: other lines answer as strongly as those meant.
    """

    share: float
    weight: float
    gap: float = 0.0
    included_doubt: float = 0.0
    excluded_doubt: float = 0.0

    def near(self, share: float | None) -> Self:
        """The same, with another share for the usual one if there is another."""
        return self if share is None else replace(self, share=float(np.log10(share)))


@dataclass(frozen=True)
class Options:
    """How all that looks alike is found.

    A radius is that of what is found, in the plane of a slice.

    Parameters
    ----------
    token_parts
        Principal components that are kept of the tokens of each plane.
    shrinkage, sections_shrinkage
        Variance that every direction of looks is granted, as a share of the mean one. Seen
        with their neighbours, sections have less noise, which does what shrinkage does.
    rest_counts
        Marks that the mean of the volume counts for, beside those that exclude.
    most_excluded
        Most that exclusions move the mean of the rest towards their own.
    lessons
        How often what is found teaches the discriminant.
    lesson_counts
        Marks that what is found counts for in a lesson.
    things, sections, lines
        What a cut goes by: of things, of things in serial sections, of lines.
    vote
        What a mark weighs in the choice of the cut.
    earlier_vote
        Part of that which a mark keeps once there was an answer to it.
    inertia
        What it weighs, for each mark, that the share was another before the last click.
    softness
        How far beyond a cut a mark is surely on its side, in standard deviations.
    sharpness
        How far beyond a cut one logit lies, in standard deviations.
    across, most_across
        Smoothing across slices, in radii and at most in slices.
    within
        Smoothing within slices, in radii.
    near_inside, near_outside, far_outside
        Depths in radii: grey values compete up to so deep inside and outside of an edge,
        and are those of the outside up to so far beyond.
    everywhere
        Of how many clicks each changes the answer everywhere, not only near itself.
    reach
        How far the last click changes the answer, in depths of it in what was wrong.
    own_logit, own_reach
        What a click adds to the logit where it lies, and how far, in depths.
    sure
        Logit that what was clicked on keeps, whatever is clicked later.
    """

    token_parts: int = 32
    shrinkage: float = 0.05
    sections_shrinkage: float = 0.1
    rest_counts: float = 4.0
    most_excluded: float = 0.4
    lessons: int = 3
    lesson_counts: float = 6.0
    things: Trust = field(default=Trust(share=-0.8, weight=1.5, gap=2.0))
    sections: Trust = field(
        default=Trust(
            share=-0.95, weight=1.5, gap=2.0, included_doubt=0.2, excluded_doubt=0.2
        )
    )
    lines: Trust = field(
        default=Trust(share=-0.7, weight=8.0, included_doubt=0.5, excluded_doubt=0.8)
    )
    vote: float = 0.5
    earlier_vote: float = 0.3
    inertia: float = 1.0
    softness: float = 0.3
    sharpness: float = 0.35
    across: float = 0.5
    most_across: float = 1.0
    within: float = 0.1
    near_inside: float = 0.3
    near_outside: float = 0.4
    far_outside: float = 1.0
    everywhere: float = 3.0
    reach: float = 2.0
    own_logit: float = 3.0
    own_reach: float = 1.5
    sure: float = 1.0


# Lesions in PET are hot foci, some .3 % of a body; cell parts are a tenth of a section.
FOCI = replace(Options(), things=Trust(share=-2.5, weight=1.5, gap=2.0))

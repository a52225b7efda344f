"""What tokens say for the inside or the outside, taught by marks and by what is believed.

In: looks near a grid of cells, what each cell is believed to be, and marks. Out: a vote of
the looks that are nearest (k-NN) and a linear probe, on the cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_dinomed.segment.threads import AT_ONCE

if TYPE_CHECKING:
    from napari_dinomed.segment.one_object.looks import PartOfLooks
    from napari_dinomed.segment.one_object.options import CueOptions


@dataclass(frozen=True, eq=False)
class Side:
    """Looks that a side is believed to have, and those of its marks.

    Parameters
    ----------
    share
        How much each look of the lattice (slices, rows, columns) is of this side.
    marks
        Looks (n, parts) of the marks; a share of one is for them and the lattice together.
    mark_share
        How much each mark is.
    """

    share: torch.Tensor
    marks: torch.Tensor
    mark_share: float

    @classmethod
    def of(
        cls, part: PartOfLooks, belief: torch.Tensor, marks: torch.Tensor, counts: float
    ) -> Side:
        """The side that cells (z, y, x) are believed to be of: it counts so many marks."""
        share = part.gathered(belief)
        mark_share = 1 / (counts + len(marks))
        share = share * (counts * mark_share / share.sum().clamp_min(1e-6))
        return cls(share, marks, mark_share)

    def moments(self, looks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (parts,) and covariance (parts, parts) of its looks."""
        flat, share = looks.flatten(0, 2), self.share.flatten()
        mean = share @ flat + self.mark_share * self.marks.sum(0)
        second = self.mark_share * self.marks.T @ self.marks
        parts = (torch.split(one, AT_ONCE) for one in (flat, share))
        for rows, shares in zip(*parts, strict=True):
            second += (rows * shares[:, None]).T @ rows
        return mean, second - torch.outer(mean, mean)

    def voters(self, looks: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Looks (n, parts) that stand for all of it, and the share (n,) of each.

        The lattice is cut in so many parts at most along each axis, each with its mean.
        """
        share = self.share
        blocks = [*product(*(_parts(length, most) for length in share.shape))]
        weights = torch.stack([share[block].mean() for block in blocks])
        sums = [share[block].flatten() @ looks[block].flatten(0, 2) for block in blocks]
        lattice_share = 1 - self.mark_share * len(self.marks)
        weights = weights * (lattice_share / weights.sum().clamp_min(1e-9))
        marks = weights.new_full((len(self.marks),), self.mark_share)
        voters = torch.cat([functional.normalize(torch.stack(sums), dim=1), self.marks])
        return voters, torch.cat([weights, marks])


def vote(
    part: PartOfLooks, inside: Side, outside: Side, options: CueOptions
) -> torch.Tensor:
    """Which side's looks are nearer: a ratio of densities (Parzen 1962), as a logarithm.

    Returns
    -------
    torch.Tensor
        (z, y, x): above 0 where it is the inside's.
    """
    rows = torch.split(part.looks.flatten(0, 2), AT_ONCE)
    densities = []
    for side in (inside, outside):
        voters, weights = side.voters(part.looks, options.voters)
        gained = options.vote_gain * voters.T
        densities.append(torch.cat([(some @ gained).exp_() @ weights for some in rows]))
    ratio = (densities[0] / densities[1]).log() / options.vote_sure
    ratio = ratio.clamp(-options.most_vote, options.most_vote)
    return part.on_cells(ratio.view(inside.share.shape))


def probe(
    part: PartOfLooks, inside: Side, outside: Side, options: CueOptions
) -> torch.Tensor:
    """A linear discriminant (Fisher 1936) of both sides.

    Returns
    -------
    torch.Tensor
        (z, y, x): 1 at the mean look of the inside, −1 at that of the outside.
    """
    (inner, spread), (outer, other) = (
        side.moments(part.looks) for side in (inside, outside)
    )
    within, apart = (spread + other) / 2, inner - outer
    variance = within.diagonal().mean().clamp_min(1e-6)
    within += options.shrinkage * variance * torch.eye(len(within), device=within.device)
    direction = torch.linalg.solve(within, apart)
    gap = (direction @ apart).clamp_min(1e-6) / 2
    offset = direction @ (inner + outer) / 2
    score: torch.Tensor = (part.projected(direction) - offset) / gap
    return score.clamp(-options.most_probe, options.most_probe)


def _parts(length: int, most: int) -> list[slice]:
    """So many parts of a length at most, that cover it evenly."""
    count = min(most, length)
    return [slice(n * length // count, -(-(n + 1) * length // count)) for n in range(count)]

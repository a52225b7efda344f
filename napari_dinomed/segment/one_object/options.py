"""The numbers that one object is found by, each with what it means.

Those of the cues were fixed before the network was taught, which learnt to weigh cues made
by them: with others it must be taught again. Those of the search were chosen on the odd
patients of the cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CueOptions:
    """How what is seen and marked becomes cues.

    Radii are in edges of a cell; grey values lie between 0 and 1.

    Parameters
    ----------
    grey_gain, most_grey
        Brings differences of grey values, of which most are below a quarter of the window,
        to the range of the other cues; farther off than the most, all are just different.
    touching, near, around
        Radii at which nearness to a mark is told.
    not_excluded
        Cosine to exclusions where there are none: less alike than nearly all that are.
    first_belief
        Radius of the ball around inclusions that is believed in before any answer.
    answer_counts
        Marks that the answer before counts for, in what teaches vote and probe.
    voters
        Parts along each axis of the lattice that answer for the looks in them, each side by
        one mean. Average precision on odd patients is the same for three to six.
    vote_gain
        How much likeness counts: two looks as alike as can be have e to this times the vote
        of two that have nothing in common.
    vote_sure, most_vote
        Ratio of votes, in powers of e, that one of the cue stands for, and the cue at most.
    shrinkage
        Variance that every direction of looks is granted in the probe, as a share of the
        mean variance: looks are of some hundred cells that are much alike.
    most_probe
        The probe at most; one is the mean look of a side.
    bins, bin_floor
        Bins of grey values that compete, and the share of cells that each is granted.
    grey_sure
        Logit at which what grey values say counts as sure.
    volume_gain
        Nearness to inclusions, by the extent of the volume, falls from 1 at them to -1 at
        two fifths of it: what is clicked on takes up some of a volume, seldom half of it.
    """

    grey_gain: float = 4.0
    most_grey: float = 3.0
    touching: float = 1.5
    near: float = 4.0
    around: float = 12.0
    not_excluded: float = -0.2
    first_belief: float = 2.0
    answer_counts: float = 5.0
    voters: int = 4
    vote_gain: float = 4.0
    vote_sure: float = 2.0
    most_vote: float = 2.0
    shrinkage: float = 1.0
    most_probe: float = 2.0
    bins: int = 32
    bin_floor: float = 1e-3
    grey_sure: float = 4.0
    volume_gain: float = 5.0


@dataclass(frozen=True)
class SearchOptions:
    """How an object is looked for, look by look.

    Room is a share of an object's length along each axis.

    Parameters
    ----------
    most_cells
        Cells of a look at most: cues and network take a tenth of a second for them on two
        cores.
    later_cells
        The same after a further click, when there is one look and not three: on odd
        patients thin bone was lost by fewer.
    glance_cells
        Cells of the look after a further click that only the plane in view is shown of,
        until the closer one is there.
    first_shares
        Parts of a patient that are looked at first, around the marks, as shares of each
        length of the volume: the whole only if the object may go on beyond. On odd
        patients one click gave .61 instead of .57, since small organs have more cells.
    least_part
        Of such a part at least, in mm³: as much as a trunk's largest organs need around
        them. In half of a small CT of the trunk, a spleen was taken for a lump of it.
    first_rooms
        Room around what the look before found, at each closer look at an object that no
        answer told the place of: the first box must hold the object even where the first
        look saw but a part of it.
    later_looks
        Looks after a further click; a second only where the object goes on beyond its box.
    later_room, least_room
        Room after a further click, and in voxels at least.
    """

    most_cells: int = 64_000
    later_cells: int = 100_000
    glance_cells: int = 16_000
    first_shares: tuple[float, ...] = (0.25, 0.5)
    least_part: float = 5e6
    first_rooms: tuple[float, ...] = (1.0, 0.35)
    later_looks: int = 2
    later_room: float = 0.35
    least_room: int = 6
